package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gorm.io/gorm"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/schema"
)

// Model is a Go struct type, its entity, and how values go from one to the other. It is
// read-only after [Parse] and safe for concurrent use.
type Model struct {
	Entity *schema.Entity
	Schema *gormschema.Schema
	Hooks  []string // of gorm's hooks, those that the type has
	Unmade []string // indexes and checks in its tags that a migration of its entity does not make

	fields       []*field // in the order of Entity.Fields
	id           *gormschema.Field
	byName       map[string]int // Go name, path of an embedded field, or column → position in fields
	associations []*gormschema.Field
	deleted      int // position of the soft delete's time; -1: none
}

// field is one field of the entity and of the struct.
type field struct {
	*gormschema.Field
	name       string // path of Go names, such as Address.City
	createOnly bool
	readOnly   bool // the database makes its value
	column     *schema.Field
	omitted    bool // a zero value is the default's, as in gorm
}

// FieldError says why one field of a struct cannot be mapped.
type FieldError struct {
	Field  string // path of Go names
	Reason string // with the way out
}

// Error names every field of a model that cannot be mapped.
type Error struct {
	Type   string
	Fields []FieldError
}

func (e *Error) Error() string {
	lines := []string{fmt.Sprintf("model %s cannot be mapped:", e.Type)}
	for _, f := range e.Fields {
		lines = append(lines, fmt.Sprintf("\t%s: %s", f.Field, f.Reason))
	}
	return strings.Join(lines, "\n")
}

// Parse maps a struct type as gorm reads it under a naming strategy. The entity has its
// name, table, key and fields; its policies are the caller's, and so is [schema.Entity.Init].
// The error is an [Error] unless the type is no struct.
func Parse(typ reflect.Type, namer gormschema.Namer) (*Model, error) {
	if typ.Kind() != reflect.Struct {
		return nil, fmt.Errorf("model %s is not a struct", typ)
	}
	if bad := strangers(typ, ""); len(bad) > 0 {
		return nil, withOthers(typ, namer, bad)
	}
	parsed, err := gormschema.Parse(reflect.New(typ).Interface(), &sync.Map{}, namer)
	if err != nil {
		return nil, fmt.Errorf("model %s: %w", typ, err)
	}
	m := &Model{Schema: parsed, byName: map[string]int{}, deleted: -1}
	m.Entity = &schema.Entity{Name: entityName(typ, namer), Table: parsed.Table}
	bad := &Error{Type: typ.String()}
	m.mapKey(bad)
	for _, f := range parsed.Fields {
		m.mapField(f, bad)
	}
	m.nameAll()
	m.mapIndexes()
	if len(bad.Fields) > 0 {
		return nil, bad
	}
	m.Hooks = hooksOf(parsed)
	return m, nil
}

func (e *Error) add(f *gormschema.Field, err error) {
	e.Fields = append(e.Fields, FieldError{path(f), err.Error()})
}

func path(f *gormschema.Field) string { return strings.Join(f.BindNames, ".") }

func entityName(typ reflect.Type, namer gormschema.Namer) string {
	name, _, _ := strings.Cut(typ.Name(), "[") // of a generic type
	return strings.ToLower((gormschema.NamingStrategy{}).ColumnName("", name))
}

func hooksOf(s *gormschema.Schema) []string {
	var hooks []string
	for _, h := range []struct {
		has  bool
		name string
	}{
		{s.BeforeSave, "BeforeSave"}, {s.AfterSave, "AfterSave"}, {s.BeforeCreate, "BeforeCreate"},
		{s.AfterCreate, "AfterCreate"}, {s.BeforeUpdate, "BeforeUpdate"}, {s.AfterUpdate, "AfterUpdate"},
		{s.BeforeDelete, "BeforeDelete"}, {s.AfterDelete, "AfterDelete"}, {s.AfterFind, "AfterFind"},
	} {
		if h.has {
			hooks = append(hooks, h.name)
		}
	}
	return hooks
}

func (m *Model) mapField(f *gormschema.Field, bad *Error) {
	if f.DBName == "" {
		if m.isAssociation(f) {
			m.associations = append(m.associations, f)
		}
		return
	}
	if f == m.id || f.PrimaryKey && m.Entity.ID.Columns == nil ||
		!f.Creatable && !f.Updatable && !f.Readable { // ->:false
		return
	}
	to := schema.Field{Column: f.DBName, Required: f.NotNull}
	at := &field{Field: f, name: path(f), createOnly: f.Creatable && !f.Updatable, readOnly: readOnly(f)}
	mapTo := at.mapTo
	if f.PrimaryKey {
		mapTo = at.mapPart
	}
	if err := mapTo(&to, m.Entity); err != nil {
		bad.add(f, err)
		return
	}
	if f.FieldType == reflect.TypeFor[gorm.DeletedAt]() {
		m.deleted = len(m.fields)
	}
	m.fields = append(m.fields, at)
	m.Entity.Fields = append(m.Entity.Fields, to)
}

