package afterwritetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/afterwrite/afterwrite"
)

// refusals are statements that fail with an error of each kind, in a trigger.
var refusals = map[string]string{
	"unique":      "INSERT INTO afterwritetest_refusals (u) VALUES (1)",
	"not_null":    "INSERT INTO afterwritetest_refusals (u, n) VALUES (2, NULL)",
	"check":       "INSERT INTO afterwritetest_refusals (u, c) VALUES (3, 'refused')",
	"foreign_key": "INSERT INTO afterwritetest_refusals (u, f) VALUES (4, 999)",
	"range":       "SELECT zeroblob(2000000000)",
	"type":        "INSERT INTO afterwritetest_types (i) VALUES ('refused')",
	"poison":      "SELECT RAISE(ABORT, 'refused by the test')",
}

const refusing = `CREATE TABLE IF NOT EXISTS afterwritetest_refusals (
	u INTEGER UNIQUE, n INTEGER NOT NULL DEFAULT 0, c TEXT CHECK (c <> 'refused'), f INTEGER REFERENCES afterwritetest_refusals (u));
INSERT OR IGNORE INTO afterwritetest_refusals (u) VALUES (1);
CREATE TABLE IF NOT EXISTS afterwritetest_types (i INTEGER) STRICT;`

// Refuse has the database refuse every write of a record with an error of a kind (unique,
// not_null, check, foreign_key, range, type, poison) until accept is called. model is a value
// of its type, id a value that the key's column holds.
func Refuse(t testing.TB, db *afterwrite.DB, model, id any, kind string) (accept func()) {
	t.Helper()
	f := of(t, db)
	statement, ok := refusals[kind]
	if !ok {
		t.Fatalf("afterwritetest: no kind of refusal is called %q", kind)
	}
	entity := db.Entity(model)
	if entity == nil {
		t.Fatalf("afterwritetest: %T is not a model of this DB", model)
	}
	table := entity.Table
	values := []string{fmt.Sprint(id)}
	if key, ok := id.(afterwrite.Key); ok {
		values = values[:0]
		for _, v := range key {
			values = append(values, fmt.Sprint(v))
		}
	}
	if len(values) != len(entity.KeyColumns()) {
		t.Fatalf("afterwritetest: %v is no key of %s: give an afterwrite.Key with a value for each of %v", id,
			entity.Name, entity.KeyColumns())
	}
	var is []string
	for i, column := range entity.KeyColumns() {
		is = append(is, fmt.Sprintf("CAST(NEW.%s AS TEXT) = %s", quote(column), literal(values[i])))
	}
	name := fmt.Sprintf("afterwritetest_%s_%x", strings.ReplaceAll(table, ".", "_"), strings.Join(values, "\x00"))
	exec := func(query string) {
		t.Helper()
		if _, err := f.sql.Exec(query); err != nil {
			t.Fatalf("afterwritetest: refuse: %v", err)
		}
	}
	exec(refusing)
	for _, when := range []string{"INSERT", "UPDATE"} {
		exec(fmt.Sprintf(`CREATE TRIGGER %s_%s BEFORE %s ON %s WHEN %s BEGIN %s; END`,
			name, when, when, quote(table), strings.Join(is, " AND "), statement))
	}
	return func() {
		t.Helper()
		exec(fmt.Sprintf("DROP TRIGGER IF EXISTS %s_INSERT; DROP TRIGGER IF EXISTS %s_UPDATE", name, name))
	}
}

func quote(name string) string    { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
func literal(value string) string { return `'` + strings.ReplaceAll(value, `'`, `''`) + `'` }
