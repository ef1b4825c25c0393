package model

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/google/uuid"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/schema"
)

// maxID is the bound of a text id where the model gives no size: as in the configuration.
const maxID = 255

// mapKey maps the primary key.
func (m *Model) mapKey(bad *Error) {
	keys := m.Schema.PrimaryFields
	switch len(keys) {
	case 0:
		bad.Fields = append(bad.Fields,
			FieldError{"", `it has no primary key: add gorm:"primaryKey" to the field that names a record`})
		return
	case 1:
	default: // each is a field, too
		for _, f := range keys {
			m.Entity.ID.Columns = append(m.Entity.ID.Columns, f.DBName)
		}
		return
	}
	m.id = keys[0]
	if err := m.keyType(m.id); err != nil {
		bad.add(m.id, err)
	}
}

// mapPart maps a field that is a part of a composite key.
func (at *field) mapPart(to *schema.Field, e *schema.Entity) error {
	if at.Field.AutoIncrement || gormCounts(at.Field) || isSerial(at.Field) {
		return errors.New("the database makes this id (serial, identity), after the write was accepted: " +
			"say autoIncrement:false and give every record its own, or give the table one key column")
	}
	if err := keyable(at.Field); err != nil {
		return err
	}
	if strings.EqualFold(at.DBName, "id") && at.Tag.Get("afterwrite") == "" {
		to.Name = e.Name + "_id" // the member "id" of a record is its whole key
	}
	if err := at.mapTo(to, e); err != nil {
		return err
	}
	switch to.Type {
	case schema.String, schema.Text, schema.Int, schema.Time, schema.UUID:
	default:
		return fmt.Errorf("a %s cannot be a part of a key: use a string, an int, a time or a UUID", to.Type)
	}
	to.Required = true
	return nil
}

// keyable refuses a key, or a part of one, that the database or a serializer makes.
func keyable(f *gormschema.Field) error {
	if d := f.DefaultValue; d != "" && !madeUUID(d) {
		return fmt.Errorf("its default %q is made by the database, after the write was accepted: leave it out and give every record its id", d)
	}
	if f.Serializer != nil {
		return errors.New("a key has no serializer")
	}
	return nil
}

func (m *Model) keyType(f *gormschema.Field) error {
	if f.AutoIncrement || gormCounts(f) || isSerial(f) {
		if kind := f.IndirectFieldType.Kind(); kind < reflect.Int || kind > reflect.Uint64 {
			return fmt.Errorf("the database counts in whole numbers, and a %s holds none", f.IndirectFieldType)
		}
		m.Entity.ID = schema.ID{Column: f.DBName, Type: schema.Int, Made: schema.MadeSequence}
		return nil
	}
	if err := keyable(f); err != nil {
		return err
	}
	key := schema.Field{}
	t, err := parseTag(f.Tag.Get("afterwrite"))
	if err != nil {
		return err
	}
	if err := fieldType(&key, f, t); err != nil {
		return err
	}
	id := &m.Entity.ID
	id.Column = f.DBName
	switch key.Type {
	case schema.Int, schema.UUID:
		id.Type = key.Type
	case schema.String, schema.Text:
		id.Type, id.Max = schema.String, maxID
		if key.MaxLength > 0 {
			id.Max = min(key.MaxLength, schema.MaxIDBytes)
		}
	default:
		return fmt.Errorf("a %s cannot be a key: use a string, an int or a UUID", key.Type)
	}
	return nil
}

// gormCounts reports whether gorm takes the key for one that the database counts: an
// integer alone, unless the tag says otherwise.
func gormCounts(f *gormschema.Field) bool {
	says, ok := f.TagSettings["AUTOINCREMENT"]
	if ok && strings.EqualFold(says, "false") {
		return false
	}
	return f.HasDefaultValue && f.DefaultValue == "" && (f.DataType == gormschema.Int ||
		f.DataType == gormschema.Uint ||
		f.GORMDataType == gormschema.Int || f.GORMDataType == gormschema.Uint)
}

// isSerial reports a column type that has a sequence of its own.
func isSerial(f *gormschema.Field) bool {
	switch strings.ToLower(f.TagSettings["TYPE"]) {
	case "serial", "bigserial", "smallserial":
		return true
	}
	return false
}

// madeUUID reports a default that makes a random UUID: one is made here instead.
func madeUUID(text string) bool {
	name, _, _ := strings.Cut(strings.ToLower(text), "(")
	switch strings.TrimSpace(name) {
	case "gen_random_uuid", "uuid_generate_v4", "uuidv7", "uuidv4", "uuid_generate_v7", "uuid":
		return true
	}
	return false
}

// ID returns the canonical id of a record, and "" where the struct has none yet: its key
// is zero.
func (m *Model) ID(record reflect.Value) (string, error) {
	if m.id == nil {
		return m.compositeID(record)
	}
	v, zero := m.id.ValueOf(background, record)
	if zero {
		return "", nil
	}
	return m.CanonicalID(v)
}

// CanonicalID returns the canonical text of an id that a caller names by a value of the
// key's type, or by a text. The error is an InvalidError.
func (m *Model) CanonicalID(v any) (string, error) {
	if m.id == nil {
		return m.canonicalKey(v)
	}
	plain, err := driverValue(v)
	if err != nil {
		return "", schema.Invalid("id", "%v", err)
	}
	switch id := plain.(type) {
	case string:
		return m.Entity.CanonicalID(id)
	case int64:
		if m.Entity.ID.Type != schema.Int {
			break
		}
		return m.Entity.CanonicalID(strconv.FormatInt(id, 10))
	case []byte:
		if m.Entity.ID.Type != schema.UUID {
			return m.Entity.CanonicalID(string(id))
		}
		if u, err := uuid.FromBytes(id); err == nil {
			return u.String(), nil
		}
	case nil:
		return "", schema.Invalid("id", "is missing")
	}
	return "", schema.Invalid("id", "is a %T, and the ids of %s are of type %s", v, m.Entity.Name, m.Entity.ID.Type)
}

// NewID makes an id: a UUID of version 7, so that ids are in the order of time.
func (m *Model) NewID() (string, error) {
	if m.id == nil { // the producer makes the part that is missing
		return "", nil
	}
	if m.Entity.ID.Type == schema.Int || m.Entity.ID.Type == schema.String && m.Entity.ID.Max < 36 {
		return "", schema.Invalid("id", "is missing, and one cannot be made: the ids of %s are of type %s",
			m.Entity.Name, m.Entity.ID.Type)
	}
	u, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return u.String(), nil
}

// SetID puts a canonical id into a struct.
func (m *Model) SetID(record reflect.Value, id string) error {
	if m.id == nil {
		return m.setKey(record, id)
	}
	var v any = id
	if m.Entity.ID.Type == schema.Int {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return fmt.Errorf("id %q: %w", id, err)
		}
		v = n
	}
	if err := set(m.id, record, v); err != nil {
		return fmt.Errorf("id %q: %w", id, err)
	}
	return nil
}
