package store

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// table maps an entity to its table: two struct types that gorm knows like declared
// ones, and for each column how its slot is filled and read. It is read-only after
// newTable but for located, known, listed and unhurried, which are safe for concurrent use.
type table struct {
	entity    *schema.Entity
	name      string
	columns   []column     // the first are those of the key: see key.go
	keys      int          // columns of the key
	place     []int        // position of each field's column in columns
	writes    reflect.Type // []struct of the slots that the dialect writes
	reads     reflect.Type // []struct of texts, whatever the columns' types are
	shown     []string     // how each column is selected
	upsert    clause.OnConflict
	rowValues bool                          // a list of keys of several columns is spelled with VALUES
	rows      int                           // rows of one upsert at most
	ids       int                           // ids of one statement at most
	located   sync.Map                      // kind and name of a constraint → its one column, or ""
	known     atomic.Pointer[known]         // nil: the catalog was not read yet
	aborts    atomic.Bool                   // SQLite: the table says what a conflict does, see writing
	reading   sync.Mutex                    // held while the catalog is read
	listed    atomic.Pointer[catalog.Table] // as it was when a list first needed it: see collates

	unhurried sync.Map // partition → true, of those whose last batch hung as a whole: see hang.go
}

// column is one column of a table. The field of an id that has a column of its own is a
// stand-in, so that ids and fields go the same way.
type column struct {
	name  string
	typ   string
	field *schema.Field
	slot  slot
	at    int // position of its field in the entity; -1: it is the id's own column
}

func newTable(e *schema.Entity, d dialect) (*table, error) {
	t := &table{entity: e, name: e.Table}
	t.addColumns(e, d)
	if err := t.checkNames(); err != nil {
		return nil, err
	}
	for _, key := range e.UniqueKeys() {
		if key.Where != "" && d.catalogOf() == catalog.MySQL {
			return nil, fmt.Errorf("field %s: unique.where: %s", e.Fields[key.Fields[0]].Name, schema.NoPartialIndexes)
		}
	}
	t.writes = reflect.SliceOf(t.structOf(func(c column) reflect.Type { return c.slot.goType }))
	t.reads = reflect.SliceOf(t.structOf(readType))
	for i := range t.columns {
		t.shown = append(t.shown, t.selects(d, i))
	}
	t.upsert = clause.OnConflict{DoUpdates: clause.AssignmentColumns(t.names()[t.keys:])}
	for _, name := range t.keyNames() {
		t.upsert.Columns = append(t.upsert.Columns, clause.Column{Name: name})
	}
	t.upsert.DoNothing = len(t.upsert.DoUpdates) == 0 // all fields are of the key
	t.rows = max(1, d.parameters()/len(t.columns))
	t.ids = min(d.parameters()/t.keys, 1000)
	return t, nil
}

// checkNames refuses names that would not survive a struct tag or a quoted
// identifier.
func (t *table) checkNames() error {
	for _, name := range append(t.names(), t.name) {
		if name == "" || strings.ContainsAny(name, "`\"';:?\\\x00\n\r\t ") {
			return fmt.Errorf("%q cannot be the name of a table or column", name)
		}
	}
	if i := slices.IndexFunc(t.names(), func(name string) bool { return strings.Contains(name, ".") }); i >= 0 {
		return fmt.Errorf("column %q: a name has no point", t.names()[i])
	}
	return nil
}

func (t *table) names() []string {
	names := make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i] = c.name
	}
	return names
}

// fieldNames are the columns of the fields at some positions; of all that are not of the key if
// that is nil.
func (t *table) fieldNames(fields []int) []string {
	if fields == nil {
		return t.names()[t.keys:]
	}
	names := make([]string, len(fields))
	for n, i := range fields {
		names[n] = t.column(i).name
	}
	return names
}

// naming leaves the columns of all other fields out of an INSERT; nil are all fields.
func (t *table) naming(db *gorm.DB, fields []int) *gorm.DB {
	if fields == nil {
		return db
	}
	var others []string
	for i := range t.entity.Fields {
		if t.place[i] >= t.keys && !slices.Contains(fields, i) {
			others = append(others, t.column(i).name)
		}
	}
	return db.Omit(others...)
}

func readType(c column) reflect.Type {
	if c.field.Type == schema.Bytes {
		return bytesSlot.goType
	}
	return textSlot.goType
}

// selects selects a column in the form that canonical reads. The name of the table is with
// it: SQLite takes a quoted name alone, of a column that is not there, for a text.
func (t *table) selects(d dialect, i int) string {
	typ := t.columns[i].field.Type
	if i < t.keys && t.composite() && d.catalogOf() == catalog.PostgreSQL {
		typ = schema.Time // in a form that depends on no setting, if it is a date
	}
	return d.shows(t.at(i), typ) + " AS " + quote(t.columns[i].name)
}

