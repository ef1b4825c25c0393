package mysql

import (
	"context"
	"fmt"
	"strings"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

func (*mysql) Home(ctx context.Context, q catalog.Querier) (string, error) {
	name, err := database.OneText(ctx, q, "SELECT DATABASE()")
	return backtick(name) + ".", err
}

// backtick spells an identifier in every mode of the server: statements may be sent by hand.
func backtick(name string) string {
	return "`" + strings.ReplaceAll(name, ".", "`.`") + "`"
}

func (*mysql) Function(*watching.Definition) string   { return "" }
func (*mysql) DropRest(*watching.Definition) []string { return nil }
func (*mysql) Now() string                            { return "CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)" }

func (*mysql) Unseen() string { return "MariaDB and MySQL run no triggers for them" }

// Triggers run with the rights of the user who made them. For the rows of a flush each does no
// more than to compare a variable.
func (d *mysql) Triggers(w *watching.Definition) (before []string, all []watching.Trigger) {
	id := func(row string) string {
		text := w.ID(func(c *mapping.Column) string { return "CONVERT(" + row + "." + backtick(c.Name) + " USING utf8mb4)" },
			func(parts []string) string { return "concat(" + strings.Join(parts, ", ") + ")" })
		return "CAST(" + text + " AS BINARY)"
	}
	note := func(row, condition string) string {
		return fmt.Sprintf("IF LENGTH(%s) BETWEEN 1 AND %d%s THEN INSERT INTO %s (pairing, entity, id, stamp, noted_at) "+
			"VALUES (%s, %[1]s, FLOOR(RAND() * 9007199254740992), %[6]s) "+
			"ON DUPLICATE KEY UPDATE stamp = VALUES(stamp), noted_at = VALUES(noted_at); END IF; ",
			id(row), schema.MaxIDBytes, condition, w.Home+watching.ChangesTable, w.PairingEntity(), d.Now())
	}
	for _, t := range []struct{ suffix, event, body string }{
		{"_ins", "INSERT", note("NEW", "")},
		{"_upd", "UPDATE", note("NEW", "") + note("OLD", " AND NOT ("+id("OLD")+" <=> "+id("NEW")+")")},
		{"_del", "DELETE", note("OLD", "")},
	} {
		name := w.Prefix + t.suffix
		all = append(all, watching.Trigger{Name: name, Create: []string{"CREATE TRIGGER " +
			backtick(triggerIn(w.Table.Name, name)) + " AFTER " + t.event + " ON " + backtick(w.Table.Name) +
			" FOR EACH ROW IF NOT (@afterwrite_flush <=> " + watching.SQLText(w.Mark) + ") THEN " + t.body + "END IF"}})
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

func (*mysql) DropTrigger(w *watching.Definition, name string) string {
	return "DROP TRIGGER IF EXISTS " + backtick(triggerIn(w.Table.Name, name))
}

// Flushing needs no statement of its own: lock sets the variable of the connection with every
// fence, for the entity whose fence it is.
func (*mysql) Flushing(*watching.Definition) (begin, end string) { return "", "" }

func (*mysql) Forget(tx *gorm.DB, pair, entity string, notes []watching.Note) error {
	return watching.ForgetSeen(tx, pair, entity, notes, " FOR UPDATE SKIP LOCKED")
}
