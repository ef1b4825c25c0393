package store

import (
	"context"
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
func (t *table) addColumns(e *schema.Entity, d dialect) {
	t.place = make([]int, len(e.Fields))
	add := func(i int, typ string) {
		f := &e.Fields[i]
		t.place[i] = len(t.columns)
		t.columns = append(t.columns, column{name: f.Column, typ: typ, field: f, slot: d.slot(f.Type), at: i})
	}
	for _, i := range e.Key() {
		add(i, d.keyType(&e.Fields[i], len(e.Key())))
	}
	if !e.ID.Composite() {
		id := &schema.Field{Name: "id", Column: e.ID.Column, Type: e.ID.Type, Required: true}
		t.columns = append(t.columns, column{name: e.ID.Column, typ: d.idType(e.ID), field: id,
			slot: d.slot(e.ID.Type), at: -1})
	}
	t.keys = len(t.columns)
	for i := range e.Fields {
		if !e.InKey(i) {
			add(i, d.columnType(&e.Fields[i]))
		}
	}
	t.rowValues = d.catalogOf() == catalog.SQLite
}

// oneSpelling reports whether a row is found by the canonical text of a part of its key.
// SQLite keeps the text of a time, and compares it as a text.
func (t *table) oneSpelling(c *column, at, text string) bool {
	switch c.field.Type {
	case schema.String, schema.Text, schema.Int: // a number is found by its value
		return true
	case schema.Time:
		if !t.rowValues {
			return true
		}
		v, err := c.parameter(text)
		s, ok := v.(*string)
		return err == nil && ok && *s == at
	}
	return strings.Trim(text, `"`) == at
}

// composite reports whether the key has several columns.
func (t *table) composite() bool { return t.keys > 1 }

// column returns the column of a field.
func (t *table) column(field int) *column { return &t.columns[t.place[field]] }

// of spells the column of a field with its table.
func (t *table) of(field int) string { return t.at(t.place[field]) }

// keyParameters are the values of the key's columns that an id names, as a statement's
// parameters.
func (t *table) keyParameters(id string) ([]any, error) {
	if !t.composite() {
		at := reflect.New(t.columns[0].slot.goType)
		err := t.columns[0].slot.fill(at.Interface(), id)
		return []any{at.Elem().Interface()}, err
	}
	texts, err := t.entity.KeyValues(id)
	if err != nil {
		return nil, err
	}
	parameters := make([]any, t.keys)
	for n, text := range texts {
		if parameters[n], err = t.columns[n].parameter(text); err != nil {
			return nil, err
		}
	}
	return parameters, nil
}

// keysOf are the parameters of many ids, one after another.
func (t *table) keysOf(ids []string) ([]any, error) {
	all := make([]any, 0, len(ids)*t.keys)
	for _, id := range ids {
		parameters, err := t.keyParameters(id)
		if err != nil {
			return nil, fmt.Errorf("id %q: %w", id, err)
		}
		all = append(all, parameters...)
	}
	return all, nil
}

// places is so many placeholders in parentheses.
func places(n int) string { return "(?" + strings.Repeat(", ?", n-1) + ")" }

// among is the condition that a row's key is one of n, each with a parameter for each column.
func (t *table) among(n int) string {
	if !t.composite() {
		return t.at(0) + " IN " + places(n)
	}
	row, values := places(t.keys), ""
	if t.rowValues {
		values = "VALUES "
	}
	return "(" + strings.Join(t.keyAt(), ", ") + ") IN (" + values + row + strings.Repeat(", "+row, n-1) + ")"
}

// is is the condition that a row has a key, with a parameter for each column.
func (t *table) is() string { return strings.Join(t.keyAt(), " = ? AND ") + " = ?" }

// keyAt spells the columns of the key with their table.
func (t *table) keyAt() []string {
	at := make([]string, t.keys)
	for n := range at {
		at[n] = t.at(n)
	}
	return at
}

// ordered spells the columns of the key as lists are ordered by them: texts by their bytes.
func (s *Store) ordered(ctx context.Context, t *table) ([]string, error) {
	at := t.keyAt()
	for n := range at {
		typ := t.columns[n].field.Type
		if typ != schema.String && typ != schema.Text {
			continue
		}
		collates, err := s.collates(ctx, t, n)
		if err != nil {
			return nil, err
		}
		if collates {
			at[n] += s.dialect.collate()
		}
	}
	return at, nil
}

// collates reports whether a column of the key that holds texts can be compared by their bytes.
// PostgreSQL refuses that for a column of an enum or of days.
func (s *Store) collates(ctx context.Context, t *table, n int) (bool, error) {
	if s.dialect.catalogOf() != catalog.PostgreSQL {
		return true, nil
	}
	at, err := s.shape(ctx, t)
	if err != nil {
		return false, err
	}
	c, ok := at.Column(t.columns[n].name)
	return !ok || c.Class == catalog.Scalar && c.Base != "date", nil
}

// shape is what the catalog says about a table, as it was when it was first needed.
func (s *Store) shape(ctx context.Context, t *table) (*catalog.Table, error) {
	if at := t.shaped(); at != nil {
		return at, nil
	}
	at, err := s.catalog(ctx, t.name)
	if err == nil && at.Exists() {
		t.listed.Store(at)
	}
	return at, err
}

// shaped is the shape, if it was needed before.
func (t *table) shaped() *catalog.Table {
	if k := t.known.Load(); k != nil {
		return k.at
	}
	return t.listed.Load()
}

// foldable has the shape of a table read before its rows are, where it says how they are found: by
// UUIDs that are texts.
func (s *Store) foldable(ctx context.Context, t *table) error {
	if s.dialect.catalogOf() == catalog.PostgreSQL ||
		!slices.ContainsFunc(t.columns[:t.keys], func(c column) bool { return c.field.Type == schema.UUID }) {
		return nil
	}
	_, err := s.shape(ctx, t)
	return err
}

// folded is a key's text as ids have it: a UUID in the one case that they have, where the column takes
// any other for the same and so finds the row.
func (t *table) folded(c *column, text string) string {
	if c.field.Type != schema.UUID {
		return text
	}
	at := t.shaped()
	if at == nil {
		return text
	}
	if there, ok := at.Column(c.name); !ok || !there.AnyCase() {
		return text
	}
	return strings.ToLower(text)
}

// beyond is the condition that a row comes after an id in the order of a list, which is by the
// columns in at, and its parameters. A foreign id, which may have no canonical form, is compared as it is.
func (t *table) beyond(d dialect, at []string, id string) (condition string, parameters []any) {
	if !t.composite() {
		after, err := t.keyParameters(id)
		if err != nil {
			after = []any{id}
		}
		return at[0] + " > ?", after
	}
	parts := schema.KeyParts(id)
	if len(parts) != t.keys {
		return "1 = 0", nil
	}
	after := make([]any, t.keys)
	for n, part := range parts {
		value := reflect.New(t.columns[n].slot.goType)
		if after[n] = part; t.columns[n].slot.fill(value.Interface(), part) == nil {
			after[n] = value.Elem().Interface()
		}
	}
	if d.comparesRows() {
		return "(" + strings.Join(at, ", ") + ") > " + places(t.keys), after
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

// id is an id as a row that was read has it, and why no request can name it.
func (t *table) id(row reflect.Value) (id, foreign string) {
	if !t.composite() {
		at := row.Field(0).Interface().(*string)
		if at == nil {
			return "", "is null"
		}
		id = t.wholeID(*at)
		return id, t.foreignID(id)
	}
	texts := make([]string, t.keys)
	for n := range texts {
		c := &t.columns[n]
		text, why := t.keyText(c, row.Field(n).Interface().(*string))
		if texts[n] = text; why != "" && foreign == "" {
			foreign = c.name + " " + why
		}
	}
	id = t.entity.KeyID(texts)
	if foreign == "" {
		foreign = t.foreignID(id)
	}
	return id, foreign
}

// wholeID is the id of a row whose key is a decimal number, such as 1.00, which the database takes for 1, or
// a UUID in another case.
func (t *table) wholeID(text string) string {
	if t.entity.ID.Type == schema.Int {
		return whole(text)
	}
	return t.folded(&t.columns[0], text)
}

// foreignID says why an id, as a row has it, is none of the entity.
func (t *table) foreignID(id string) string {
	switch same, err := t.entity.CanonicalID(id); {
	case err != nil:
		return "is no id of type " + string(t.entity.ID.Type)
	case same != id:
		return "is another spelling of " + same
	}
	return ""
}

// keyText is the canonical text of a part of a key as a row has it. Where it has none, or is
// not the one spelling of its value by which the row is found, it is the text itself, and why.
func (t *table) keyText(c *column, at *string) (text, why string) {
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
	text, err := canonical(c.field, *at)
	if err != nil {
		return asIs(*at), "is not of type " + string(c.field.Type)
	}
	if !t.oneSpelling(c, t.folded(c, *at), text) {
		return asIs(*at), "is another spelling of " + strings.Trim(text, `"`)
	}
	return text, ""
}

// plainKeys are the parts of the ids of changes as [plainText] has them, by column.
func (t *table) plainKeys(changes []schema.Change) ([][]string, error) {
	all := make([][]string, t.keys)
	for n := range all {
		all[n] = make([]string, len(changes))
	}
	for j, c := range changes {
		if !t.composite() {
			all[0][j] = c.ID
			continue
		}
		texts, err := t.entity.KeyValues(c.ID)
		if err != nil {
			return nil, fmt.Errorf("id %q: %w", c.ID, err)
		}
		for n, text := range texts {
			if all[n][j], err = plainText(t.columns[n].field, text); err != nil {
				return nil, fmt.Errorf("id %q: %w", c.ID, err)
			}
		}
	}
	return all, nil
}

// keyNames are the columns of the key.
func (t *table) keyNames() []string { return t.names()[:t.keys] }

// isKey reports whether a column is of the key.
func (t *table) isKey(name string) bool { return slices.Contains(t.keyNames(), name) }

// keyID describes a part of the key to the catalog.
func (t *table) keyID(n int) schema.ID {
	if !t.composite() {
		return t.entity.ID
	}
	typ := t.columns[n].field.Type
	if typ == schema.Text {
		typ = schema.String
	}
	return schema.ID{Column: t.columns[n].name, Type: typ, Max: t.columns[n].field.MaxLength,
		Columns: t.entity.ID.Columns}
}
