package store

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"

	"gorm.io/gorm"
)

// migrations are the project's own tables, a folder for each dialect. Each statement does
// nothing where it is done already. The files can be applied by goose, too.
//
//go:embed migrations
var migrations embed.FS

// Migrations returns the files that make the project's own tables, a folder for each
// dialect ("postgres", "sqlite", "mysql"), named by their number: for teams that apply
// them with a tool of their own. [Store.Migrate] does so by itself.
func Migrations() fs.FS {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the name is a constant
	}
	return files
}

// versionTable keeps which of the own migrations were applied, in the form of goose.
const versionTable = "afterwrite_migrations"

// beginUp precedes the statements of a migration.
const beginUp = "-- +goose Up\n"

// ownMigration is one file of the own migrations.
type ownMigration struct {
	version    int64
	file       string
	statements []string
}

func (m ownMigration) line() string { return "apply " + m.file }

// ownMigrations lists those of a dialect in their order.
func ownMigrations(dialect string) ([]ownMigration, error) {
	files, err := fs.ReadDir(migrations, "migrations/"+dialect)
	if err != nil {
		return nil, err
	}
	all := make([]ownMigration, 0, len(files))
	for _, f := range files {
		text, err := fs.ReadFile(migrations, "migrations/"+dialect+"/"+f.Name())
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(f.Name(), "_")
		m := ownMigration{file: f.Name()}
		if m.version, err = strconv.ParseInt(number, 10, 64); err != nil {
			return nil, fmt.Errorf("migration %s: %w", f.Name(), err)
		}
		_, up, ok := strings.Cut(string(text), beginUp)
		if !ok {
			return nil, fmt.Errorf("migration %s has no %q", f.Name(), strings.TrimSpace(beginUp))
		}
		m.statements = statements(up)
		all = append(all, m)
	}
	return all, nil
}

// Between these lines is one statement, such as a function's.
const (
	beginWhole = "-- +goose StatementBegin\n"
	endWhole   = "-- +goose StatementEnd\n"
)

// statements cuts a file where a line ends with a semicolon, except between beginWhole and endWhole.
func statements(text string) []string {
	var all []string
	for text != "" {
		short, after, _ := strings.Cut(text, beginWhole)
		whole, rest, _ := strings.Cut(after, endWhole)
		for _, statement := range append(strings.Split(short, ";\n"), whole) {
			if statement = strings.TrimSuffix(strings.TrimSpace(statement), ";"); statement != "" {
				all = append(all, statement)
			}
		}
		text = rest
	}
	return all
}

// ownSteps are the own migrations that were not applied yet.
func (s *Store) ownSteps(ctx context.Context) ([]step, error) {
	all, err := ownMigrations(s.dialect.name())
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
		if !applied[m.version] {
			steps = append(steps, step{line: m.line(), run: s.applyOwn(m)})
		}
	}
	return steps, nil
}

// applyOwn runs the statements of a migration, and notes that they were run. Goose wants
// the row of version 0; without it, it would not go on from here.
func (s *Store) applyOwn(m ownMigration) func(db *gorm.DB) error {
	const note = "INSERT INTO " + versionTable + " (version_id, is_applied) " +
		"SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM " + versionTable + " v WHERE v.version_id = ?)"
	return func(db *gorm.DB) error {
		if err := db.Exec(s.dialect.versions()).Error; err != nil {
			return err
		}
		for _, statement := range m.statements {
			done, err := s.added(db, statement)
			if err == nil && !done {
				err = db.Exec(statement).Error
			}
			if err != nil {
				return err
			}
		}
		for _, version := range []int64{0, m.version} {
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
