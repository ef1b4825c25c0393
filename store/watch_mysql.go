package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

func (*mysql) home(ctx context.Context, q catalog.Querier) (string, error) {
	name, err := oneText(ctx, q, "SELECT DATABASE()")
	return backtick(name) + ".", err
}

// backtick spells an identifier in every mode of the server: statements may be sent by hand.
func backtick(name string) string {
	return "`" + strings.ReplaceAll(name, ".", "`.`") + "`"
}

func (*mysql) function(*watching) string   { return "" }
func (*mysql) dropRest(*watching) []string { return nil }
func (*mysql) now() string                 { return "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)" }

func (*mysql) unseen() string { return "MariaDB and MySQL run no triggers for them" }

// triggers run with the rights of the user who made them. Each is one statement, so that it can
// be sent by any client as it is printed.
func (d *mysql) triggers(w *watching) (before []string, all []watchTrigger) {
	id := func(row string) string {
		text := w.id(func(c *column) string { return "CONVERT(" + row + "." + backtick(c.name) + " USING utf8mb4)" },
			func(parts []string) string { return "concat(" + strings.Join(parts, ", ") + ")" })
		return "CAST(" + text + " AS BINARY)"
	}
	for _, t := range []struct{ suffix, event, row, condition string }{
		{"_ins", "INSERT", "NEW", ""},
		{"_upd", "UPDATE", "NEW", ""},
		{"_old", "UPDATE", "OLD", " AND NOT (" + id("OLD") + " <=> " + id("NEW") + ")"},
		{"_del", "DELETE", "OLD", ""},
	} {
		name := w.name + t.suffix
		create := fmt.Sprintf("CREATE TRIGGER %s AFTER %s ON %s FOR EACH ROW "+
			"INSERT INTO %s (pairing, entity, id, stamp, noted_at) SELECT %s, %s, FLOOR(RAND() * 9007199254740992), %s "+
			"FROM DUAL WHERE NOT (CAST(@afterwrite_flush AS BINARY) <=> CAST(%s AS BINARY)) "+
			"AND LENGTH(%[6]s) BETWEEN 1 AND %[9]d%[10]s "+
			"ON DUPLICATE KEY UPDATE stamp = VALUES(stamp), noted_at = VALUES(noted_at)",
			backtick(triggerIn(w.table.name, name)), t.event, backtick(w.table.name), w.home+changesTable,
			w.pairingEntity(), id(t.row), d.now(), sqlText(w.mark), schema.MaxIDBytes, t.condition)
		all = append(all, watchTrigger{name, []string{create}})
	}
	return nil, all
}

// triggerIn is the name of a trigger, which is in the schema of its table.
func triggerIn(table, name string) string {
	if schema, _, ok := strings.Cut(table, "."); ok {
		return schema + "." + name
	}
	return name
}

func (*mysql) dropTrigger(w *watching, name string) string {
	return "DROP TRIGGER IF EXISTS " + backtick(triggerIn(w.table.name, name))
}

// flushing needs no statement of its own: lock sets the variable of the connection with every
// fence, for the entity whose fence it is.
func (*mysql) flushing(*watching) (begin, end string) { return "", "" }

func (*mysql) forget(tx *transaction, entity string, notes []Note) error {
	return forgetSeen(tx, entity, notes, " FOR UPDATE SKIP LOCKED")
}
