package model

import (
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/schema"
)

// columnTypes are the types of columns that keep every value of a field's type. A type
// that is not listed is refused: a column of inet, money or interval gives back another
// text than it was given.
var columnTypes = map[string]schema.FieldType{
	"bool": schema.Bool, "boolean": schema.Bool,
	"int": schema.Int, "uint": schema.Int, "integer": schema.Int, "bigint": schema.Int, "smallint": schema.Int,
	"int2": schema.Int, "int4": schema.Int, "int8": schema.Int, "tinyint": schema.Int, "mediumint": schema.Int,
	"float": schema.Float, "double": schema.Float, "double precision": schema.Float, "real": schema.Float,
	"float4": schema.Float, "float8": schema.Float,
	"decimal": schema.Decimal, "numeric": schema.Decimal,
	"varchar": schema.String, "character varying": schema.String, "nvarchar": schema.String, "string": schema.String,
	"text": schema.Text, "tinytext": schema.Text, "mediumtext": schema.Text, "longtext": schema.Text,
	"clob": schema.Text,
	"json": schema.JSON, "jsonb": schema.JSON,
	"time": schema.Time, "timestamp": schema.Time, "timestamptz": schema.Time, "datetime": schema.Time,
	"timestamp with time zone": schema.Time, "timestamp without time zone": schema.Time,
	"uuid":  schema.UUID,
	"bytes": schema.Bytes, "bytea": schema.Bytes, "blob": schema.Bytes, "tinyblob": schema.Bytes,
	"mediumblob": schema.Bytes, "longblob": schema.Bytes, "varbinary": schema.Bytes,
}

// refusedTypes say why a column of a known type is refused.
var refusedTypes = map[string]string{
	"date":        "a date keeps no time of day, so a later read would differ: use a time column, or a string field",
	"serial":      madeByDatabase,
	"bigserial":   madeByDatabase,
	"smallserial": madeByDatabase,
	"char":        "a char column pads its text, so a later read would differ: use varchar, or uuid for a UUID",
	"character":   "a character column pads its text, so a later read would differ: use varchar, or uuid for a UUID",
	"bpchar":      "a bpchar column pads its text, so a later read would differ: use varchar",
	"binary":      "a binary column pads its bytes, so a later read would differ: use varbinary or bytea",
}

const madeByDatabase = "the database makes its value, after the write was accepted: " +
	"set it in the program, or make the field read-only (->)"

// readTypes are types of columns that give back another value than they are given, or make it:
// fields that are only read can have them.
var readTypes = map[string]schema.FieldType{
	"date": schema.Time, "char": schema.String, "character": schema.String, "bpchar": schema.String,
	"binary": schema.Bytes, "serial": schema.Int, "bigserial": schema.Int, "smallserial": schema.Int,
}

// declared is a column type as a `type:` tag spells it: decimal(10,2), varchar(64).
var declared = regexp.MustCompile(`^([a-z_0-9 ]+?)\s*(?:\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\))?\s*(unsigned|with time zone|without time zone)?$`)

// fieldType sets the type of a field, its length and its digits, from gorm's field. The
// error is the reason why it cannot be mapped.
func fieldType(to *schema.Field, from *gormschema.Field, t tag) error {
	name, size, scale := string(from.DataType), from.Size, 0
	if typ, ok := from.TagSettings["TYPE"]; ok {
		parts := declared.FindStringSubmatch(strings.ToLower(strings.TrimSpace(typ)))
		if parts == nil {
			return unknownType(to, typ, t)
		}
		name = parts[1]
		if parts[4] != "" && parts[4] != "unsigned" {
			name += " " + parts[4]
		}
		if parts[2] != "" {
			size, _ = strconv.Atoi(parts[2])
			scale, _ = strconv.Atoi(parts[3])
		}
	}
	if reason, ok := refusedTypes[name]; ok && !t.text && !readOnly(from) {
		return fmt.Errorf("%s", reason)
	}
	typ, ok := columnTypes[name]
	if read, known := readTypes[name]; known && readOnly(from) {
		typ, ok = read, true
	}
	if !ok {
		return unknownType(to, name, t)
	}
	to.Type = typ
	if err := serialized(to, from); err != nil {
		return err
	}
	switch to.Type {
	case schema.String, schema.Text:
		texts(to, from, size)
	case schema.Bytes:
		to.MaxLength = max(size, 0)
	case schema.Int:
		to.Min, to.Max = intBounds(from)
	case schema.Float:
		if from.Precision > 0 {
			to.Type, to.Precision, to.Scale = schema.Decimal, from.Precision, from.Scale
		}
	case schema.Decimal:
		return digits(to, from, size, scale)
	}
	return nil
}

