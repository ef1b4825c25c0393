package catalog

import (
	"github.com/afterwrite/afterwrite/schema"
)

// onSQLite judges by a column's affinity: a declared type is not enforced, except in STRICT tables. Ints and bools are
// sent as integers, floats as floats, bytes as blobs, everything else as text.
func onSQLite(v *Verdict, at *Table, f *schema.Field, c Column) {
	if at.Strict && c.Base != "BLOB" || at.Strict && c.Type == "BLOB" {
		v.strict(f, c)
		if v.Hold != Exact {
			return
		}
	}
	switch c.Base {
	case "TEXT":
		v.sqliteText(f)
	case "INTEGER", "NUMERIC":
		v.sqliteNumber(f, c)
	case "REAL":
		v.sqliteReal(f)
	}
}

// strict judges a column of a table that accepts no value of another type.
func (v *Verdict) strict(f *schema.Field, c Column) {
	switch c.Base {
	case "TEXT":
		if f.Type == schema.Bytes {
			v.wrong(f, "text")
		}
	case "BLOB":
		if f.Type != schema.Bytes {
			v.wrong(f, "bytes")
		}
	case "REAL", "INTEGER":
		v.strictNumber(f, c)
	}
}

func (v *Verdict) strictNumber(f *schema.Field, c Column) {
	switch {
	case isText(f):
		v.database("SQLite makes numbers of texts, and refuses those that are none")
	case c.Base == "REAL":
		if !isNumber(f) {
			v.wrong(f, "float")
		}
	default:
		if f.Type == schema.Float || f.Type == schema.Decimal {
			v.narrow("it takes whole numbers")
			if f.Scale > 0 && f.Precision > floatDigits { // it makes a float of 1.00, and a whole number of that
				v.Digits = floatDigits
			}
		} else if f.Type != schema.Int && f.Type != schema.Bool {
			v.wrong(f, "int")
		}
	}
}

func (v *Verdict) sqliteText(f *schema.Field) {
	if f.Type == schema.Float {
		v.rounds("a float becomes a text of 15 digits")
	}
}

// sqliteNumber judges a column that converts each text that looks like a number to a number.
func (v *Verdict) sqliteNumber(f *schema.Field, c Column) {
	switch f.Type {
	case schema.String, schema.Text:
		v.database("SQLite makes numbers of texts that look like them, as its type is %s", c.Type)
	case schema.JSON:
		v.database("SQLite makes numbers of texts that look like them, as its type is %s", c.Type)
	case schema.Time:
		if c.Base == "INTEGER" {
			v.wrong(f, "int")
		}
	case schema.Decimal:
		v.sqliteDecimal(f)
	}
}

// sqliteDecimal judges a decimal that SQLite stores as a float or as a whole number.
func (v *Verdict) sqliteDecimal(f *schema.Field) {
	if f.Precision > floatDigits {
		v.narrow("SQLite keeps 15 digits of it as a float; values of more digits are refused")
		v.Digits = floatDigits
	}
}

// floatDigits are the digits of a decimal that a float keeps.
const floatDigits = 15

func (v *Verdict) sqliteReal(f *schema.Field) {
	switch f.Type {
	case schema.String, schema.Text, schema.JSON:
		v.database("SQLite makes floats of texts that look like numbers")
	case schema.Time:
		v.wrong(f, "float")
	case schema.Int:
		v.float(f, 15, 1<<53)
	case schema.Decimal:
		v.sqliteDecimal(f)
	case schema.Bool:
	}
}

// keyOnSQLite reports whether a column tells ids apart. One without a type, or of blobs, is no key of texts: it keeps
// the number 5, the text '5' and the blob of the text side by side, which are one id.
func keyOnSQLite(id schema.ID, c Column) bool {
	switch id.Type {
	case schema.Int:
		return c.Base == "INTEGER" || c.Base == "NUMERIC"
	case schema.UUID, schema.Time:
		return c.Base == "TEXT" || c.Base == "BLOB" || c.Base == "NUMERIC"
	}
	return c.Base == "TEXT"
}
