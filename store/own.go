package store

import (
	"context"
	"regexp"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/store/migrations"
)

// versionTable keeps which of the own migrations were applied, in the form of goose.
const versionTable = "afterwrite_migrations"

// ownSteps are the own migrations that were not applied yet.
func (s *Store) ownSteps(ctx context.Context) ([]step, error) {
	all, err := migrations.Of(s.dialect.name())
	if err != nil {
		return nil, err
	}
	at, err := s.catalog(ctx, versionTable)
	if err != nil {
		return nil, err
	}
	applied := map[int64]bool{}
	if at.Exists() {
		var versions []int64
		query := "SELECT version_id FROM " + versionTable + " WHERE is_applied"
		if err := s.read(ctx).Raw(query).Scan(&versions).Error; err != nil {
			return nil, s.unavailable("read "+versionTable, err)
		}
		for _, v := range versions {
			applied[v] = true
		}
	}
	var steps []step
	for _, m := range all {
		if !applied[m.Version] {
			steps = append(steps, step{line: m.Line(), run: s.applyOwn(m)})
		}
	}
	return steps, nil
}

// applyOwn runs the statements of a migration, and notes that they were run. Goose wants
// the row of version 0; without it, it would not go on from here.
func (s *Store) applyOwn(m migrations.Migration) func(db *gorm.DB) error {
	const note = "INSERT INTO " + versionTable + " (version_id, is_applied) " +
		"SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM " + versionTable + " v WHERE v.version_id = ?)"
	return func(db *gorm.DB) error {
		if err := db.Exec(s.dialect.versions()).Error; err != nil {
			return err
		}
		for _, statement := range m.Statements {
			done, err := s.added(db, statement)
			if err == nil && !done {
				err = db.Exec(statement).Error
			}
			if err != nil {
				return err
			}
		}
		for _, version := range []int64{0, m.Version} {
			if err := db.Exec(note, version, true, version).Error; err != nil {
				return err
			}
		}
		return nil
	}
}

// adding is a statement that adds a column. SQLite and MySQL cannot say IF NOT EXISTS in it.
var adding = regexp.MustCompile(`^ALTER TABLE (\w+) ADD COLUMN (\w+) `)

// added reports whether a statement adds a column that is there.
func (s *Store) added(db *gorm.DB, statement string) (bool, error) {
	names := adding.FindStringSubmatch(statement)
	if names == nil {
		return false, nil
	}
	at, err := s.dialect.catalog(db.Statement.Context, db.Statement.ConnPool, names[1])
	if err != nil {
		return false, err
	}
	_, there := at.Column(names[2])
	return there, nil
}
