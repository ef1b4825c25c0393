package catalog

import (
	"context"
	"database/sql"
	"strconv"
	"strings"
)

// ReadSQLite reads a table by its plain name. A table that does not exist has no columns.
func ReadSQLite(ctx context.Context, q Querier, name string) (*Table, error) {
	t := &Table{Name: name, Kind: Plain, CaseFolding: true}
	r := reader{ctx: ctx, q: q}
	integerKey := t.sqliteColumns(&r)
	if r.err != nil || !t.Exists() {
		return t, r.err
	}
	t.sqliteKind(&r)
	t.sqliteIndexes(&r, integerKey)
	t.sqliteCollations(&r)
	t.sqliteTriggers(&r)
	t.sqliteKeys(&r)
	return t, r.err
}

// MarkSQLite returns a text that changes when any table of the file does.
func MarkSQLite(ctx context.Context, q Querier) (mark string, err error) {
	r := reader{ctx: ctx, q: q}
	r.each("PRAGMA schema_version", nil, []any{&mark}, func() {})
	return mark, r.err
}

// reader runs queries until one fails.
type reader struct {
	ctx context.Context
	q   Querier
	err error
}

// each calls row after it has scanned each row into to.
func (r *reader) each(query string, args []any, to []any, row func()) {
	if r.err != nil {
		return
	}
	rows, err := r.q.QueryContext(r.ctx, query, args...)
	if err != nil {
		r.err = err
		return
	}
	defer rows.Close()
	for rows.Next() {
		if r.err = rows.Scan(to...); r.err != nil {
			return
		}
		row()
	}
	r.err = rows.Err()
}

// sqliteColumns returns the column that is the row's own number, if the primary key has no index: it is declared
// INTEGER and is the only column of the key.
func (t *Table) sqliteColumns(r *reader) (integerKey string) {
	var name, typ string
	var preset sql.NullString
	var required bool
	var key, hidden, keys int
	r.each(`SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid`,
		[]any{t.Name}, []any{&name, &typ, &required, &preset, &key, &hidden}, func() {
			c := Column{Name: name, Type: typ, Base: affinity(typ), Class: Scalar, Fraction: -1,
				NotNull: required, Default: preset.String, Generated: hidden >= 2, Hidden: hidden == 1}
			c.sqliteSize()
			t.Columns = append(t.Columns, c)
			if key > 0 {
				keys++
				integerKey = name
			}
		})
	if keys != 1 {
		return ""
	}
	return integerKey
}

// affinity applies SQLite's rules, in their order: https://www.sqlite.org/datatype3.html
func affinity(typ string) string {
	typ = strings.ToUpper(typ)
	for _, rule := range []struct{ part, affinity string }{
		{"INT", "INTEGER"},
		{"CHAR", "TEXT"}, {"CLOB", "TEXT"}, {"TEXT", "TEXT"},
		{"BLOB", "BLOB"},
		{"REAL", "REAL"}, {"FLOA", "REAL"}, {"DOUB", "REAL"},
	} {
		if strings.Contains(typ, rule.part) {
			return rule.affinity
		}
	}
	if typ == "" {
		return "BLOB" // keeps every value unchanged
	}
	return "NUMERIC" // also of ANY, which keeps every value unchanged in a STRICT table alone
}

// sqliteSize parses the sizes in a declared type. SQLite does not enforce them; other programs may.
func (c *Column) sqliteSize() {
	_, sizes, ok := strings.Cut(c.Type, "(")
	if !ok {
		return
	}
	first, second, _ := strings.Cut(strings.TrimRight(sizes, ") "), ",")
	n, err := strconv.Atoi(strings.TrimSpace(first))
	if err != nil {
		return
	}
	if c.Base == "TEXT" {
		c.Length = n
		return
	}
	c.Precision = n
	c.Scale, _ = strconv.Atoi(strings.TrimSpace(second)) // 0 if there is none
}

