package sqlite

import (
	"context"
	"fmt"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

func (*sqlite) Home(context.Context, catalog.Querier) (string, error) { return "", nil }
func (*sqlite) Function(*watching.Definition) string                  { return "" }
func (*sqlite) DropRest(*watching.Definition) []string                { return nil }
func (*sqlite) Unseen() string                                        { return "" }

// Now is spelled so that every version of the library takes it: other programs run the triggers.
func (*sqlite) Now() string { return "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)" }

// Triggers have no statement that can conflict: the conflict clause of the statement that runs
// them would decide what becomes of it.
func (d *sqlite) Triggers(w *watching.Definition) (before []string, all []watching.Trigger) {
	id := func(row string) string {
		return w.ID(func(c *mapping.Column) string {
			return "CAST(" + d.Shows(row+"."+mapping.Quote(c.Name), c.Field.Type) + " AS TEXT)"
		}, watching.Concatenated)
	}
	note := func(row, condition string) string {
		if condition != "" {
			condition = " AND " + condition
		}
		return fmt.Sprintf(" DELETE FROM %s WHERE %s AND id = %s%s; INSERT INTO %[1]s (pairing, entity, id, stamp, noted_at)"+
			" SELECT %[5]s, %[3]s, random(), %[6]s WHERE length(CAST(%[3]s AS BLOB)) BETWEEN 1 AND %[7]d%[4]s;",
			watching.ChangesTable, w.Where(), id(row), condition, w.PairingEntity(), d.Now(), schema.MaxIDBytes)
	}
	changed := "(" + id("OLD") + ") IS NOT (" + id("NEW") + ")"
	for _, t := range []struct{ suffix, event, body string }{
		{"_ins", "INSERT", note("NEW", "")},
		{"_upd", "UPDATE", note("OLD", "") + note("NEW", changed)},
		{"_del", "DELETE", note("OLD", "")},
	} {
		name := w.Prefix + t.suffix
		all = append(all, watching.Trigger{Name: name, Create: []string{"CREATE TRIGGER IF NOT EXISTS " + mapping.Quote(name) + " AFTER " + t.event +
			" ON " + mapping.QuoteTable(w.Table.Name) + " WHEN NOT EXISTS (SELECT 1 FROM " + watching.WatchesTable + " WHERE " + w.Where() +
			" AND flushing = 1) BEGIN" + t.body + " END"}})
	}
	return nil, all
}

func (*sqlite) DropTrigger(_ *watching.Definition, name string) string {
	return "DROP TRIGGER IF EXISTS " + mapping.Quote(name)
}

// Flushing changes a row of the transaction, which no other one sees.
func (*sqlite) Flushing(w *watching.Definition) (begin, end string) {
	set := "UPDATE " + watching.WatchesTable + " SET flushing = %d WHERE " + w.Where()
	return fmt.Sprintf(set, 1), fmt.Sprintf(set, 0)
}

func (*sqlite) Forget(tx *gorm.DB, pair, entity string, notes []watching.Note) error {
	return watching.ForgetSeen(tx, pair, entity, notes, "")
}
