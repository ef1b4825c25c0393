package mapping

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// An entity's key is a column of its own, or a few columns together, each that of a field.
// The columns of the key are the first of a table's columns, in the key's order. What is
// written to them is what the id says, never what a record's values say: a key that a change
// of the configuration has left with other values moves no row.

// addColumns lists the columns: those of the key, then those of the other fields.
func (t *Table) addColumns(e *schema.Entity, d Dialect) {
	t.Place = make([]int, len(e.Fields))
	add := func(i int, typ string) {
		f := &e.Fields[i]
		t.Place[i] = len(t.Columns)
		t.Columns = append(t.Columns, Column{Name: f.Column, Type: typ, Field: f, slot: d.Slot(f.Type), At: i})
	}
	for _, i := range e.Key() {
		add(i, d.KeyType(&e.Fields[i], len(e.Key())))
	}
	if !e.ID.Composite() {
		id := &schema.Field{Name: "id", Column: e.ID.Column, Type: e.ID.Type, Required: true}
		t.Columns = append(t.Columns, Column{Name: e.ID.Column, Type: d.IDType(e.ID), Field: id,
			slot: d.Slot(e.ID.Type), At: -1})
	}
	t.Keys = len(t.Columns)
	for i := range e.Fields {
		if !slices.Contains(e.Key(), i) {
			add(i, d.ColumnType(&e.Fields[i]))
		}
	}
	t.rowValues = d.CatalogOf() == catalog.SQLite
}

// oneSpelling reports whether a row is found by the canonical text of a part of its key.
// SQLite keeps the text of a time, and compares it as a text.
func (t *Table) oneSpelling(c *Column, at, text string) bool {
	switch c.Field.Type {
	case schema.String, schema.Text, schema.Int: // a number is found by its value
		return true
	case schema.Time:
		if !t.rowValues {
			return true
		}
		v, err := c.Parameter(text)
		s, ok := v.(*string)
		return err == nil && ok && *s == at
	}
	return strings.Trim(text, `"`) == at
}

// Composite reports whether the key has several columns.
func (t *Table) Composite() bool { return t.Keys > 1 }

// Column returns the column of a field.
func (t *Table) Column(field int) *Column { return &t.Columns[t.Place[field]] }

// Of spells the column of a field with its table.
func (t *Table) Of(field int) string { return t.Spelled(t.Place[field]) }

// KeyParameters are the values of the key's columns that an id names, as a statement's
// parameters.
func (t *Table) KeyParameters(id string) ([]any, error) {
	if !t.Composite() {
		at := reflect.New(t.Columns[0].slot.GoType)
		err := t.Columns[0].slot.Fill(at.Interface(), id)
		return []any{at.Elem().Interface()}, err
	}
	texts, err := t.Entity.KeyValues(id)
	if err != nil {
		return nil, err
	}
	parameters := make([]any, t.Keys)
	for n, text := range texts {
		if parameters[n], err = t.Columns[n].Parameter(text); err != nil {
			return nil, err
		}
	}
	return parameters, nil
}

// KeysOf are the parameters of many ids, one after another.
func (t *Table) KeysOf(ids []string) ([]any, error) {
	all := make([]any, 0, len(ids)*t.Keys)
	for _, id := range ids {
		parameters, err := t.KeyParameters(id)
		if err != nil {
			return nil, fmt.Errorf("id %q: %w", id, err)
		}
		all = append(all, parameters...)
	}
	return all, nil
}

// Places is so many placeholders in parentheses.
func Places(n int) string { return "(?" + strings.Repeat(", ?", n-1) + ")" }

// Among is the condition that a row's key is one of n, each with a parameter for each column.
func (t *Table) Among(n int) string {
	if !t.Composite() {
		return t.Spelled(0) + " IN " + Places(n)
	}
	row, values := Places(t.Keys), ""
	if t.rowValues {
		values = "VALUES "
	}
	return "(" + strings.Join(t.KeyAt(), ", ") + ") IN (" + values + row + strings.Repeat(", "+row, n-1) + ")"
}

// Is is the condition that a row has a key, with a parameter for each column.
func (t *Table) Is() string { return strings.Join(t.KeyAt(), " = ? AND ") + " = ?" }

// KeyAt spells the columns of the key with their table.
func (t *Table) KeyAt() []string {
	at := make([]string, t.Keys)
	for n := range at {
		at[n] = t.Spelled(n)
	}
	return at
}

// KeyHas reports whether the key has a column of a type.
func (t *Table) KeyHas(typ schema.FieldType) bool {
	return slices.ContainsFunc(t.Columns[:t.Keys], func(c Column) bool { return c.Field.Type == typ })
}

// folded is a key's text as ids have it: a UUID in the one case that they have, where the column takes
// any other for the same and so finds the row.
func (t *Table) folded(c *Column, text string) string {
	if c.Field.Type != schema.UUID {
		return text
	}
	at := t.Shape.Load()
	if at == nil {
		return text
	}
	if there, ok := at.Column(c.Name); !ok || !there.AnyCase() {
		return text
	}
	return strings.ToLower(text)
}

