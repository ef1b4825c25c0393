package postgres

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

func (*postgres) Home(ctx context.Context, q catalog.Querier) (string, error) {
	return database.OneText(ctx, q, `SELECT quote_ident(coalesce((SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.oid = to_regclass('`+watching.ChangesTable+`')), current_schema())) || '.'`)
}

// Owns reports whether we may do what the owner of a table may; of one that does not exist yet.
func (*postgres) Owns(ctx context.Context, q catalog.Querier, table string) (bool, error) {
	text, err := database.OneText(ctx, q, `SELECT coalesce((SELECT pg_has_role(relowner, 'USAGE') FROM pg_class
		WHERE oid = to_regclass(`+watching.SQLText(mapping.QuoteTable(table))+`)), true)::text`)
	return text == "true", err
}

// The function runs as its owner, with a fixed search_path, so that every role that may write
// the table may write notes. Where our table is gone it does nothing: the write of another
// program must not fail for that.
func (d *postgres) Function(w *watching.Definition) string {
	id := func(row string) string {
		return w.ID(func(c *mapping.Column) string {
			return d.Shows(row+"."+mapping.Quote(c.Name), c.Field.Type)
		}, watching.Concatenated)
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
`, watching.SQLText(w.Home+watching.ChangesTable), id("OLD"), id("NEW"), w.Home+watching.ChangesTable, w.PairingEntity(), d.Now(),
		schema.MaxIDBytes)
}

func (*postgres) Now() string { return "(extract(epoch FROM clock_timestamp()) * 1000)::bigint" }

func (d *postgres) Triggers(w *watching.Definition) (before []string, all []watching.Trigger) {
	function := w.Home + mapping.Quote(w.Base) + "()"
	before = []string{
		"CREATE OR REPLACE FUNCTION " + function + " RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER" +
			" SET search_path = pg_catalog, pg_temp AS $afterwrite$" + d.Function(w) + "$afterwrite$",
		"REVOKE ALL ON FUNCTION " + function + " FROM PUBLIC",
	}
	table := mapping.QuoteTable(w.Table.Name)
	for _, t := range []struct{ suffix, event, each string }{
		{"_row", "INSERT OR UPDATE OR DELETE", "ROW"}, {"_all", "TRUNCATE", "STATEMENT"},
	} {
		name := w.Prefix + t.suffix
		create := []string{"CREATE TRIGGER " + mapping.Quote(name) + " AFTER " + t.event + " ON " + table + " FOR EACH " + t.each +
			" WHEN (current_setting('afterwrite.flush', true) IS DISTINCT FROM " + watching.SQLText(w.Mark) + ")" +
			" EXECUTE FUNCTION " + function}
		if w.Owned { // what a subscription of logical replication writes is noted, too
			create = append(create, "ALTER TABLE "+table+" ENABLE ALWAYS TRIGGER "+mapping.Quote(name))
		}
		all = append(all, watching.Trigger{Name: name, Create: create})
	}
	return before, all
}

func (*postgres) DropTrigger(w *watching.Definition, name string) string {
	return "DROP TRIGGER IF EXISTS " + mapping.Quote(name) + " ON " + mapping.QuoteTable(w.Table.Name)
}

func (*postgres) DropRest(w *watching.Definition) []string {
	return []string{"DROP FUNCTION IF EXISTS " + w.Home + mapping.Quote(w.Base) + "()"}
}

// Flushing is a setting of the transaction alone, which a pooler cannot hand to another client.
func (*postgres) Flushing(w *watching.Definition) (begin, end string) {
	return "SET LOCAL afterwrite.flush = " + watching.SQLText(w.Mark), ""
}

func (*postgres) Unseen() string { return "" }

// Forget deletes notes by one statement, so that no note stays locked for longer. What another
// transaction holds is left for later: to wait for it with locks on other notes could be a
// deadlock, and its note has another stamp afterwards.
func (*postgres) Forget(tx *gorm.DB, pair, entity string, notes []watching.Note) error {
	ids, stamps := make(texts, len(notes)), make([]int64, len(notes))
	for i := range notes {
		ids[i], stamps[i] = &notes[i].ID, notes[i].Stamp
	}
	_, err := tx.Statement.ConnPool.ExecContext(tx.Statement.Context, `DELETE FROM `+watching.ChangesTable+` WHERE ctid = ANY (ARRAY(
		SELECT c.ctid FROM `+watching.ChangesTable+` c JOIN unnest($3::text[], $4::bigint[]) AS n (id, stamp)
			ON c.pairing = $1 AND c.entity = $2 AND c.id = n.id AND c.stamp = n.stamp
		FOR UPDATE OF c SKIP LOCKED))`, pair, entity, ids, stamps)
	return err
}