func unknownType(to *schema.Field, name string, t tag) error {
	if t.text {
		to.Type = schema.Text
		return nil
	}
	return fmt.Errorf("a column of type %q may not give back every value as it was: "+
		`if it keeps every text, say afterwrite:"text"`, name)
}

// texts chooses between a short string and a text, and a UUID for Go's UUID types.
func texts(to *schema.Field, from *gormschema.Field, size int) {
	if isUUID(from) && from.TagSettings["TYPE"] == "" {
		to.Type = schema.UUID
		return
	}
	to.Type = schema.Text
	if size > 0 {
		to.Type, to.MaxLength = schema.String, size
	}
}

// isUUID reports whether the Go type is sixteen bytes that a driver gets as a text.
func isUUID(f *gormschema.Field) bool {
	t := f.IndirectFieldType
	return t.Kind() == reflect.Array && t.Len() == 16 && t.Elem().Kind() == reflect.Uint8 &&
		f.DataType == gormschema.String
}

// serialized corrects the type of a field with a serializer by what that gives to a driver.
func serialized(to *schema.Field, from *gormschema.Field) error {
	name := strings.ToLower(from.TagSettings["SERIALIZER"])
	if name == "" && from.TagSettings["JSON"] != "" {
		name = strings.ToLower(from.TagSettings["JSON"])
	}
	switch {
	case from.Serializer == nil || name == "":
	case name == "json" && (to.Type == schema.Text || to.Type == schema.String):
		if !from.NotNull { // gorm stores an empty text, which is no JSON, for a nil that must not be null
			to.Type = schema.JSON
		}
	case name == "gob" && to.Type != schema.Bytes:
		return fmt.Errorf("serializer gob gives bytes: add type:bytes")
	case name == "unixtime" && to.Type != schema.Time:
		return fmt.Errorf("serializer unixtime gives a time: add type:timestamp")
	}
	return nil
}

// digits are those of a decimal column: of its type, else of gorm's precision and scale.
func digits(to *schema.Field, from *gormschema.Field, precision, scale int) error {
	if from.TagSettings["TYPE"] == "" || !strings.Contains(from.TagSettings["TYPE"], "(") {
		precision, scale = from.Precision, from.Scale
	}
	if precision == 0 {
		return fmt.Errorf("a decimal without digits: say type:numeric(38,10), or precision and scale")
	}
	to.Precision, to.Scale = precision, scale
	return nil
}

// intBounds are those of the Go type, where it is smaller than 64 bits.
func intBounds(f *gormschema.Field) (low, high string) {
	bits := f.Size
	switch f.IndirectFieldType.Kind() {
	case reflect.Int8, reflect.Int16, reflect.Int32:
		bits = f.IndirectFieldType.Bits()
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		return "0", strconv.FormatUint(1<<f.IndirectFieldType.Bits()-1, 10)
	case reflect.Uint, reflect.Uint64:
		return "0", ""
	}
	if bits <= 0 || bits >= 64 {
		return "", ""
	}
	return strconv.FormatInt(math.MinInt64>>(64-bits), 10), strconv.FormatInt(math.MaxInt64>>(64-bits), 10)
}