func (t *Table) sqliteKind(r *reader) {
	var typ, text string
	var noRowID, strict bool
	r.each(`SELECT l.type, l.wr, l.strict, coalesce(s.sql, '') FROM pragma_table_list l LEFT JOIN sqlite_schema s ON s.name = l.name AND s.type = l.type
		WHERE l.schema = 'main' AND l.name = ? COLLATE NOCASE`, []any{t.Name},
		[]any{&typ, &noRowID, &strict, &text}, func() {
			t.NoRowID, t.Strict, t.Text = noRowID, strict, text
			if kind, ok := map[string]Kind{"view": View, "virtual": Virtual}[typ]; ok {
				t.Kind = kind
			}
		})
	if !t.Strict {
		return
	}
	for i := range t.Columns {
		if strings.EqualFold(t.Columns[i].Type, "ANY") {
			t.Columns[i].Base = "BLOB"
		}
	}
}

func (t *Table) sqliteIndexes(r *reader, integerKey string) {
	var name, origin, collation string
	var column, text sql.NullString
	var partial bool
	primary := false
	r.each(`SELECT l.name, l.origin, l.partial, i.name, i.coll, s.sql
		FROM pragma_index_list(?) l JOIN pragma_index_xinfo(l.name) i LEFT JOIN sqlite_schema s ON s.type = 'index' AND s.name = l.name
		WHERE l."unique" AND i.key ORDER BY l.name, i.seqno`, []any{t.Name},
		[]any{&name, &origin, &partial, &column, &collation, &text}, func() {
			if n := len(t.Indexes); n == 0 || t.Indexes[n-1].Name != name {
				t.Indexes = append(t.Indexes, Index{Name: name, Primary: origin == "pk", Constraint: origin != "c",
					Where: condition(text.String, partial)})
			}
			primary = primary || origin == "pk"
			part := Part{Column: column.String}
			if !column.Valid {
				part.Expression = text.String
			}
			if !strings.EqualFold(collation, "BINARY") {
				part.Collation = "its collation is " + collation
			}
			x := &t.Indexes[len(t.Indexes)-1]
			x.Parts = append(x.Parts, part)
		})
	r.each(`SELECT name FROM pragma_index_list(?) WHERE NOT "unique" ORDER BY name`, []any{t.Name}, []any{&name},
		func() {
			t.Others = append(t.Others, name)
		})
	if primary || integerKey == "" || t.NoRowID {
		return
	}
	t.Indexes = append(t.Indexes, Index{Primary: true, Constraint: true, Parts: []Part{{Column: integerKey}}})
	for i := range t.Columns {
		if t.Columns[i].Name == integerKey {
			t.Columns[i].Identity = ByDefault
		}
	}
}

