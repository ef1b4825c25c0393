package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/afterwrite/afterwrite/store/catalog"
)

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
func (s *Store) Tables(ctx context.Context) ([]*catalog.Table, error) {
	rows, err := s.reading.sql.QueryContext(ctx, listTables[s.dialect.name()])
	if err != nil {
		return nil, s.unavailable("list the tables", err)
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
		return nil, s.unavailable("list the tables", err)
	}
	tables := make([]*catalog.Table, len(names))
	for i, name := range names {
		at, err := s.catalog(ctx, name)
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
func (s *Store) Propose(at *catalog.Table) catalog.Proposal {
	return catalog.Propose(s.dialect.catalogOf(), at)
}
