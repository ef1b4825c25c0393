// Package migrations are the files of SQL that make the project's own tables, a folder for each dialect.
package migrations

import (
	"embed"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

// Each statement does nothing where it is done already. The files can be applied by goose, too.
//
//go:embed mysql postgres sqlite
var files embed.FS

// Files returns the files that make the project's own tables, a folder for each
// dialect ("postgres", "sqlite", "mysql"), named by their number: for teams that apply
// them with a tool of their own. Migrate of package store does so by itself.
func Files() fs.FS { return files }

// beginUp precedes the statements of a migration.
const beginUp = "-- +goose Up\n"

// Migration is one file.
type Migration struct {
	Version    int64
	file       string
	Statements []string
}

// Line is the migration as a step of a report.
func (m Migration) Line() string { return "apply " + m.file }

// Of lists the migrations of a dialect in their order.
func Of(dialect string) ([]Migration, error) {
	listed, err := fs.ReadDir(files, dialect)
	if err != nil {
		return nil, err
	}
	all := make([]Migration, 0, len(listed))
	for _, f := range listed {
		text, err := fs.ReadFile(files, dialect+"/"+f.Name())
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(f.Name(), "_")
		m := Migration{file: f.Name()}
		if m.Version, err = strconv.ParseInt(number, 10, 64); err != nil {
			return nil, fmt.Errorf("migration %s: %w", f.Name(), err)
		}
		_, up, ok := strings.Cut(string(text), beginUp)
		if !ok {
			return nil, fmt.Errorf("migration %s has no %q", f.Name(), strings.TrimSpace(beginUp))
		}
		m.Statements = statements(up)
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