// sqliteCollations marks the columns whose comparisons take different texts for the same. SQLite lists the collation of
// an index, which may be another than its column's, and that of no column. But a subquery hands on the collation of its
// first SELECT, so texts that stand in a column's place are compared as its values are.
func (t *Table) sqliteCollations(r *reader) {
	for i := range t.Columns {
		c := &t.Columns[i]
		in := `(SELECT count(DISTINCT v) = 1 FROM (SELECT ` + quote(c.Name) + ` AS v FROM ` + quote(t.Name) +
			` WHERE 0 UNION ALL SELECT 'a' UNION ALL SELECT `
		var cases, blanks bool
		one := reader{ctx: r.ctx, q: r.q}
		one.each("SELECT "+in+"'A')), "+in+"'a '))", nil, []any{&cases, &blanks}, func() {})
		switch {
		case one.err != nil && strings.Contains(one.err.Error(), "no such collation sequence"):
			c.Folds, c.Collation = true, "of another program" // which has given its SQLite a function for it
		case one.err != nil:
			r.err = one.err
			return
		case cases:
			c.Folds, c.Collation = true, "NOCASE"
		case blanks:
			c.Folds, c.Collation = true, "RTRIM"
		}
	}
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// condition returns the condition of a partial index from the index's text: its last WHERE.
func condition(text string, partial bool) string {
	if !partial {
		return ""
	}
	upper := strings.ToUpper(text)
	at := -1
	for i := 0; ; {
		n := strings.Index(upper[i:], "WHERE")
		if n < 0 {
			break
		}
		i += n
		if at < 0 && i > 0 && strings.IndexByte(" \t\r\n)", upper[i-1]) >= 0 {
			at = i
		}
		i += len("WHERE")
	}
	if at < 0 {
		return text
	}
	return strings.TrimSpace(text[at+len("WHERE"):])
}

func (t *Table) sqliteTriggers(r *reader) {
	var name, text string
	var all []Trigger
	r.each(`SELECT name, coalesce(sql, '') FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ? COLLATE NOCASE ORDER BY name`,
		[]any{t.Name}, []any{&name, &text}, func() { all = append(all, sqliteTrigger(name, text)) })
	t.setTriggers(all)
}

// sqliteTrigger reads the head of a trigger's text: CREATE TRIGGER name [BEFORE | AFTER |
// INSTEAD OF] event [OF columns] ON table …
func sqliteTrigger(name, text string) Trigger {
	t := Trigger{Name: name, Row: true, Enabled: true, Source: text, Body: text}
	words := tokens(text)
	for i, word := range words {
		switch strings.ToUpper(word) {
		case "BEFORE":
			t.Before = true
		case "INSTEAD":
			t.Before, t.Instead = true, true
		case "INSERT", "DELETE", "UPDATE":
			t.Events = []Event{Event(strings.ToUpper(word))}
			if i+1 < len(words) && strings.EqualFold(words[i+1], "OF") {
				for _, column := range words[i+2:] {
					if strings.EqualFold(column, "ON") {
						break
					}
					t.Columns = append(t.Columns, unquoted(column))
				}
			}
			return t
		}
	}
	return t
}

// tokens returns the words of SQL after CREATE TRIGGER and the trigger's name, with quoted names whole, without commas
// and comments.
func tokens(text string) []string {
	var words []string
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case strings.HasPrefix(text[i:], "--"):
			i = end(text, i, "\n")
		case strings.HasPrefix(text[i:], "/*"):
			i = end(text, i, "*/")
		case strings.IndexByte(`"'`+"`", c) >= 0:
			next := end(text, i+1, string(c))
			words, i = append(words, text[i:next]), next
		case c == '[':
			next := end(text, i, "]")
			words, i = append(words, text[i:next]), next
		case strings.IndexByte(" \t\r\n,;().", c) >= 0:
			i++
		default:
			from := i
			for i < len(text) && strings.IndexByte(" \t\r\n,;().\"`[", text[i]) < 0 {
				i++
			}
			words = append(words, text[from:i])
		}
	}
	for i, word := range words {
		if strings.EqualFold(word, "TRIGGER") {
			words = words[i+1:]
			break
		}
	}
	if len(words) > 3 && strings.EqualFold(words[0], "IF") {
		words = words[3:] // IF NOT EXISTS
	}
	if len(words) > 0 {
		words = words[1:]
	}
	return words
}

// end returns the position after the next mark.
func end(text string, from int, mark string) int {
	n := strings.Index(text[from:], mark)
	if n < 0 {
		return len(text)
	}
	return from + n + len(mark)
}

func unquoted(name string) string {
	if len(name) > 1 && strings.IndexByte("\"`['", name[0]) >= 0 {
		return name[1 : len(name)-1]
	}
	return name
}

func (t *Table) sqliteKeys(r *reader) {
	const query = `SELECT m.name, f.id, f."table", f."from",
			coalesce(f."to", (SELECT name FROM pragma_table_info(f."table") WHERE pk = f.seq + 1), ''), f.on_delete, f.on_update
		FROM sqlite_schema m JOIN pragma_foreign_key_list(m.name) f
		WHERE m.type = 'table' AND (m.name = ?1 COLLATE NOCASE OR f."table" = ?1 COLLATE NOCASE)
		ORDER BY m.name, f.id, f.seq`
	var table, ref, from, to, onDelete, onUpdate string
	var id, last int
	var keys []ForeignKey
	r.each(query, []any{t.Name}, []any{&table, &id, &ref, &from, &to, &onDelete, &onUpdate}, func() {
		if n := len(keys); n == 0 || keys[n-1].Table != table || last != id {
			keys = append(keys, ForeignKey{Table: table, TableID: strings.ToLower(table), RefTable: ref,
				OnDelete: onDelete, OnUpdate: onUpdate, Enforced: true})
		}
		last = id
		k := &keys[len(keys)-1]
		k.Columns, k.RefColumns = append(k.Columns, from), append(k.RefColumns, to)
	})
	for _, k := range keys {
		if strings.EqualFold(k.Table, t.Name) {
			t.ForeignKeys = append(t.ForeignKeys, k)
		}
		if strings.EqualFold(k.RefTable, t.Name) {
			t.References = append(t.References, k)
		}
	}
}
