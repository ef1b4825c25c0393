package catalog

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// onMySQL judges by the type in PostgreSQL's spelling. The server parses texts in strict mode: it refuses values that
// are too long or out of range, and silently rounds fractions.
func onMySQL(v *Verdict, _ *Table, f *schema.Field, c Column) {
	if c.Class == Enum {
		// The server takes a label in any case, and its number, and stores the label.
		v.enum(f)
		v.Labels = c.Enum
		return
	}
	base, unsigned := strings.CutSuffix(c.Base, " unsigned")
	if bits, ok := mysqlIntegers[base]; ok {
		low, high := int64(math.MinInt64)>>(64-bits), int64(math.MaxInt64)>>(64-bits)
		if unsigned {
			low, high = 0, int64(min(uint64(math.MaxUint64)>>(64-bits), math.MaxInt64))
		}
		if f.Type != schema.Bool {
			v.number(f, func() { v.mysqlWhole(f, low, high) })
		}
		return
	}
	defer v.signed(f, unsigned)
	switch base {
	case "text", "character varying":
		v.postgresText(f, c)
		v.characters(f, c)
		v.bytes(f, c)
	case "character":
		v.padded(f, c)
	case "numeric":
		v.number(f, func() { v.numeric(f, c) })
		if f.Type == schema.Int && zeroFilled(c) {
			v.wrong(f, "decimal")
		}
	case "real":
		v.number(f, func() { v.mysqlFloat(f, c, 6, 999_999) }) // it shows six digits
	case "double precision":
		v.number(f, func() { v.mysqlFloat(f, c, 15, 1<<53) })
	case "timestamp with time zone", "timestamp without time zone", "date":
		v.postgresTime(f, c)
		if base == "timestamp with time zone" && v.Hold == Exact {
			v.narrow("it takes times from 1970 to 2038")
		}
	case "json":
		v.mysqlJSON(f)
	case "uuid":
		v.only(f, c, schema.UUID)
	case "bit":
		switch {
		case c.Length > 1:
			v.wrong(f, "") // it keeps the bytes of a text, and puts zero bytes before them
			v.Fix = "make the column a bigint or a binary, or leave it out of the fields"
		case f.Type != schema.Bool:
			v.wrong(f, "bool")
		}
	case "year":
		v.year(f, c)
	case "varbinary", "binary", "tinyblob", "blob", "mediumblob", "longblob":
		v.mysqlBytes(f, c)
	case "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
		"geometrycollection", "vector":
		v.wrong(f, "") // not even as a text
	default:
		v.spelled(f, c)
	}
}

// mysqlIntegers maps the types of whole numbers to their bits.
var mysqlIntegers = map[string]int{"tinyint": 8, "smallint": 16, "mediumint": 24, "integer": 32, "bigint": 64}

// zeroFilled reports whether the server puts zeros before a number, as it does with no text of an integer.
func zeroFilled(c Column) bool { return strings.Contains(c.Type, "zerofill") }

// IntegerBits returns the bits of a type of whole numbers of MySQL, without the word unsigned.
func IntegerBits(base string) (bits int, ok bool) {
	bits, ok = mysqlIntegers[base]
	return bits, ok
}

// signed judges whether a column accepts the field's negative numbers.
func (v *Verdict) signed(f *schema.Field, unsigned bool) {
	if unsigned && v.Hold == Exact && (f.Min == "" || strings.HasPrefix(f.Min, "-")) {
		v.narrow("it takes no negative numbers")
	}
}

// mysqlFloat judges a column of floats, which can have a precision like a decimal.
func (v *Verdict) mysqlFloat(f *schema.Field, c Column, digits int, most int64) {
	if strings.Contains(c.Type, "(") && f.Type != schema.Int {
		v.rounds("it rounds to the digits of %s", c.Type)
		return
	}
	v.float(f, digits, most)
	if strings.Contains(c.Type, "(") && v.Hold == Exact {
		v.narrow("it takes the digits of %s", c.Type)
	}
}

// characters judges a column of texts whose character set may lack some characters.
func (v *Verdict) characters(f *schema.Field, c Column) {
	set, _, _ := strings.Cut(c.Collation, "_")
	if v.Hold == Exact && (isText(f) || f.Type == schema.JSON) &&
		!slices.Contains([]string{"", "utf8mb4", "utf16", "utf32", "binary"}, set) {
		v.narrow("its character set, %s, has not all characters", set)
	}
}

// bytes judges a text type without a length: even in strict mode it cuts blanks off that are beyond its bytes.
func (v *Verdict) bytes(f *schema.Field, c Column) {
	const most = 4 // bytes of a character
	if length := textLength(f); v.Hold == Refused || c.Bytes == 0 || length > 0 && length*most <= c.Bytes {
		return
	}
	if v.Bytes = c.Bytes; v.Hold == Exact {
		v.narrow("it takes at most %d bytes", c.Bytes)
	}
}

// mysqlJSON judges MySQL's own type; that of MariaDB is a text. It keeps a number with a fraction as a double, and
// takes no bool but as a text.
func (v *Verdict) mysqlJSON(f *schema.Field) {
	switch f.Type {
	case schema.Decimal:
		v.float(f, 15, 1<<53)
	case schema.Bool:
		v.wrong(f, "json")
	default:
		v.jsonb(f)
	}
}

// year judges a column that reads 26 as 2026.
func (v *Verdict) year(f *schema.Field, c Column) {
	const first, last = 1901, 2155
	if f.Type != schema.Int {
		v.spelled(f, c)
		return
	}
	if low, high := f.IntBounds(); low < first || high > last {
		v.rounds("it makes a year of a number below 100")
		v.Fix = fmt.Sprintf("set `min: %d` and `max: %d` on the field", first, last)
	}
}

// mysqlWhole judges a column of whole numbers, which rounds other numbers.
func (v *Verdict) mysqlWhole(f *schema.Field, low, high int64) {
	if f.Type == schema.Float {
		v.rounds("it rounds to whole numbers")
		return
	}
	v.whole(f, low, high)
}

func (v *Verdict) mysqlBytes(f *schema.Field, c Column) {
	switch {
	case f.Type != schema.Bytes:
		v.wrong(f, "bytes")
	case c.Base == "binary":
		v.database("the database fills it with zero bytes")
	case c.Length > 0 && (f.MaxLength == 0 || f.MaxLength > c.Length):
		v.narrow("it takes at most %d bytes", c.Length)
	}
}

func keyOnMySQL(v *Verdict, id schema.ID, digits int, c Column) bool {
	base, _ := strings.CutSuffix(c.Base, " unsigned")
	text := slices.Contains([]string{"text", "character varying", "character"}, base)
	switch id.Type {
	case schema.Int:
		_, whole := mysqlIntegers[base]
		return whole || base == "numeric" && c.Scale == 0 && !zeroFilled(c)
	case schema.UUID:
		return text || base == "uuid"
	case schema.Time:
		return strings.HasPrefix(base, "timestamp") && c.Fraction >= digits
	}
	if text && c.Base != "text" {
		v.text(c.Length, id.Max) // it would drop blanks of a longer text without a word
	}
	return text
}
