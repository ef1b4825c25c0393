package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// Hold says how a column holds its field.
type Hold string

// How a column holds its field, from best to worst.
const (
	// Exact: every value of the field is read back as it was written.
	Exact Hold = "exact"
	// Narrow: every value that the column accepts is read back as it was written; the database refuses the others with
	// an error, and the record is held.
	Narrow Hold = "narrow"
	// Database: the database decides. It may spell, compute or round the value; the flush reads the row back, and the
	// cache stores that value.
	Database Hold = "the database's"
	// Refused: the column would change values, and the configuration does not allow that.
	Refused Hold = "refused"
)

// Verdict is what the catalog says about one field and its column.
type Verdict struct {
	Field  string // "id" is the key
	Column string // as the table spells it
	Type   string
	Hold   Hold
	Why    string   // "" for Exact
	Fix    string   // what to do if it is Refused
	Limit  int      // characters that a text column accepts; longer texts must not be sent; 0: no limit
	Days   bool     // it takes days, spelled as 2026-01-31; other texts must not be sent
	Digits int      // significant digits that a number keeps; more must not be sent; 0: no limit
	Bytes  int      // bytes of a text; longer ones with a blank at the end must not be sent; 0: no limit
	Labels []string // of an enum that also takes other spellings of them, which must not be sent

	rounded bool // refused because the column rounds, which the field can allow
}

// String returns the verdict as a line of a report.
func (v Verdict) String() string {
	line := fmt.Sprintf("%s (%s) %s", v.Column, v.Type, v.Hold)
	if v.Why != "" {
		line += ": " + v.Why
	}
	if v.Fix != "" {
		line += "; " + v.Fix
	}
	return line
}

// Dialect names the database whose types a table uses.
type Dialect string

// The dialects.
const (
	PostgreSQL Dialect = "postgres"
	SQLite     Dialect = "sqlite"
	MySQL      Dialect = "mysql" // and MariaDB
)

// Judge says how a column holds a field. It considers types alone: if a check, a foreign key or a domain refuses a
// value, the database's error names it.
func Judge(d Dialect, at *Table, f *schema.Field, c Column) Verdict {
	v := Verdict{Field: f.Name, Column: c.Name, Type: c.Type, Hold: Exact}
	if c.Computed() && !f.FromDatabase {
		v.Hold, v.Why, v.Fix = Refused, Computes, "set `from: database` on the field, or leave it out of the fields"
		return v
	}
	judge := map[Dialect]func(*Verdict, *Table, *schema.Field, Column){PostgreSQL: onPostgres, SQLite: onSQLite,
		MySQL: onMySQL}[d]
	if judge == nil {
		return v
	}
	judge(&v, at, f, c)
	if v.Hold == Exact && c.Domain != "" {
		v.narrow("the domain %s may refuse values", c.Domain)
	}
	if c.Replaces != "" && v.Hold != Refused {
		v.Hold, v.Why = Database, c.Replaces
	}
	if c.Computed() && (v.rounded || v.Hold != Refused) {
		v.Hold, v.Why, v.Fix, v.Limit, v.Digits, v.Days = Database, Computes, "", 0, 0, false
		v.Bytes, v.Labels = 0, nil
	}
	if f.FromDatabase && (v.rounded || v.Hold == Exact || v.Hold == Narrow) {
		v.Hold, v.Fix = Database, ""
		if v.Why == "" {
			v.Why = "`from: database`"
		}
	}
	return v
}

// Computes is the reason to refuse a column that accepts no value.
const Computes = "the database computes it and takes no value"

// narrowOrDatabase is the hint for a column that rounds.
const narrowOrDatabase = "narrow the field, widen the column, or set `from: database` on the field"

func (v *Verdict) narrow(format string, args ...any) {
	v.Hold, v.Why = Narrow, fmt.Sprintf(format, args...)
}

func (v *Verdict) database(format string, args ...any) {
	v.Hold, v.Why = Database, fmt.Sprintf(format, args...)
}

// rounds records that a column keeps less than the field's values have.
func (v *Verdict) rounds(format string, args ...any) {
	v.Hold, v.Why, v.Fix, v.rounded = Refused, fmt.Sprintf(format, args...), narrowOrDatabase, true
}

// wrong records that a column cannot hold values of the field's type at all.
func (v *Verdict) wrong(f *schema.Field, instead string) {
	v.Hold, v.Why = Refused, fmt.Sprintf("it does not hold values of type %s", f.Type)
	v.Fix = "give the field another type"
	if instead != "" {
		v.Fix = "give the field the type " + instead
	}
}

