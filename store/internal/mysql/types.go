package mysql

import (
	"database/sql"
	"fmt"
	"reflect"
	"strings"
	"time"

	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

func (d *mysql) Dialector(db *sql.DB) gorm.Dialector {
	return &mysqlDialector{Dialector: gormmysql.Dialector{Config: &gormmysql.Config{
		Conn: db, SkipInitializeWithVersion: true, DisableDatetimePrecision: true,
	}}, dialect: d}
}

// mysqlDialector is gorm's dialector; the types of columns are spelled for the server when it
// is known.
type mysqlDialector struct {
	gormmysql.Dialector
	dialect *mysql
}

// DataTypeOf is the type of a column in a new table.
func (m *mysqlDialector) DataTypeOf(f *gormschema.Field) string {
	return m.dialect.Spell(m.Dialector.DataTypeOf(f))
}

// Migrator makes tables.
func (m *mysqlDialector) Migrator(db *gorm.DB) gorm.Migrator {
	migrator := m.Dialector.Migrator(db).(gormmysql.Migrator)
	migrator.Migrator.Dialector = m
	return migrator
}

// MariaDB and MySQL have different names for the collation that compares texts byte by byte,
// blanks at the end included.
const (
	mariaExact = "utf8mb4_nopad_bin"
	mysqlExact = "utf8mb4_0900_bin"
)

// Spell is a type as the server spells it.
func (d *mysql) Spell(typ string) string {
	if d.maria() {
		return typ
	}
	return strings.ReplaceAll(typ, mariaExact, mysqlExact)
}

const (
	mysqlExactText = " CHARACTER SET utf8mb4 COLLATE " + mariaExact
	mysqlKeyLength = 768  // characters of a key: 3072 bytes
	mysqlVarchar   = 1024 // longest text that is a varchar: a row has 65,535 bytes for all of them
	mysqlDigits    = 65   // of a decimal
	mysqlScale     = 30   // of them after the point
	mysqlBlobs     = "longblob"
	mysqlTexts     = "longtext" + mysqlExactText
)

func (*mysql) ColumnType(f *schema.Field) string {
	switch {
	case f.Unique && f.Type == schema.Bytes:
		return fmt.Sprintf("varbinary(%d)", mysqlKeyLength)
	case longKey(f), f.Unique && (f.Type == schema.Text || f.Type == schema.JSON):
		return fmt.Sprintf("varchar(%d)", mysqlKeyLength) + mysqlExactText
	}
	switch f.Type {
	case schema.String:
		if f.MaxLength > 0 && f.MaxLength <= mysqlVarchar {
			return fmt.Sprintf("varchar(%d)", f.MaxLength) + mysqlExactText
		}
	case schema.Int:
		return "bigint"
	case schema.Float:
		return "double"
	case schema.Decimal:
		if f.Precision <= mysqlDigits && f.Scale <= mysqlScale {
			return fmt.Sprintf("decimal(%d,%d)", f.Precision, f.Scale)
		}
	case schema.Bool:
		return "tinyint(1)"
	case schema.Time:
		return fmt.Sprintf("datetime(%d)", f.SecondDigits())
	case schema.Bytes:
		return mysqlBlobs
	case schema.UUID:
		return "char(36) CHARACTER SET ascii COLLATE ascii_bin"
	}
	return mysqlTexts // json would not keep the text
}

func (*mysql) IDType(id schema.ID) string {
	switch id.Type {
	case schema.Int:
		if id.Made == schema.MadeSequence {
			return "bigint AUTO_INCREMENT"
		}
		return "bigint"
	case schema.UUID:
		return "char(36) CHARACTER SET ascii COLLATE ascii_bin"
	}
	// ids are ordered, and told apart, by their bytes
	return fmt.Sprintf("varchar(%d)", min(max(1, id.Max), mysqlKeyLength)) + mysqlExactText
}

// KeyType leaves each text of a key its share of what an index holds.
func (d *mysql) KeyType(f *schema.Field, parts int) string {
	if f.Type != schema.String && f.Type != schema.Text {
		return d.ColumnType(f)
	}
	most := mysqlKeyLength / parts
	if f.MaxLength > 0 {
		most = min(most, f.MaxLength)
	}
	return fmt.Sprintf("varchar(%d)", most) + mysqlExactText
}

// ComparesRows: the server finds the place of (a, b) > (?, ?) in no index.
func (*mysql) ComparesRows() bool { return false }

// Limits names what no index of the server can hold: the columns that migrate makes are shorter
// than the entity allows, and what is longer is refused by the database.
func (*mysql) Limits(e *schema.Entity) []string {
	var found []string
	if !e.ID.Composite() && e.ID.Type == schema.String && e.ID.Max > mysqlKeyLength {
		found = append(found, fmt.Sprintf("id.max is %d", e.ID.Max))
	}
	for _, i := range e.Key() {
		f := &e.Fields[i]
		if most := mysqlKeyLength / len(e.Key()); (f.Type == schema.String || f.Type == schema.Text) &&
			(f.MaxLength == 0 || f.MaxLength > most) {
			found = append(found, fmt.Sprintf("fields.%s is a part of the key and has no max of %d or less", f.Name, most))
		}
	}
	for i := range e.Fields {
		if f := &e.Fields[i]; longKey(f) {
			found = append(found, "fields."+f.Name+" is unique and has no max of that or less")
		}
	}
	for i := range found {
		found[i] += fmt.Sprintf("; an index of MySQL has %d characters at most", mysqlKeyLength)
	}
	return found
}

// longKey reports whether a unique field has values that no index holds.
func longKey(f *schema.Field) bool {
	switch f.Type {
	case schema.String, schema.Text, schema.JSON, schema.Bytes:
		return f.Unique && (f.MaxLength == 0 || f.MaxLength > mysqlKeyLength)
	}
	return false
}

// datetimeSlot spells an instant in UTC, the zone of the session.
var datetimeSlot = mapping.Slot{GoType: reflect.TypeFor[*string](), Fill: func(at any, plain string) error {
	text, err := datetime(plain)
	*at.(**string) = &text
	return err
}}

func datetime(plain string) (string, error) {
	t, err := time.Parse(time.RFC3339Nano, plain)
	return t.UTC().Format("2006-01-02 15:04:05.999999"), err
}

// tinySlot is a number, which tinyint(1) and bit(1) take alike.
var tinySlot = mapping.Slot{GoType: reflect.TypeFor[*int64](), Fill: func(at any, plain string) error {
	return mapping.IntSlot.Fill(at, tiny(plain))
}}

func tiny(plain string) string {
	switch plain {
	case "true":
		return "1"
	case "false":
		return "0"
	}
	return plain
}

func (*mysql) Slot(t schema.FieldType) mapping.Slot {
	switch t {
	case schema.Time:
		return datetimeSlot
	case schema.Bool:
		return tinySlot
	case schema.Bytes:
		return mapping.BytesSlot
	}
	return mapping.TextSlot
}

func (*mysql) Equal(column string, t schema.FieldType) string {
	switch t {
	case schema.String, schema.Text, schema.JSON:
		return "CAST(" + column + " AS BINARY) = CAST(? AS BINARY)" // whatever its collation
	}
	return column + " = ?"
}

// Shows casts what the driver would parse: it makes the zero time of a date that is all zeros.
func (*mysql) Shows(column string, t schema.FieldType) string {
	switch t {
	case schema.String, schema.Text, schema.Time:
		return "CAST(" + column + " AS char)"
	}
	return column
}
