package survey

import (
	"context"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// Rights says of each entity's table what the connection's role may not do with the columns of the entity: such writes
// would wait, and such reads fail. It asks for plans alone, so that nothing is read or written, and no trigger runs.
func (s *Survey) Rights(ctx context.Context) ([]string, error) {
	d := s.in.DB.Dialect
	if d.CatalogOf() == catalog.SQLite {
		return nil, nil
	}
	var lines []string
	for _, t := range s.in.Tables {
		at, err := s.in.DB.Catalog(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		if !at.Exists() {
			continue
		}
		var lacks []string
		for _, p := range s.probes(t, at) {
			if d.Denied(s.in.DB.Read(ctx).Exec("EXPLAIN " + p.statement).Error) {
				lacks = append(lacks, p.right)
			}
		}
		if len(lacks) > 0 {
			rights := strings.Join(lacks, ", ")
			lines = append(lines, t.Name+": the database's role has no right to "+rights+" the columns of "+t.Entity.Name+
				"; GRANT "+rights+" ON "+t.Name+" TO it")
		}
	}
	return lines, nil
}

type probe struct{ right, statement string }

// probes are the statements that reads and flushes send, which find no row. What is wrong with them but for rights the
// verdicts say.
func (s *Survey) probes(t *mapping.Table, at *catalog.Table) []probe {
	var columns, sets []string
	verdicts := t.Verdicts(at, s.in.DB.Dialect)
	for i, c := range t.Columns {
		if v := verdicts[i]; v.Hold == catalog.Database && v.Why == catalog.Computes {
			continue
		}
		columns = append(columns, mapping.Quote(c.Name))
		if i >= t.Keys {
			sets = append(sets, mapping.Quote(c.Name)+" = NULL")
		}
	}
	table, from := mapping.QuoteTable(t.Name), ""
	if s.in.DB.Dialect.CatalogOf() != catalog.PostgreSQL {
		from = " FROM DUAL"
	}
	all := []probe{
		{"SELECT", "SELECT " + strings.Join(t.Shown, ", ") + " FROM " + table + " WHERE false"},
		{"INSERT", "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") SELECT " +
			strings.Join(slices.Repeat([]string{"NULL"}, len(columns)), ", ") + from + " WHERE false"},
		{"DELETE", "DELETE FROM " + table + " WHERE false"},
	}
	if len(sets) > 0 {
		all = append(all, probe{"UPDATE", "UPDATE " + table + " SET " + strings.Join(sets, ", ") + " WHERE false"})
	}
	return all
}
