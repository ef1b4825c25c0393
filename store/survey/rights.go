package survey

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// rightsTime bounds the look at one table of MySQL or MariaDB: a plan waits for a program that locks the table or
// changes it. A right that could not be asked for is not said to be lacking.
const rightsTime = 2 * time.Second

// Rights says of each entity's table what the connection's role may not do with the columns of the entity: such writes
// would wait, and such reads fail. No row is read or written, and no trigger runs.
func (s *Survey) Rights(ctx context.Context) ([]string, error) {
	lacking := map[string]func(context.Context, *mapping.Table, []string, []string) []string{
		"postgres": s.lackingPostgres, "mysql": s.lackingMySQL,
	}[s.in.DB.Dialect.Name()]
	if lacking == nil {
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
		columns, sets := s.written(t, at)
		if lacks := lacking(ctx, t, columns, sets); len(lacks) > 0 {
			rights := strings.Join(lacks, ", ")
			lines = append(lines, t.Name+": the database's role has no right to "+rights+" the columns of "+t.Entity.Name+
				"; GRANT "+rights+" ON "+t.Name+" TO it")
		}
	}
	return lines, nil
}

// written are the columns that a flush inserts, and of these the ones that it updates. What is wrong with the others
// the verdicts say.
func (s *Survey) written(t *mapping.Table, at *catalog.Table) (columns, sets []string) {
	verdicts := t.Verdicts(at, s.in.DB.Dialect)
	for i, c := range t.Columns {
		if v := verdicts[i]; v.Hold == catalog.Database && v.Why == catalog.Computes {
			continue
		}
		columns = append(columns, c.Name)
		if i >= t.Keys {
			sets = append(sets, c.Name)
		}
	}
	return columns, sets
}

// lackingPostgres asks functions that take no lock. A plan takes one, and CREATE INDEX may hold the table for hours.
func (s *Survey) lackingPostgres(ctx context.Context, t *mapping.Table, columns, sets []string) (lacks []string) {
	table := watching.SQLText(mapping.QuoteTable(t.Name))
	all := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		all[i] = c.Name
	}
	may := func(right string, columns []string) string {
		test := "true"
		for _, c := range columns {
			test += " AND has_column_privilege(" + table + ", " + watching.SQLText(c) + ", '" + right + "')"
		}
		return "('" + right + "', " + test + ")"
	}
	s.in.DB.Read(ctx).Raw("SELECT privilege FROM (VALUES " + may("SELECT", all) + ", " + may("INSERT", columns) + ", " +
		may("UPDATE", sets) + ", ('DELETE', has_table_privilege(" + table + ", 'DELETE'))) AS of (privilege, held) " +
		"WHERE NOT held").Scan(&lacks)
	return lacks
}

// lackingMySQL asks for the plans of the statements that reads and flushes send, which find no row.
func (s *Survey) lackingMySQL(ctx context.Context, t *mapping.Table, columns, sets []string) (lacks []string) {
	ctx, cancel := context.WithTimeout(ctx, rightsTime)
	defer cancel()
	table := mapping.QuoteTable(t.Name)
	quoted := func(names []string, end string) string {
		list := make([]string, len(names))
		for i, name := range names {
			list[i] = mapping.Quote(name) + end
		}
		return strings.Join(list, ", ")
	}
	plans := [][2]string{
		{"SELECT", "SELECT " + strings.Join(t.Shown, ", ") + " FROM " + table + " WHERE false"},
		{"INSERT", "INSERT INTO " + table + " (" + quoted(columns, "") + ") SELECT " +
			strings.Join(slices.Repeat([]string{"NULL"}, len(columns)), ", ") + " FROM DUAL WHERE false"},
	}
	if len(sets) > 0 {
		plans = append(plans, [2]string{"UPDATE", "UPDATE " + table + " SET " + quoted(sets, " = NULL") + " WHERE false"})
	}
	for _, plan := range append(plans, [2]string{"DELETE", "DELETE FROM " + table + " WHERE false"}) {
		if s.in.DB.Dialect.Denied(s.in.DB.Read(ctx).Exec("EXPLAIN " + plan[1]).Error) {
			lacks = append(lacks, plan[0])
		}
	}
	return lacks
}
