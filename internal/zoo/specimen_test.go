package zoo

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"
)

//go:embed postgres mariadb sqlite
var files embed.FS

// specimen is one file: what the comment at its top says, and the statements below it.
type specimen struct {
	name  string // "postgres/rails_users"
	about string // the first line, as in README.md
	sql   string

	Role     string        // PostgreSQL: that Afterwrite connects as
	Granted  string        // statements that follow `afterwrite migrate`
	Entities yaml.MapSlice // as in afterwrite.yaml; the first is the one that is written

	Values    map[string][]any          // field → values that patches give it
	Put       map[string]map[string]any // id → a whole record, of a row that exists or not
	Increment []string                  // fields
	Delete    []string                  // ids
	Refused   []refused                 // writes that are refused or rejected, each of a record of its own
	Start     []start                   // entities that no process starts with
	Foreign   map[string]string         // id → column with a value that the field cannot show
	Kept      []string                  // ids of rows that we leave alone
	Hidden    []string                  // ids of rows that the database does not show us
	Strange   []string                  // ids that no request can name
	Moved     []string                  // columns that the table itself changes on a write
	Other     map[string]string         // column → expression with {n} that a second program writes to every row
	Insert    string                    // statement with {n} of the second program's, which makes a row
	Check     []string                  // queries of one truth each, at the end
}

// refused is a write that is not persisted, and why.
type refused struct {
	Op, ID string
	Fields map[string]any
	Says   string // a part of the problem document
}

// start changes fields of the entity, or settings of it, to ones that are refused.
type start struct {
	Fields, Set yaml.MapSlice
	Says        string
}

func (s *specimen) dialect() string { return path.Dir(s.name) }

// entity is the name and the settings of the entity that is written.
func (s *specimen) entity() (string, yaml.MapSlice) {
	return s.Entities[0].Key.(string), s.Entities[0].Value.(yaml.MapSlice)
}

// unfit reports that no process starts on the table as it is.
func (s *specimen) unfit() bool {
	return slices.ContainsFunc(s.Start, func(c start) bool { return len(c.Fields)+len(c.Set) == 0 })
}

// changed are the entities with a change of the first one.
func (s *specimen) changed(c start) yaml.MapSlice {
	name, settings := s.entity()
	settings = merged(settings, c.Set)
	for i, at := range settings {
		if at.Key == "fields" {
			settings[i].Value = merged(at.Value.(yaml.MapSlice), c.Fields)
		}
	}
	return merged(s.Entities, yaml.MapSlice{{Key: name, Value: settings}})
}

func merged(at, changes yaml.MapSlice) yaml.MapSlice {
	at = slices.Clone(at)
	for _, c := range changes {
		i := slices.IndexFunc(at, func(item yaml.MapItem) bool { return item.Key == c.Key })
		if i < 0 {
			at = append(at, c)
		} else {
			at[i].Value = c.Value
		}
	}
	return at
}

// specimens reads every file, in the order of their names.
func specimens(t *testing.T) []*specimen {
	t.Helper()
	names, err := fs.Glob(files, "*/*.sql")
	require.NoError(t, err)
	var all []*specimen
	for _, file := range names {
		text, err := files.ReadFile(file)
		require.NoError(t, err)
		head, sql, ok := strings.Cut(strings.TrimPrefix(string(text), "/*\n"), "\n*/\n")
		require.True(t, ok, "%s begins with a comment", file)
		about, head, _ := strings.Cut(head, "\n")
		s := &specimen{name: strings.TrimSuffix(file, ".sql"), sql: sql, about: about}
		require.NoError(t, yaml.UnmarshalWithOptions([]byte(head), s, yaml.Strict(), yaml.UseOrderedMap()), file)
		for _, list := range s.Values {
			for i := range list {
				list[i] = plain(list[i])
			}
		}
		for _, record := range s.Put {
			for name := range record {
				record[name] = plain(record[name])
			}
		}
		require.NotEmpty(t, s.about, file)
		require.NotEmpty(t, s.Entities, file)
		all = append(all, s)
	}
	return all
}

// onMySQL are the specimens of MariaDB that MySQL itself takes: it keeps no versions of rows.
func onMySQL(all []*specimen) (some []*specimen) {
	for _, s := range all {
		if s.dialect() == "mariadb" && !strings.Contains(s.sql, "SYSTEM VERSIONING") {
			s.name = "mysql/" + path.Base(s.name)
			s.sql = strings.ReplaceAll(s.sql, "utf8mb4_nopad_bin", "utf8mb4_0900_bin")
			some = append(some, s)
		}
	}
	return some
}

// plain is a value of YAML as one of JSON.
func plain(v any) any {
	switch v := v.(type) {
	case yaml.MapSlice:
		m := map[string]any{}
		for _, item := range v {
			m[fmt.Sprint(item.Key)] = plain(item.Value)
		}
		return m
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

// README.md has a line for each file, which this test makes of them.
func TestReadme(t *testing.T) {
	t.Parallel()
	all := specimens(t)
	require.GreaterOrEqual(t, len(all), 40)
	text, err := fs.ReadFile(readme, "README.md")
	require.NoError(t, err)
	for _, s := range all {
		require.Contains(t, string(text), fmt.Sprintf("| `%s` | %s |\n", s.name, s.about))
	}
	require.Equal(t, len(all), strings.Count(string(text), "\n| `"), "files in README.md")
}

//go:embed README.md
var readme embed.FS
