package store

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

func (*sqlite) home(context.Context, catalog.Querier) (string, error) { return "", nil }
func (*sqlite) function(*watching) string                             { return "" }
func (*sqlite) dropRest(*watching) []string                           { return nil }
func (*sqlite) unseen() string                                        { return "" }

// now is spelled so that every version of the library takes it: other programs run the triggers.
func (*sqlite) now() string { return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)" }

// triggers have no statement that can conflict: the conflict clause of the statement that runs
// them would decide what becomes of it.
func (d *sqlite) triggers(w *watching) (before []string, all []watchTrigger) {
	id := func(row string) string {
		return w.id(func(c *column) string {
			return "CAST(" + d.shows(row+"."+quote(c.name), c.field.Type) + " AS TEXT)"
		}, concatenated)
	}
	note := func(row, condition string) string {
		if condition != "" {
			condition = " AND " + condition
		}
		return fmt.Sprintf(" DELETE FROM %s WHERE %s AND id = %s%s; INSERT INTO %[1]s (pairing, entity, id, stamp, noted_at)"+
			" SELECT %[5]s, %[3]s, random(), %[6]s WHERE length(CAST(%[3]s AS BLOB)) BETWEEN 1 AND %[7]d%[4]s;",
			changesTable, w.where(), id(row), condition, w.pairingEntity(), d.now(), schema.MaxIDBytes)
	}
	changed := "(" + id("OLD") + ") IS NOT (" + id("NEW") + ")"
	for _, t := range []struct{ suffix, event, body string }{
		{"_ins", "INSERT", note("NEW", "")},
		{"_upd", "UPDATE", note("OLD", "") + note("NEW", changed)},
		{"_del", "DELETE", note("OLD", "")},
	} {
		name := w.name + t.suffix
		all = append(all, watchTrigger{name, []string{"CREATE TRIGGER IF NOT EXISTS " + quote(name) + " AFTER " + t.event +
			" ON " + quoteTable(w.table.name) + " WHEN NOT EXISTS (SELECT 1 FROM " + watchesTable + " WHERE " + w.where() +
			" AND flushing = 1) BEGIN" + t.body + " END"}})
	}
	return nil, all
}

func (*sqlite) dropTrigger(_ *watching, name string) string {
	return "DROP TRIGGER IF EXISTS " + quote(name)
}

// flushing changes a row of the transaction, which no other one sees.
func (*sqlite) flushing(w *watching) (begin, end string) {
	set := "UPDATE " + watchesTable + " SET flushing = %d WHERE " + w.where()
	return fmt.Sprintf(set, 1), fmt.Sprintf(set, 0)
}

func (*sqlite) forget(tx *transaction, entity string, notes []Note) error {
	return forgetSeen(tx, entity, notes, "")
}
