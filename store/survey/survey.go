// Package survey says what a store's database holds beside the records: its tables, how well they fit their entities,
// and how those that other programs write are watched.
package survey

import (
	"context"
	"fmt"
	"strings"

	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/migrate"
)

// Survey looks at the database of a store. It is safe for concurrent use.
type Survey struct{ in *migrate.Migration }

// Of returns the survey of a store's database.
func Of(s *store.Store) *Survey { return &Survey{s.Inside()} }

// listTables name the tables of the connection's schema or database, but for partitions of others.
var listTables = map[string]string{
	"postgres": `SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace
		AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname`,
	"mysql": `SELECT table_name FROM information_schema.tables
		WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name`,
	"sqlite": `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`,
}

// Tables reads what the database says about its tables, by name, for a configuration to be
// proposed from. Afterwrite's own are left out.
func (s *Survey) Tables(ctx context.Context) ([]*catalog.Table, error) {
	rows, err := s.in.DB.Reading.SQL.QueryContext(ctx, listTables[s.in.DB.Dialect.Name()])
	if err != nil {
		return nil, s.in.DB.Unavailable("list the tables", err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("list the tables: %w", err)
		}
		if !strings.HasPrefix(name, "afterwrite_") && name != "goose_db_version" {
			names = append(names, name)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, s.in.DB.Unavailable("list the tables", err)
	}
	tables := make([]*catalog.Table, len(names))
	for i, name := range names {
		at, err := s.in.DB.Catalog(ctx, name)
		if err != nil {
			return nil, err
		}
		plain := *at
		plain.Name = name // PostgreSQL's is quoted where it needs to be, and where not
		tables[i] = &plain
	}
	return tables, nil
}

// Propose returns an entity for a table, see [catalog.Propose].
func (s *Survey) Propose(at *catalog.Table) catalog.Proposal {
	return catalog.Propose(s.in.DB.Dialect.CatalogOf(), at)
}

// Unseen names the triggers that may change rows of other entities, which no flush can tell:
// what is cached of those stays as it was until it expires. Where the other table is watched, its
// triggers note the changes.
func (s *Survey) Unseen(ctx context.Context) ([]string, error) {
	var lines []string
	for _, t := range s.in.Tables {
		at, err := s.in.DB.Catalog(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		more, err := s.in.Unseen(ctx, t, at)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	return lines, nil
}
