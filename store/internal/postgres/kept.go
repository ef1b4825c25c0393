package postgres

import (
	"context"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// Where no pooler is between, a session keeps the statements of a flush prepared: the server parses and plans them
// once and not for each flush. It analyses them again when a table that they name is changed, but not when another
// table gets the name, by a schema that comes first in search_path: another table has other statements, by the comment
// that ends them, see database.Transaction. Nor does it when the policies that apply to a role become others: a table
// with row security has no kept statements.

// keeps reports whether sessions are ours alone.
func (d *postgres) keeps() bool { return d.sessions != nil && !d.pooled.Load() && d.keep }

// kept has a statement with these arguments kept prepared, where sessions are ours alone.
func (d *postgres) kept(args ...any) []any {
	if !d.keeps() {
		return args
	}
	return append([]any{pgx.QueryExecModeCacheStatement}, args...)
}

// forgotten returns an error of a kept statement. Where a session does not know a statement that was prepared on it, or
// knows one that was not, a pooler is between that was not found, and nothing is kept any more.
func (d *postgres) forgotten(err error) error {
	if code := pgCode(err); d.keeps() && (code == "26000" || code == "42P05") {
		d.pooled.Store(true)
	}
	return err
}

// markKept asks for the mark of a table by a kept statement whose plan has the answer: afterwrite_marked is
// IMMUTABLE, so the planner calls it. The server locks the table, and then throws a plan away that is older than a
// change of the table, its columns, indexes, constraints, triggers or rules. No plan depends on the triggers of
// partitions, on the texts of triggers' functions, on roles, and on the keys that lead on from other tables: tables
// with those are asked about each time. done is false where nothing was sent. A mark of "" is of another table, which
// has the name now.
func (d *postgres) markKept(t *database.Transaction, of database.Target, savepoint []string) (mark string, done bool,
	err error) {
	at := of.Catalog
	if !d.keeps() || t.Note == nil || at == nil || at.Kind != catalog.Plain || len(at.Triggers)+len(at.Watches) > 0 ||
		at.Policies || at.Changes() {
		return "", false, nil
	}
	err = t.Raw(func(c any) (err error) {
		var conn *stdlib.Conn
		if conn, done = c.(*stdlib.Conn); done {
			mark, err = marked(t.DB.Statement.Context, conn.Conn(), of.Name, at.ID, t.Note, savepoint)
		}
		return d.forgotten(err)
	})
	return mark, done, err
}

// marked is markKept of the table with that name and oid, on a connection.
func marked(ctx context.Context, conn *pgx.Conn, table, oid string, note *database.Note, savepoint []string) (string,
	error) {
	quoted := mapping.QuoteTable(table)
	query := "SELECT CASE to_regclass(" + watching.SQLText(quoted) + ") WHEN '" + oid + "'::regclass THEN afterwrite_marked('" +
		oid + "') END WHERE NOT EXISTS (SELECT FROM " + quoted + " WHERE false)"
	lock, reach := "SELECT "+holding(quoted), reaching+"$1, $2, $3, $4, $5, $6, $7)"
	var names []string
	for _, statement := range []string{lock, query, reach} {
		prepared, err := conn.Prepare(ctx, statement, statement)
		if err != nil {
			return "", err
		}
		names = append(names, prepared.Name)
	}
	p := conn.PgConn().StartPipeline(ctx)
	p.SendQueryPrepared(names[0], nil, nil, nil)
	p.SendQueryPrepared(names[1], nil, nil, nil)
	p.SendQueryPrepared(names[2], [][]byte{[]byte(note.Entity), number(int64(note.Partition)), []byte(note.Turn),
		number(note.Reach.Before), number(note.Reach.Last), number(int64(note.Reach.Version)),
		number(int64(note.Reach.Newest))}, nil, nil)
	for _, statement := range savepoint {
		p.SendQueryParams(statement, nil, nil, nil, nil)
	}
	mark, err := secondText(p)
	if end := p.Close(); err == nil { // which says the same error again
		err = end
	}
	return mark, err
}

func number(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// secondText sends a pipeline and returns the first text of its second result, "" for NULL.
func secondText(p *pgconn.Pipeline) (text string, err error) {
	if err := p.Sync(); err != nil {
		return "", err
	}
	for n := 0; ; n++ {
		results, err := p.GetResults()
		if err != nil {
			return "", err
		}
		reader, ok := results.(*pgconn.ResultReader)
		if !ok {
			return text, nil
		}
		read := reader.Read()
		if read.Err != nil {
			return "", read.Err
		}
		if n == 1 && len(read.Rows) > 0 {
			text = string(read.Rows[0][0])
		}
	}
}
