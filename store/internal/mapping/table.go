// Package mapping maps an entity to its table: columns, keys and values, there and back, and how well a table
// fits its entity.
package mapping

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// Table maps an entity to its table: two struct types that gorm knows like declared
// ones, and for each column how its slot is filled and read. It is read-only after
// New but for Shape and Aborts, which are safe for concurrent use.
type Table struct {
	Entity    *schema.Entity
	Name      string
	Columns   []Column     // the first are those of the key: see key.go
	Keys      int          // columns of the key
	Place     []int        // position of each field's column in columns
	Writes    reflect.Type // []struct of the slots that the dialect writes
	reads     reflect.Type // []struct of texts, whatever the columns' types are
	Shown     []string     // how each column is selected
	Upsert    clause.OnConflict
	rowValues bool // a list of keys of several columns is spelled with VALUES
	Rows      int  // rows of one upsert at most
	IDs       int  // ids of one statement at most
	// Shape is what the catalog says about the table, as it was read last; nil: it was not.
	Shape  atomic.Pointer[catalog.Table]
	Aborts atomic.Bool // SQLite: the table says what a conflict does, see writing
}

// Dialect is what a mapping needs to know of a database.
type Dialect interface {
	// CatalogOf names it among the dialects of the catalog.
	CatalogOf() catalog.Dialect
	// Parameters is the largest number of parameters of one statement.
	Parameters() int
	// ColumnType is the type of a field's column in a new table.
	ColumnType(f *schema.Field) string
	// IDType is the type of the id's column in a new table.
	IDType(id schema.ID) string
	// KeyType is the type of a field's column in a new table whose key it is a part of, one of so many.
	KeyType(f *schema.Field, parts int) string
	// Slot is the Go type that carries a field's values to the driver.
	Slot(t schema.FieldType) Slot
	// Shows is the expression that selects a column as its exact text, or for bytes as
	// its bytes, whatever its type is and whatever another program wrote into it.
	Shows(column string, t schema.FieldType) string
	// ComparesRows reports that (a, b) > (?, ?) is looked up in an index on both.
	ComparesRows() bool
}

// Column is one column of a table. The field of an id that has a column of its own is a
// stand-in, so that ids and fields go the same way.
type Column struct {
	Name  string
	Type  string
	Field *schema.Field
	slot  Slot
	At    int // position of its field in the entity; -1: it is the id's own column
}

// New maps an entity to its table in a database.
func New(e *schema.Entity, d Dialect) (*Table, error) {
	t := &Table{Entity: e, Name: e.Table}
	t.addColumns(e, d)
	if err := t.checkNames(); err != nil {
		return nil, err
	}
	for _, key := range e.UniqueKeys() {
		if key.Where != "" && d.CatalogOf() == catalog.MySQL {
			return nil, fmt.Errorf("field %s: unique.where: %s", e.Fields[key.Fields[0]].Name, schema.NoPartialIndexes)
		}
	}
	t.Writes = reflect.SliceOf(t.structOf(func(c Column) reflect.Type { return c.slot.GoType }))
	t.reads = reflect.SliceOf(t.structOf(readType))
	for i := range t.Columns {
		t.Shown = append(t.Shown, t.selects(d, i))
	}
	t.Upsert = clause.OnConflict{DoUpdates: clause.AssignmentColumns(t.names()[t.Keys:])}
	for _, name := range t.KeyNames() {
		t.Upsert.Columns = append(t.Upsert.Columns, clause.Column{Name: name})
	}
	t.Upsert.DoNothing = len(t.Upsert.DoUpdates) == 0 // all fields are of the key
	t.Rows = max(1, d.Parameters()/len(t.Columns))
	t.IDs = min(d.Parameters()/t.Keys, 1000)
	return t, nil
}

// checkNames refuses names that would not survive a struct tag or a quoted
// identifier.
func (t *Table) checkNames() error {
	for _, name := range append(t.names(), t.Name) {
		if name == "" || strings.ContainsAny(name, "`\"';:?\\\x00\n\r\t ") {
			return fmt.Errorf("%q cannot be the name of a table or column", name)
		}
	}
	if i := slices.IndexFunc(t.names(), func(name string) bool { return strings.Contains(name, ".") }); i >= 0 {
		return fmt.Errorf("column %q: a name has no point", t.names()[i])
	}
	return nil
}