// blobOf is the blob that a key of SQLite is: beside a text it is another key, and no id. It is shown by its digits
// behind a character that no id has.
func blobOf(id string) ([]byte, bool) {
	digits, ok := strings.CutPrefix(id, "\x00")
	if !ok {
		return nil, false
	}
	blob, err := hex.DecodeString(digits)
	return blob, err == nil
}

// Beyond is the condition that a row comes after an id in the order of a list, which is that of its key, and its
// parameters. A foreign id, which may have no canonical form, is compared as it is.
func (t *Table) Beyond(d Dialect, id string) (condition string, parameters []any) {
	at := t.KeyAt()
	if !t.Composite() {
		after, err := t.KeyParameters(id)
		if blob, ok := blobOf(id); ok {
			after = []any{blob}
		} else if err != nil {
			after = []any{id}
		}
		return at[0] + " > ?", after
	}
	parts := schema.KeyParts(id)
	if len(parts) != t.Keys {
		return "1 = 0", nil
	}
	after := make([]any, t.Keys)
	for n, part := range parts {
		value := reflect.New(t.Columns[n].slot.GoType)
		if after[n] = part; t.Columns[n].slot.Fill(value.Interface(), part) == nil {
			after[n] = value.Elem().Interface()
		}
	}
	if d.ComparesRows() {
		return "(" + strings.Join(at, ", ") + ") > " + Places(t.Keys), after
	}
	var ways []string
	for n := range at {
		equal := ""
		for _, before := range at[:n] {
			equal += before + " = ? AND "
		}
		ways = append(ways, "("+equal+at[n]+" > ?)")
		parameters = append(parameters, after[:n+1]...)
	}
	return "(" + strings.Join(ways, " OR ") + ")", parameters
}

// ID is an id as a row that was read has it, and why no request can name it.
func (t *Table) ID(row reflect.Value) (id, foreign string) {
	if !t.Composite() {
		at := row.Field(0).Interface().(*string)
		if at == nil {
			return "", "is null"
		}
		id = t.WholeID(*at)
		return id, t.ForeignID(id)
	}
	texts := make([]string, t.Keys)
	for n := range texts {
		c := &t.Columns[n]
		text, why := t.KeyText(c, row.Field(n).Interface().(*string))
		if texts[n] = text; why != "" && foreign == "" {
			foreign = c.Name + " " + why
		}
	}
	id = t.Entity.KeyID(texts)
	if foreign == "" {
		foreign = t.ForeignID(id)
	}
	return id, foreign
}

// WholeID is the id of a row whose key is a decimal number, such as 1.00, which the database takes for 1, or
// a UUID in another case.
func (t *Table) WholeID(text string) string {
	if t.Entity.ID.Type == schema.Int {
		return whole(text)
	}
	return t.folded(&t.Columns[0], text)
}

// ForeignID says why an id, as a row has it, is none of the entity.
func (t *Table) ForeignID(id string) string {
	switch same, err := t.Entity.CanonicalID(id); {
	case err != nil:
		return "is no id of type " + string(t.Entity.ID.Type)
	case same != id:
		return "is another spelling of " + same
	}
	return ""
}

// KeyText is the canonical text of a part of a key as a row has it. Where it has none, or is
// not the one spelling of its value by which the row is found, it is the text itself, and why.
func (t *Table) KeyText(c *Column, at *string) (text, why string) {
	asIs := func(s string) string {
		s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
		text, err := (&schema.Field{Type: schema.String}).Encode(s)
		if err != nil {
			return `""`
		}
		return text
	}
	if at == nil {
		return `""`, "is null"
	}
	text, err := Canonical(c.Field, *at)
	if err != nil {
		return asIs(*at), "is not of type " + string(c.Field.Type)
	}
	if !t.oneSpelling(c, t.folded(c, *at), text) {
		return asIs(*at), "is another spelling of " + strings.Trim(text, `"`)
	}
	return text, ""
}

// PlainKeys are the parts of the ids of changes as [PlainText] has them, by column.
func (t *Table) PlainKeys(changes []schema.Change) ([][]string, error) {
	all := make([][]string, t.Keys)
	for n := range all {
		all[n] = make([]string, len(changes))
	}
	for j, c := range changes {
		if !t.Composite() {
			all[0][j] = c.ID
			continue
		}
		texts, err := t.Entity.KeyValues(c.ID)
		if err != nil {
			return nil, fmt.Errorf("id %q: %w", c.ID, err)
		}
		for n, text := range texts {
			if all[n][j], err = PlainText(t.Columns[n].Field, text); err != nil {
				return nil, fmt.Errorf("id %q: %w", c.ID, err)
			}
		}
	}
	return all, nil
}

// KeyNames are the columns of the key.
func (t *Table) KeyNames() []string { return t.names()[:t.Keys] }

// IsKey reports whether a column is of the key.
func (t *Table) IsKey(name string) bool { return slices.Contains(t.KeyNames(), name) }

// KeyID describes a part of the key to the catalog.
func (t *Table) KeyID(n int) schema.ID {
	if !t.Composite() {
		return t.Entity.ID
	}
	typ := t.Columns[n].Field.Type
	if typ == schema.Text {
		typ = schema.String
	}
	return schema.ID{Column: t.Columns[n].Name, Type: typ, Max: t.Columns[n].Field.MaxLength,
		Columns: t.Entity.ID.Columns}
}