func (at *field) mapTo(to *schema.Field, e *schema.Entity) error {
	f := at.Field
	if err := permitted(f); err != nil {
		return err
	}
	t, err := parseTag(f.Tag.Get("afterwrite"))
	if err != nil {
		return err
	}
	if to.Name == "" {
		if to.Name, err = fieldName(f, t); err != nil {
			return err
		}
	}
	if err := fieldType(to, f, t); err != nil {
		return err
	}
	if err := limits(to, t); err != nil {
		return err
	}
	if at.readOnly {
		to.FromDatabase, to.Required = true, false
		return nil
	}
	to.Unique = f.Unique
	to.Redact = t.redact
	if t.rank {
		if e.RankBy != "" {
			return fmt.Errorf("%s ranks the records already", e.RankBy)
		}
		e.RankBy = to.Name
	}
	return at.mapDefault(to)
}

// readOnly reports a field that gorm reads and never writes: ->, or <-:false.
func readOnly(f *gormschema.Field) bool { return !f.Creatable && !f.Updatable && f.Readable }

// permitted refuses columns that this program does not write whenever it writes.
func permitted(f *gormschema.Field) error {
	switch {
	case readOnly(f):
	case f.AutoIncrement:
		return errors.New(madeByDatabase)
	case !f.Creatable:
		return errors.New("is not written when a record is created (<-:update): Put and Create write whole records")
	case softDelete(f):
		return fmt.Errorf("%s is not gorm.DeletedAt: its way to mark a deletion is not known here", f.IndirectFieldType)
	}
	return nil
}

// softDelete reports a type, other than gorm's own, that changes what a deletion is.
func softDelete(f *gormschema.Field) bool {
	_, ok := reflect.New(f.IndirectFieldType).Interface().(gormschema.DeleteClausesInterface)
	return ok && f.FieldType != reflect.TypeFor[gorm.DeletedAt]()
}

func fieldName(f *gormschema.Field, t tag) (string, error) {
	name := t.name
	if name == "" {
		name = strings.ToLower(f.DBName)
	}
	if !schema.ValidName(name) {
		return "", fmt.Errorf("%q cannot name a field (a to z, then a to z, 0 to 9 and _): add afterwrite:\"name=…\"",
			name)
	}
	if slices.Contains(schema.Reserved, name) {
		return "", fmt.Errorf("%q is a word of the HTTP API: add afterwrite:\"name=…\", the column keeps its own", name)
	}
	return name, nil
}

// limits takes those of the tag: of a number its bounds, of a text its length.
func limits(to *schema.Field, t tag) error {
	switch to.Type {
	case schema.Int, schema.Float, schema.Decimal:
		if t.min != "" {
			to.Min = t.min
		}
		if t.max != "" {
			to.Max = t.max
		}
	case schema.String, schema.Text, schema.JSON, schema.Bytes:
		if t.min != "" {
			return errors.New("afterwrite tag: min= is for numbers")
		}
		if t.max != "" {
			if _, err := fmt.Sscan(t.max, &to.MaxLength); err != nil {
				return fmt.Errorf("afterwrite tag: max=%s is not a length", t.max)
			}
		}
	default:
		if t.min != "" || t.max != "" {
			return fmt.Errorf("afterwrite tag: min= and max= are not for a field of type %s", to.Type)
		}
	}
	return nil
}

// mapDefault takes a constant default. What only the database can work out is refused.
func (at *field) mapDefault(to *schema.Field) error {
	f := at.Field
	text := f.DefaultValue
	if !f.HasDefaultValue || text == "" {
		return nil
	}
	if strings.EqualFold(text, "null") {
		at.omitted = true
		return nil
	}
	if f.DefaultValueInterface == nil && strings.Contains(text, "(") ||
		strings.HasPrefix(strings.ToUpper(text), "CURRENT_") {
		return fmt.Errorf("its default %q is made by the database, after the write was accepted: "+
			"set it in the program (autoCreateTime for a time), or make the field read-only (->)", text)
	}
	var v any = f.DefaultValueInterface
	if v == nil {
		v = strings.Trim(text, `'"`)
	}
	plain, err := driverValue(v)
	if err != nil {
		return fmt.Errorf("its default %q: %w", text, err)
	}
	if v, err = canonical(to, plain, 64); err != nil {
		return fmt.Errorf("its default %q: %w", text, err)
	}
	if to.Default, err = to.Canonical(v); err != nil {
		return fmt.Errorf("its default %q %w", text, err)
	}
	at.omitted = true
	return nil
}

// isAssociation reports whether gorm keeps the field in other rows or tables.
func (m *Model) isAssociation(f *gormschema.Field) bool {
	_, ok := m.Schema.Relationships.Relations[f.Name]
	return ok
}