// text judges a column of characters, of at most limit of them, for a field whose texts have at most length characters;
// 0 is no limit.
func (v *Verdict) text(limit, length int) {
	if limit > 0 && (length == 0 || length > limit) {
		v.narrow("it takes at most %d characters", limit)
		v.Limit = limit
	}
}

// textLength returns the length of the longest text that a field's values are sent as; 0: no limit.
func textLength(f *schema.Field) int {
	switch f.Type {
	case schema.String, schema.Text, schema.JSON:
		return f.MaxLength
	case schema.Int:
		return len("-9223372036854775808")
	case schema.Float:
		return len("-1.2345678901234567e-308")
	case schema.Decimal:
		return f.Precision + len("-0.")
	case schema.Bool:
		return len("false")
	case schema.Time:
		return len("2026-01-31 12:00:00.000000+00:00")
	case schema.UUID:
		return 36
	}
	return 0
}

// whole judges a column of whole numbers from low to high.
func (v *Verdict) whole(f *schema.Field, low, high int64) {
	switch f.Type {
	case schema.Int:
		if least, most := f.IntBounds(); least < low || most > high {
			v.narrow("it takes numbers from %d to %d", low, high)
		}
	case schema.Decimal:
		if f.Scale > 0 {
			v.wrong(f, "int, or decimal with scale 0")
		} else if f.Precision > len(fmt.Sprint(high))-1 {
			v.narrow("it takes numbers from %d to %d", low, high)
		}
	case schema.Float:
		v.narrow("it takes whole numbers from %d to %d", low, high)
	default:
		v.wrong(f, "int")
	}
}

// float judges a column of binary floating-point numbers that keep digits decimal digits, and whole numbers up to most.
func (v *Verdict) float(f *schema.Field, digits int, most int64) {
	switch f.Type {
	case schema.Int:
		if least, largest := f.IntBounds(); least < -most || largest > most {
			v.rounds("it rounds numbers beyond ±%d", most)
		}
	case schema.Decimal:
		if f.Precision > digits {
			v.rounds("it keeps %d digits", digits)
		}
	case schema.Float:
		if digits < 15 {
			v.rounds("it keeps %d digits", digits)
		}
	default:
		v.wrong(f, "float")
	}
}

// numeric judges a column of decimal numbers; precision 0 is any number.
func (v *Verdict) numeric(f *schema.Field, c Column) {
	digits := c.Precision - c.Scale // before the decimal point
	switch f.Type {
	case schema.Int:
		least, most := f.IntBounds()
		switch {
		case c.Precision == 0:
		case c.Scale < 0:
			v.roundsWhole(c)
		case digits < max(len(strings.Trim(fmt.Sprint(least), "-")), len(strings.Trim(fmt.Sprint(most), "-"))):
			v.narrow("it takes %d digits before the point", digits)
		}
	case schema.Decimal:
		switch {
		case c.Precision == 0:
		case c.Scale < 0:
			v.roundsWhole(c)
		case c.Scale < f.Scale:
			v.rounds("it rounds to %d digits after the point, the field has %d", c.Scale, f.Scale)
			v.Fix = fmt.Sprintf("set `scale: %d` on the field, give the column more digits, or set `from: database` on the field", c.Scale)
		case digits < 0:
			v.narrow("it takes numbers below 1e%d", digits)
		case digits < f.Precision-f.Scale:
			v.narrow("it takes %d digits before the point", digits)
		}
	case schema.Float:
		switch {
		case c.Scale < 0:
			v.roundsWhole(c)
		case c.Precision > 0:
			v.rounds("it rounds to %d digits after the point", c.Scale)
		}
	default:
		v.wrong(f, "decimal")
	}
}

// roundsWhole records that a column of a negative scale rounds whole numbers: no scale of a field fits it.
func (v *Verdict) roundsWhole(c Column) {
	v.rounds("it rounds to multiples of 1%s", strings.Repeat("0", -c.Scale))
	v.Fix = "make it a numeric without a negative scale, or set `from: database` on the field"
}

var numbers = []schema.FieldType{schema.Int, schema.Float, schema.Decimal}

func isText(f *schema.Field) bool { return f.Type == schema.String || f.Type == schema.Text }

func isNumber(f *schema.Field) bool { return slices.Contains(numbers, f.Type) }
