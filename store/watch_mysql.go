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

// triggers run with the rights of the user who made them. For the rows of a flush each does no
// more than to compare a variable.
func (d *mysql) triggers(w *watching) (before []string, all []watchTrigger) {
	id := func(row string) string {
		text := w.id(func(c *column) string { return "CONVERT(" + row + "." + backtick(c.name) + " USING utf8mb4)" },
			func(parts []string) string { return "concat(" + strings.Join(parts, ", ") + ")" })
		return "CAST(" + text + " AS BINARY)"
	}
	note := func(row, condition string) string {
		return fmt.Sprintf("IF LENGTH(%s) BETWEEN 1 AND %d%s THEN INSERT INTO %s (pairing, entity, id, stamp, noted_at) "+
			"VALUES (%s, %[1]s, FLOOR(RAND() * 9007199254740992), %[6]s) "+
			"ON DUPLICATE KEY UPDATE stamp = VALUES(stamp), noted_at = VALUES(noted_at); END IF; ",
			id(row), schema.MaxIDBytes, condition, w.home+changesTable, w.pairingEntity(), d.now())
	}
	for _, t := range []struct{ suffix, event, body string }{
		{"_ins", "INSERT", note("NEW", "")},
		{"_upd", "UPDATE", note("NEW", "") + note("OLD", " AND NOT ("+id("OLD")+" <=> "+id("NEW")+")")},
		{"_del", "DELETE", note("OLD", "")},
	} {
		name := w.name + t.suffix
		all = append(all, watchTrigger{name, []string{"CREATE TRIGGER " + backtick(triggerIn(w.table.name, name)) + " AFTER " +
			t.event + " ON " + backtick(w.table.name) + " FOR EACH ROW IF NOT (@afterwrite_flush <=> " + sqlText(w.mark) +
			") THEN " + t.body + "END IF"}})
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
