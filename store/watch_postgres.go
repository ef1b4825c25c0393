package store

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

func (*postgres) home(ctx context.Context, q catalog.Querier) (string, error) {
	return oneText(ctx, q, `SELECT quote_ident(coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = to_regclass('`+changesTable+`')), current_schema())) || '.'`)
}

// owns reports whether we may do what the owner of a table may; of one that does not exist yet.
func (*postgres) owns(ctx context.Context, q catalog.Querier, table string) (bool, error) {
	text, err := oneText(ctx, q, `SELECT coalesce((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class
		WHERE oid = to_regclass(`+sqlText(quoteTable(table))+`)), true)::text`)
	return text == "true", err
}

// oneText is the one text of a query.
func oneText(ctx context.Context, q catalog.Querier, query string) (text string, err error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&text); err != nil {
			return "", err
		}
	}
	return text, rows.Err()
}

// The function runs as its owner, with a fixed search_path, so that every role that may write
// the table may write notes. Where our table is gone it does nothing: the write of another
// program must not fail for that.
func (d *postgres) function(w *watching) string {
	id := func(row string) string {
		return w.id(func(c *column) string { return d.shows(row+"."+quote(c.name), c.field.Type) }, concatenated)
	}
	return fmt.Sprintf(`
DECLARE
	noted text := '';
BEGIN
	IF to_regclass(%s) IS NULL THEN
		RETURN NULL;
	END IF;
	IF TG_OP = 'INSERT' THEN
		noted := %[3]s;
	ELSIF TG_OP <> 'TRUNCATE' THEN
		noted := %[2]s;
	END IF;
	LOOP
		IF octet_length(noted) BETWEEN 1 AND %[7]d OR TG_OP = 'TRUNCATE' THEN
			INSERT INTO %[4]s AS c (pairing, entity, id, stamp, noted_at)
				VALUES (%[5]s, noted, txid_current(), %[6]s)
				ON CONFLICT (pairing, entity, id) DO UPDATE SET stamp = excluded.stamp, noted_at = excluded.noted_at
				WHERE c.stamp <> excluded.stamp;
		END IF;
		EXIT WHEN TG_OP <> 'UPDATE';
		EXIT WHEN %[3]s IS NOT DISTINCT FROM noted;
		noted := %[3]s;
	END LOOP;
	RETURN NULL;
END
`, sqlText(w.home+changesTable), id("OLD"), id("NEW"), w.home+changesTable, w.pairingEntity(), d.now(),
		schema.MaxIDBytes)
}

func (*postgres) now() string { return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint" }

func (d *postgres) triggers(w *watching) (before []string, all []watchTrigger) {
	function := w.home + quote(w.base) + "()"
	before = []string{
		"CREATE OR REPLACE FUNCTION " + function + " RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER" +
			" SET search_path = pg_catalog, pg_temp AS $afterwrite$" + d.function(w) + "$afterwrite$",
		"REVOKE ALL ON FUNCTION " + function + " FROM PUBLIC",
	}
	table := quoteTable(w.table.name)
	for _, t := range []struct{ suffix, event, each string }{
		{"_row", "INSERT OR UPDATE OR DELETE", "ROW"}, {"_all", "TRUNCATE", "STATEMENT"},
	} {
		name := w.name + t.suffix
		create := []string{"CREATE TRIGGER " + quote(name) + " AFTER " + t.event + " ON " + table + " FOR EACH " + t.each +
			" WHEN (current_setting('afterwrite.flush', true) IS DISTINCT FROM " + sqlText(w.mark) + ")" +
			" EXECUTE FUNCTION " + function}
		if w.owned { // what a subscription of logical replication writes is noted, too
			create = append(create, "ALTER TABLE "+table+" ENABLE ALWAYS TRIGGER "+quote(name))
		}
		all = append(all, watchTrigger{name, create})
	}
	return before, all
}

func (*postgres) dropTrigger(w *watching, name string) string {
	return "DROP TRIGGER IF EXISTS " + quote(name) + " ON " + quoteTable(w.table.name)
}

func (*postgres) dropRest(w *watching) []string {
	return []string{"DROP FUNCTION IF EXISTS " + w.home + quote(w.base) + "()"}
}

// flushing is a setting of the transaction alone, which a pooler cannot hand to another client.
func (*postgres) flushing(w *watching) (begin, end string) {
	return "SET LOCAL afterwrite.flush = " + sqlText(w.mark), ""
}

func (*postgres) unseen() string { return "" }

// forget deletes notes by one statement, so that no note stays locked for longer. What another
// transaction holds is left for later: to wait for it with locks on other notes could be a
// deadlock, and its note has another stamp afterwards.
func (*postgres) forget(tx *transaction, entity string, notes []Note) error {
	ids, stamps := make(texts, len(notes)), make([]int64, len(notes))
	for i := range notes {
		ids[i], stamps[i] = &notes[i].ID, notes[i].Stamp
	}
	_, err := tx.tx.ExecContext(tx.db.Statement.Context, `DELETE FROM `+changesTable+` WHERE ctid = ANY (ARRAY(
		SELECT c.ctid FROM `+changesTable+` c JOIN unnest($3::text[], $4::bigint[]) AS n (id, stamp)
			ON c.pairing = $1 AND c.entity = $2 AND c.id = n.id AND c.stamp = n.stamp
		FOR UPDATE OF c SKIP LOCKED))`, tx.store.cfg.Pair, entity, ids, stamps)
	return err
}
