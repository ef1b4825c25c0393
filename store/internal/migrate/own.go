package migrate

import (
	"context"
	"regexp"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/migrations"
)

// ownSteps are the own migrations that were not applied yet.
func (m *Migration) ownSteps(ctx context.Context) ([]step, error) {
	all, err := migrations.Of(m.DB.Dialect.Name())
	if err != nil {
		return nil, err
	}
	at, err := m.DB.Catalog(ctx, database.VersionTable)
	if err != nil {
		return nil, err
	}
	applied := map[int64]bool{}
	if at.Exists() {
		var versions []int64
		query := "SELECT version_id FROM " + database.VersionTable + " WHERE is_applied"
		if err := m.DB.Read(ctx).Raw(query).Scan(&versions).Error; err != nil {
			return nil, m.DB.Unavailable("read "+database.VersionTable, err)
		}
		for _, v := range versions {
			applied[v] = true
		}
	}
	var steps []step
	for _, file := range all {
		if !applied[file.Version] {
			steps = append(steps, step{line: file.Line(), run: m.applyOwn(file)})
		}
	}
	return steps, nil
}

// applyOwn runs the statements of a migration, and notes that they were run. Goose wants
// the row of version 0; without it, it would not go on from here.
func (m *Migration) applyOwn(file migrations.Migration) func(db *gorm.DB) error {
	const note = "INSERT INTO " + database.VersionTable + " (version_id, is_applied) " +
		"SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM " + database.VersionTable + " v WHERE v.version_id = ?)"
	return func(db *gorm.DB) error {
		if err := db.Exec(m.DB.Dialect.Versions()).Error; err != nil {
			return err
		}
		for _, statement := range file.Statements {
			done, err := m.added(db, statement)
			if err == nil && !done {
				err = db.Exec(statement).Error
			}
			if err != nil {
				return err
			}
		}
		for _, version := range []int64{0, file.Version} {
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
func (m *Migration) added(db *gorm.DB, statement string) (bool, error) {
	names := adding.FindStringSubmatch(statement)
	if names == nil {
		return false, nil
	}
	at, err := m.DB.Dialect.Catalog(db.Statement.Context, db.Statement.ConnPool, names[1])
	if err != nil {
		return false, err
	}
	_, there := at.Column(names[2])
	return there, nil
}