func (t *Table) names() []string {
	names := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		names[i] = c.Name
	}
	return names
}

// FieldNames are the columns of the fields at some positions; of all that are not of the key if
// that is nil.
func (t *Table) FieldNames(fields []int) []string {
	if fields == nil {
		return t.names()[t.Keys:]
	}
	names := make([]string, len(fields))
	for n, i := range fields {
		names[n] = t.Column(i).Name
	}
	return names
}

// Naming leaves the columns of all other fields out of an INSERT; nil are all fields.
func (t *Table) Naming(db *gorm.DB, fields []int) *gorm.DB {
	if fields == nil {
		return db
	}
	var others []string
	for i := range t.Entity.Fields {
		if t.Place[i] >= t.Keys && !slices.Contains(fields, i) {
			others = append(others, t.Column(i).Name)
		}
	}
	return db.Omit(others...)
}

func readType(c Column) reflect.Type {
	if c.Field.Type == schema.Bytes {
		return BytesSlot.GoType
	}
	return TextSlot.GoType
}

// selects selects a column in the form that canonical reads. The name of the table is with
// it: SQLite takes a quoted name alone, of a column that is not there, for a text.
func (t *Table) selects(d Dialect, i int) string {
	typ := t.Columns[i].Field.Type
	if i < t.Keys && t.Composite() && d.CatalogOf() == catalog.PostgreSQL {
		typ = schema.Time // in a form that depends on no setting, if it is a date
	}
	shown := d.Shows(t.Spelled(i), typ)
	if i < t.Keys && d.CatalogOf() == catalog.SQLite {
		shown = "CASE typeof(" + t.Spelled(i) + ") WHEN 'blob' THEN char(0) || hex(" + t.Spelled(i) + ") ELSE " + shown + " END"
	}
	return shown + " AS " + Quote(t.Columns[i].Name)
}

// structOf builds the row's struct type. It never has gorm's default tag: gorm would
// write the default in the place of a null.
func (t *Table) structOf(typ func(Column) reflect.Type) reflect.Type {
	fields := make([]reflect.StructField, len(t.Columns))
	for i, c := range t.Columns {
		tag := "column:" + c.Name + ";type:" + c.Type
		if c.Field.Required {
			tag += ";not null"
		}
		name := "F" + strconv.Itoa(i)
		if i < t.Keys {
			tag += ";primaryKey;autoIncrement:false"
		}
		if i == 0 && !t.Composite() {
			name = "ID"
		}
		fields[i] = reflect.StructField{
			Name: name, Type: typ(c),
			Tag: reflect.StructTag("gorm:" + strconv.Quote(tag)),
		}
	}
	return reflect.StructOf(fields)
}

// Model is a pointer to a row's struct, from which gorm creates the table.
func (t *Table) Model() any { return reflect.New(t.Writes.Elem()).Interface() }

// Scope is a query on the entity's table.
func (t *Table) Scope(db *gorm.DB) *gorm.DB { return db.Table(t.Name) }

// Writing is a statement that changes the entity's table. SQLite's tables may say what a
// conflict does, ON CONFLICT REPLACE deletes the other row: there the statement has the last
// word, and refuses the write as every database does.
func (t *Table) Writing(db *gorm.DB) *gorm.DB {
	if !t.Aborts.Load() {
		return t.Scope(db)
	}
	return t.Scope(db).Clauses(clause.Insert{Modifier: orAbort}, clause.Update{Modifier: orAbort})
}

const orAbort = "OR ABORT"

// OrAbort goes before the table of a statement that is no gorm's.
func (t *Table) OrAbort() string {
	if t.Aborts.Load() {
		return orAbort + " "
	}
	return ""
}

