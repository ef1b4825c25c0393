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
// table gets the name, by a schema that comes first in search_path: so each statement on a table tells that table's
// oid in a comment, and another table has another statement.

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
// partitions and on the texts of triggers' functions: tables with those are asked about each time. done is false
// where nothing was sent. A mark of "" is of another table, which has the name now and is not locked.
func (d *postgres) markKept(t *database.Transaction, of database.Target, savepoint []string) (mark string, done bool,
	err error) {
	at := of.Catalog
	if !d.keeps() || t.Note == nil || at == nil || at.Kind != catalog.Plain || len(at.Triggers)+len(at.Watches) > 0 {
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
	asks, err := conn.Prepare(ctx, query, query)
	if err != nil {
		return "", err
	}
	const reach = reaching + "$1, $2, $3, $4, $5, $6, $7)"
	notes, err := conn.Prepare(ctx, reach, reach)
	if err != nil {
		return "", err
	}
	p := conn.PgConn().StartPipeline(ctx)
	p.SendQueryPrepared(asks.Name, nil, nil, nil)
	p.SendQueryPrepared(notes.Name, [][]byte{[]byte(note.Entity), number(int64(note.Partition)), []byte(note.Turn),
		number(note.Reach.Before), number(note.Reach.Last), number(int64(note.Reach.Version)),
		number(int64(note.Reach.Newest))}, nil, nil)
	for _, statement := range savepoint {
		p.SendQueryParams(statement, nil, nil, nil, nil)
	}
	mark, err := firstText(p)
	if end := p.Close(); err == nil { // which says the same error again
		err = end
	}
	return mark, err
}

func number(n int64) []byte { return strconv.AppendInt(nil, n, 10) }

// firstText sends a pipeline and returns the first text of its first result, "" for NULL.
func firstText(p *pgconn.Pipeline) (text string, err error) {
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
		if n == 0 && len(read.Rows) > 0 {
			text = string(read.Rows[0][0])
		}
	}
}