func (m *Model) nameAll() {
	count := map[string]int{}
	for _, f := range m.fields {
		count[f.Field.Name]++
	}
	for i, f := range m.fields {
		f.column = &m.Entity.Fields[i]
		m.byName[f.DBName] = i
		if count[f.Field.Name] == 1 {
			m.byName[f.Field.Name] = i
		}
		m.byName[f.name] = i
	}
}

// mapIndexes maps unique indexes: on one column, on one column of some rows, on several
// columns. Any other, and a check, is for the program's own migrations to make: what the
// database refuses by it is held.
func (m *Model) mapIndexes() {
	for _, x := range m.Schema.ParseIndexes() {
		if !m.mapUnique(x) {
			m.Unmade = append(m.Unmade, x.Name)
		}
	}
	m.Unmade = append(m.Unmade, slices.Sorted(maps.Keys(m.Schema.ParseCheckConstraints()))...)
}

func (m *Model) mapUnique(x *gormschema.Index) bool {
	if x.Class != "UNIQUE" || len(x.Fields) > 1 && x.Where != "" {
		return false
	}
	var names []string
	for _, f := range x.Fields {
		i, ok := m.byName[f.DBName]
		if !ok || f.Expression != "" || f.Length > 0 || m.Entity.Fields[i].Type == schema.JSON {
			return false
		}
		names = append(names, m.Entity.Fields[i].Name)
	}
	if len(names) > 1 {
		m.Entity.Unique = append(m.Entity.Unique, names)
		return true
	}
	f := &m.Entity.Fields[m.byName[x.Fields[0].DBName]]
	if f.Unique && f.UniqueWhere != x.Where { // unique, or unique among other rows, already
		return false
	}
	f.Unique, f.UniqueWhere = true, x.Where
	return true
}

// On fits the model to a dialect: gorm gives the times of PostgreSQL and MySQL the digits that their tags say, those of
// MySQL three where they say none, and MySQL has no unique indexes of some rows.
func (m *Model) On(dialect string) {
	for _, f := range m.fields {
		if f.column.Type == schema.Time && !f.readOnly {
			f.column.Precision = timeDigits(f.Field, dialect)
		}
	}
	if dialect == "mysql" {
		m.withoutPartial()
	}
}

// timeDigits is the Precision of a time: gorm leaves out that of SQLite.
func timeDigits(f *gormschema.Field, dialect string) int {
	typ, typed := f.TagSettings["TYPE"]
	digits, said := f.Precision, f.Precision > 0
	if parts := declared.FindStringSubmatch(strings.ToLower(strings.TrimSpace(typ))); typed && parts != nil {
		digits, _ = strconv.Atoi(parts[2])
		said = parts[2] != ""
	}
	switch {
	case dialect != "mysql" && dialect != "postgres", !said && dialect == "postgres", digits >= 6:
		return 0
	case !said && !typed:
		return 3
	case digits == 0:
		return schema.WholeSeconds
	}
	return digits
}

// withoutPartial leaves out the unique indexes of some rows.
func (m *Model) withoutPartial() {
	for i := range m.Entity.Fields {
		if f := &m.Entity.Fields[i]; f.UniqueWhere != "" {
			m.Unmade = append(m.Unmade, "unique index of "+f.Name+" where "+f.UniqueWhere)
			f.Unique, f.UniqueWhere = false, ""
		}
	}
}

// Field returns the position in the entity of the field that a Go name means: City, or
// Address.City where several embedded structs have a City.
func (m *Model) Field(name string) (int, bool) {
	i, ok := m.byName[name]
	return i, ok
}

// SoftDelete returns the position of the field that marks a deletion, if there is one.
func (m *Model) SoftDelete() (int, bool) { return m.deleted, m.deleted >= 0 }

// References names, for each belongs-to association, the field that holds the other
// record's id and the type of the other model.
func (m *Model) References() map[int]reflect.Type {
	found := map[int]reflect.Type{}
	for _, r := range m.Schema.Relationships.BelongsTo {
		if len(r.References) != 1 || r.References[0].PrimaryKey == nil || len(r.FieldSchema.PrimaryFields) != 1 ||
			r.References[0].PrimaryKey != r.FieldSchema.PrioritizedPrimaryField {
			continue
		}
		if i, ok := m.byName[r.References[0].ForeignKey.DBName]; ok {
			found[i] = r.FieldSchema.ModelType
		}
	}
	return found
}

// Fixed says why no change of a record may name the field at a position; "" if it may.
func (m *Model) Fixed(i int) string {
	switch f := m.fields[i]; {
	case f.readOnly:
		return "is read-only (->): the database makes its value"
	case f.createOnly:
		return "is written at creation alone (<-:create)"
	}
	return ""
}

// CreateOnly lists the positions of fields that are written when a record is created and
// never after that.
func (m *Model) CreateOnly() []int {
	var only []int
	for i, f := range m.fields {
		if f.createOnly {
			only = append(only, i)
		}
	}
	return only
}

var background = context.Background()