// Spelled spells a column with its table. SQLite would take a bare quoted name that is no
// column for a string, and find it equal to itself.
func (t *Table) Spelled(i int) string { return QuoteTable(t.Name) + "." + Quote(t.Columns[i].Name) }

// Fill returns a pointer to the rows of changes, none of which is a deletion.
func (t *Table) Fill(changes []schema.Change) (any, error) {
	rows := reflect.MakeSlice(t.Writes, len(changes), len(changes))
	for i, change := range changes {
		row := rows.Index(i)
		key, err := t.KeyParameters(change.ID)
		if err != nil {
			return nil, fmt.Errorf("id %q: %w", change.ID, err)
		}
		for n, part := range key {
			row.Field(n).Set(reflect.ValueOf(part))
		}
		for j := t.Keys; j < len(t.Columns); j++ {
			c := &t.Columns[j]
			text := change.Values[c.At]
			if text == schema.Null || text == "" || text == schema.Undecided {
				continue
			}
			if err := c.fill(row.Field(j), text); err != nil {
				return nil, fmt.Errorf("record %q: field %s: %w", change.ID, c.Field.Name, err)
			}
		}
	}
	at := reflect.New(t.Writes)
	at.Elem().Set(rows)
	return at.Interface(), nil
}

// Misshapen says that a change is not of the table's entity.
func (t *Table) Misshapen(change schema.Change) error {
	return fmt.Errorf("record %q has %d values, its entity %s %d fields", change.ID, len(change.Values), t.Entity.Name,
		len(t.Place))
}

func (c *Column) fill(at reflect.Value, text string) error {
	plain, err := PlainText(c.Field, text)
	if err != nil {
		return err
	}
	return c.slot.Fill(at.Addr().Interface(), plain)
}

// Parameter is a value as a statement's parameter.
func (c *Column) Parameter(text string) (any, error) {
	at := reflect.New(c.slot.GoType).Elem()
	err := c.fill(at, text)
	return at.Interface(), err
}

// Seen is a pointer to no rows yet, for gorm to scan into.
func (t *Table) Seen() reflect.Value { return reflect.New(t.reads) }

// RowsOf reads the rows that gorm scanned. What an entity cannot show of a row is foreign,
// and harms no other value and no other row.
func (t *Table) RowsOf(seen reflect.Value) []schema.Row {
	rows := make([]schema.Row, seen.Elem().Len())
	for i := range rows {
		rows[i] = t.row(seen.Elem().Index(i))
	}
	return rows
}

func (t *Table) row(row reflect.Value) schema.Row {
	r := schema.Row{Exists: true, Values: make(schema.Values, len(t.Place))}
	r.ID, r.Foreign = t.ID(row)
	for j := range r.Values {
		c, at := t.Column(j), row.Field(t.Place[j])
		text, err := c.Text(at)
		if err != nil {
			text = schema.ForeignValue(t.foreign(c, at, err))
		}
		r.Values[j] = text
	}
	return r
}

// Unreadable says why a value is foreign that the database cannot read. What it says may quote the row.
func (t *Table) Unreadable(err error) string {
	if slices.ContainsFunc(t.Entity.Fields, func(f schema.Field) bool { return f.Redact }) {
		return "cannot be read"
	}
	return "cannot be read: " + strings.ToValidUTF8(err.Error(), "\uFFFD")
}

// foreign says why a value is foreign, and what it is unless its field is redacted.
func (t *Table) foreign(c *Column, at reflect.Value, err error) string {
	const most = 64 // bytes of the value
	if c.Field.Redact || c.Field.Type == schema.Bytes {
		return "is not of type " + string(c.Field.Type)
	}
	text := strings.ToValidUTF8(*at.Interface().(*string), "\uFFFD")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return fmt.Sprintf("%q is not of type %s: %v", text, c.Field.Type, err)
}

// Text returns the canonical text of a scanned value.
func (c *Column) Text(at reflect.Value) (string, error) {
	if at.IsNil() {
		return schema.Null, nil
	}
	if c.Field.Type == schema.Bytes {
		return c.Field.Encode(at.Bytes())
	}
	return Canonical(c.Field, *at.Interface().(*string))
}