// structOf builds the row's struct type. It never has gorm's default tag: gorm would
// write the default in the place of a null.
func (t *table) structOf(typ func(column) reflect.Type) reflect.Type {
	fields := make([]reflect.StructField, len(t.columns))
	for i, c := range t.columns {
		tag := "column:" + c.name + ";type:" + c.typ
		if c.field.Required {
			tag += ";not null"
		}
		name := "F" + strconv.Itoa(i)
		if i < t.keys {
			tag += ";primaryKey;autoIncrement:false"
		}
		if i == 0 && !t.composite() {
			name = "ID"
		}
		fields[i] = reflect.StructField{
			Name: name, Type: typ(c),
			Tag: reflect.StructTag("gorm:" + strconv.Quote(tag)),
		}
	}
	return reflect.StructOf(fields)
}

// model is a pointer to a row's struct, from which gorm creates the table.
func (t *table) model() any { return reflect.New(t.writes.Elem()).Interface() }

// scope is a query on the entity's table.
func (t *table) scope(db *gorm.DB) *gorm.DB { return db.Table(t.name) }

// writing is a statement that changes the entity's table. SQLite's tables may say what a
// conflict does, ON CONFLICT REPLACE deletes the other row: there the statement has the last
// word, and refuses the write as every database does.
func (t *table) writing(db *gorm.DB) *gorm.DB {
	if !t.aborts.Load() {
		return t.scope(db)
	}
	return t.scope(db).Clauses(clause.Insert{Modifier: orAbort}, clause.Update{Modifier: orAbort})
}

const orAbort = "OR ABORT"

// orAbort goes before the table of a statement that is no gorm's.
func (t *table) orAbort() string {
	if t.aborts.Load() {
		return orAbort + " "
	}
	return ""
}

// at spells a column with its table. SQLite would take a bare quoted name that is no
// column for a string, and find it equal to itself.
func (t *table) at(i int) string { return quoteTable(t.name) + "." + quote(t.columns[i].name) }

// fill returns a pointer to the rows of changes, none of which is a deletion.
func (t *table) fill(changes []schema.Change) (any, error) {
	rows := reflect.MakeSlice(t.writes, len(changes), len(changes))
	for i, change := range changes {
		row := rows.Index(i)
		key, err := t.keyParameters(change.ID)
		if err != nil {
			return nil, fmt.Errorf("id %q: %w", change.ID, err)
		}
		for n, part := range key {
			row.Field(n).Set(reflect.ValueOf(part))
		}
		for j := t.keys; j < len(t.columns); j++ {
			c := &t.columns[j]
			text := change.Values[c.at]
			if text == schema.Null || text == "" || text == schema.Undecided {
				continue
			}
			if err := c.fill(row.Field(j), text); err != nil {
				return nil, fmt.Errorf("record %q: field %s: %w", change.ID, c.field.Name, err)
			}
		}
	}
	at := reflect.New(t.writes)
	at.Elem().Set(rows)
	return at.Interface(), nil
}

// misshapen says that a change is not of the table's entity.
func (t *table) misshapen(change schema.Change) error {
	return fmt.Errorf("record %q has %d values, its entity %s %d fields", change.ID, len(change.Values), t.entity.Name,
		len(t.place))
}

func (c *column) fill(at reflect.Value, text string) error {
	plain, err := plainText(c.field, text)
	if err != nil {
		return err
	}
	return c.slot.fill(at.Addr().Interface(), plain)
}

// parameter is a value as a statement's parameter.
func (c *column) parameter(text string) (any, error) {
	at := reflect.New(c.slot.goType).Elem()
	err := c.fill(at, text)
	return at.Interface(), err
}

// seen is a pointer to no rows yet, for gorm to scan into.
func (t *table) seen() reflect.Value { return reflect.New(t.reads) }

// rowsOf reads the rows that gorm scanned. What an entity cannot show of a row is foreign,
// and harms no other value and no other row.
func (t *table) rowsOf(seen reflect.Value) []schema.Row {
	rows := make([]schema.Row, seen.Elem().Len())
	for i := range rows {
		rows[i] = t.row(seen.Elem().Index(i))
	}
	return rows
}

func (t *table) row(row reflect.Value) schema.Row {
	r := schema.Row{Exists: true, Values: make(schema.Values, len(t.place))}
	r.ID, r.Foreign = t.id(row)
	for j := range r.Values {
		c, at := t.column(j), row.Field(t.place[j])
		text, err := c.text(at)
		if err != nil {
			text = schema.ForeignValue(t.foreign(c, at, err))
		}
		r.Values[j] = text
	}
	return r
}

// foreign says why a value is foreign, and what it is unless its field is redacted.
func (t *table) foreign(c *column, at reflect.Value, err error) string {
	const most = 64 // bytes of the value
	if c.field.Redact || c.field.Type == schema.Bytes {
		return "is not of type " + string(c.field.Type)
	}
	text := strings.ToValidUTF8(*at.Interface().(*string), "\uFFFD")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return fmt.Sprintf("%q is not of type %s: %v", text, c.field.Type, err)
}

// text returns the canonical text of a scanned value.
func (c *column) text(at reflect.Value) (string, error) {
	if at.IsNil() {
		return schema.Null, nil
	}
	if c.field.Type == schema.Bytes {
		return c.field.Encode(at.Bytes())
	}
	return canonical(c.field, *at.Interface().(*string))
}
