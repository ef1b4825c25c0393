package catalog

import (
	"context"
	"database/sql"
	"strings"
)

// ReadMySQL reads a table of MySQL or MariaDB by its plain name in the connection's database, or by schema.name. A
// table that does not exist has no columns.
func ReadMySQL(ctx context.Context, q Querier, name string) (*Table, error) {
	t := &Table{Name: name, Kind: Plain, CaseFolding: true}
	r := &reader{ctx: ctx, q: q}
	place, args := "TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ?", []any{name}
	if schema, table, ok := strings.Cut(name, "."); ok {
		place, args = "TABLE_SCHEMA = ? AND TABLE_NAME = ?", []any{schema, table}
	}
	t.mysqlColumns(r, place, args)
	if r.err != nil || !t.Exists() {
		return t, r.err
	}
	var kind, options, engine, transactions string
	r.each(`SELECT t.TABLE_TYPE, coalesce(t.CREATE_OPTIONS, ''), coalesce(t.ENGINE, ''), coalesce(e.TRANSACTIONS, '')
		FROM information_schema.TABLES t LEFT JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE WHERE `+place, args,
		[]any{&kind, &options, &engine, &transactions}, func() {
			if transactions == "NO" {
				t.Flaw = "its engine, " + engine + ", has no transactions: what a flush undoes would stay"
				t.FlawFix = "ALTER TABLE … ENGINE=InnoDB"
			}
			switch {
			case strings.Contains(kind, "VIEW"):
				t.Kind = View
			case strings.Contains(options, "partitioned"):
				t.Kind = Partitioned
			}
		})
	t.mysqlIndexes(r, place, args)
	var check string
	r.each(`SELECT c.CHECK_CLAUSE FROM information_schema.TABLE_CONSTRAINTS k JOIN information_schema.CHECK_CONSTRAINTS c
			ON c.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = k.CONSTRAINT_NAME
		WHERE k.CONSTRAINT_TYPE = 'CHECK' AND k.`+strings.Replace(place, "TABLE_NAME", "k.TABLE_NAME", 1)+` ORDER BY c.CHECK_CLAUSE`, args,
		[]any{&check}, func() { t.Checks = append(t.Checks, check) })
	t.mysqlTriggers(r, strings.NewReplacer("TABLE_SCHEMA", "EVENT_OBJECT_SCHEMA", "TABLE_NAME",
		"EVENT_OBJECT_TABLE").Replace(place), args)
	t.ForeignKeys = mysqlKeys(r, "k."+strings.Replace(place, "TABLE_NAME", "k.TABLE_NAME", 1), args)
	t.References = mysqlKeys(r, strings.NewReplacer("TABLE_SCHEMA", "k.REFERENCED_TABLE_SCHEMA", "TABLE_NAME",
		"k.REFERENCED_TABLE_NAME").Replace(place), args)
	return t, r.err
}

// mysqlBases maps types of MySQL to PostgreSQL's spelling of the same type. Other types keep their own names.
var mysqlBases = map[string]string{
	"varchar": "character varying", "char": "character", "tinytext": "text", "text": "text", "mediumtext": "text",
	"longtext": "text",
	"smallint": "smallint", "int": "integer", "bigint": "bigint", "decimal": "numeric", "double": "double precision",
	"float":    "real",
	"datetime": "timestamp without time zone", "timestamp": "timestamp with time zone",
	"time": "time without time zone",
}

func (t *Table) mysqlColumns(r *reader, place string, args []any) {
	var name, typ, base, extra, nullable string
	var preset, collation, expression sql.NullString
	var length, octets, precision, scale, fraction sql.NullInt64
	var explicit bool // a timestamp takes a null for what it is
	r.each(`SELECT COLUMN_NAME, COLUMN_TYPE, lower(DATA_TYPE), EXTRA, IS_NULLABLE, COLUMN_DEFAULT, COLLATION_NAME,
			GENERATION_EXPRESSION, least(CHARACTER_MAXIMUM_LENGTH, 2147483647),
			least(CHARACTER_OCTET_LENGTH, 2147483647), NUMERIC_PRECISION, NUMERIC_SCALE, DATETIME_PRECISION,
			@@explicit_defaults_for_timestamp = 1 AND VERSION() NOT LIKE '%MariaDB%'
		FROM information_schema.COLUMNS WHERE `+place+` ORDER BY ORDINAL_POSITION`, args,
		[]any{&name, &typ, &base, &extra, &nullable, &preset, &collation, &expression, &length, &octets,
			&precision, &scale, &fraction, &explicit}, func() {
			c := Column{Name: name, Type: mysqlType(typ, base), Base: base, Class: Scalar, Fraction: -1,
				NotNull: nullable == "NO", Collation: collation.String, Folds: mysqlFolds(base, collation.String),
				Generated: expression.String != "", RowEnd: expression.String == "ROW END"}
			if spelled, ok := mysqlBases[base]; ok {
				c.Base = spelled
			}
			if strings.Contains(typ, "unsigned") {
				c.Base += " unsigned"
			}
			if preset.Valid && preset.String != "NULL" {
				c.Default = preset.String
				c.Sequence = strings.Contains(strings.ToLower(c.Default), "nextval(")
			}
			if strings.Contains(strings.ToLower(extra), "auto_increment") {
				c.Identity = ByDefault
			}
			c.Replaces = mysqlReplaces(c, base, extra, explicit)
			switch base {
			case "tinytext", "text", "mediumtext":
				c.Bytes = int(octets.Int64)
			case "varchar", "char", "varbinary", "binary":
				c.Length = int(length.Int64)
			case "bit":
				c.Length = int(precision.Int64)
			case "decimal":
				c.Precision, c.Scale = int(precision.Int64), int(scale.Int64)
			case "datetime", "timestamp", "time":
				c.Fraction = int(fraction.Int64)
			case "date", "year":
				c.Fraction = 0
			case "enum":
				c.Class, c.Enum = Enum, mysqlLabels(typ)
			}
			t.Columns = append(t.Columns, c)
		})
}

// mysqlReplaces says why the server may store another value in a column than a statement gives it, or than the row
// had before a statement that does not name the column. Where the key is not concerned, a NULL is the only such value:
// NO_AUTO_VALUE_ON_ZERO keeps zeros.
func mysqlReplaces(c Column, base, extra string, explicit bool) string {
	switch {
	case strings.Contains(strings.ToLower(extra), "on update"):
		return "the server sets it when a row changes"
	case base == "timestamp" && c.NotNull && !explicit:
		return "the server makes the current time of a null"
	case c.Identity == ByDefault:
		return "the server makes the next number of a null"
	}
	return ""
}

// mysqlType returns a column's type without the display width that older servers add to integers.
func mysqlType(typ, base string) string {
	if !strings.HasSuffix(base, "int") || typ == "tinyint(1)" {
		return typ
	}
	_, after, ok := strings.Cut(typ, ")")
	if !ok {
		return typ
	}
	return base + after
}

// mysqlFolds reports whether a text column treats different texts as equal: its collation ignores case, accents, or
// trailing blanks.
func mysqlFolds(base, collation string) bool {
	switch {
	case collation == "":
		return false // a number, a time, or bytes
	case base == "char" || base == "enum" || base == "set":
		return true // trailing blanks are lost
	}
	return !strings.HasSuffix(collation, "_nopad_bin") && !strings.HasSuffix(collation, "_0900_bin") &&
		collation != "binary"
}

// mysqlLabels returns the labels of an enum's type.
func mysqlLabels(typ string) []string {
	_, list, _ := strings.Cut(typ, "('")
	var labels []string
	for label := range strings.SplitSeq(strings.TrimSuffix(list, "')"), "','") {
		labels = append(labels, strings.ReplaceAll(label, "''", "'"))
	}
	return labels
}

func (t *Table) mysqlIndexes(r *reader, place string, args []any) {
	var name string
	var column, prefix sql.NullString
	r.each(`SELECT INDEX_NAME, COLUMN_NAME, SUB_PART FROM information_schema.STATISTICS
		WHERE `+place+` AND NON_UNIQUE = 0 ORDER BY INDEX_NAME, SEQ_IN_INDEX`, args,
		[]any{&name, &column, &prefix}, func() {
			if n := len(t.Indexes); n == 0 || t.Indexes[n-1].Name != name {
				t.Indexes = append(t.Indexes, Index{Name: name, Primary: name == "PRIMARY", Constraint: true})
			}
			p := Part{Column: column.String}
			if !column.Valid {
				p.Expression = "an expression" // MySQL 8; this view does not show which
			}
			if c, ok := t.Column(p.Column); ok && c.Folds {
				p.Collation = "its collation is " + c.Collation
				if c.Base == "character" {
					p.Collation = "its type is " + c.Type
				}
			}
			if prefix.Valid {
				p.Collation = "it has the first " + prefix.String + " characters only"
			}
			// The server adds it to each unique key, which is as unique among the rows of today without it.
			if c, _ := t.Column(p.Column); !c.RowEnd {
				x := &t.Indexes[len(t.Indexes)-1]
				x.Parts = append(x.Parts, p)
			}
		})
}

func (t *Table) mysqlTriggers(r *reader, place string, args []any) {
	var name, event, timing, body string
	var all []Trigger
	r.each(`SELECT TRIGGER_NAME, EVENT_MANIPULATION, ACTION_TIMING, ACTION_STATEMENT FROM information_schema.TRIGGERS
		WHERE `+place+` ORDER BY TRIGGER_NAME`, args, []any{&name, &event, &timing, &body}, func() {
		all = append(all, Trigger{
			Name: name, Before: timing == "BEFORE", Row: true, Events: []Event{Event(event)}, Enabled: true,
			Source: body, Body: body,
		})
	})
	t.setTriggers(all)
}

// mysqlKeys reads foreign keys. A server with FOREIGN_KEY_CHECKS off does not enforce them; the store's connections set
// it on.
func mysqlKeys(r *reader, place string, args []any) []ForeignKey {
	var keys []ForeignKey
	var name, table, id, column, refTable, refColumn, onDelete, onUpdate string
	r.each(`SELECT k.CONSTRAINT_NAME, CASE k.TABLE_SCHEMA WHEN DATABASE() THEN k.TABLE_NAME ELSE CONCAT(k.TABLE_SCHEMA, '.', k.TABLE_NAME) END,
			CONCAT(k.TABLE_SCHEMA, '.', k.TABLE_NAME), k.COLUMN_NAME,
			CASE k.REFERENCED_TABLE_SCHEMA WHEN DATABASE() THEN k.REFERENCED_TABLE_NAME ELSE CONCAT(k.REFERENCED_TABLE_SCHEMA, '.', k.REFERENCED_TABLE_NAME) END,
			k.REFERENCED_COLUMN_NAME, c.DELETE_RULE, c.UPDATE_RULE
		FROM information_schema.KEY_COLUMN_USAGE k JOIN information_schema.REFERENTIAL_CONSTRAINTS c
			ON c.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND c.TABLE_NAME = k.TABLE_NAME
		WHERE `+place+` AND k.REFERENCED_TABLE_NAME IS NOT NULL
		ORDER BY k.TABLE_SCHEMA, k.TABLE_NAME, k.CONSTRAINT_NAME, k.ORDINAL_POSITION`, args,
		[]any{&name, &table, &id, &column, &refTable, &refColumn, &onDelete, &onUpdate}, func() {
			if n := len(keys); n == 0 || keys[n-1].Name != name || keys[n-1].Table != table {
				keys = append(keys, ForeignKey{Name: name, Table: table, TableID: id, RefTable: refTable,
					OnDelete: onDelete, OnUpdate: onUpdate, Enforced: true})
			}
			k := &keys[len(keys)-1]
			k.Columns, k.RefColumns = append(k.Columns, column), append(k.RefColumns, refColumn)
		})
	return keys
}

// MarkMySQL returns the queries whose second column changes when the table or one of its triggers does. They do not
// cover keys of other tables that refer to this one.
func MarkMySQL(table, quoted string) []string {
	schema, name, ok := strings.Cut(table, ".")
	in := "'" + strings.ReplaceAll(schema, "'", "''") + "'"
	if !ok {
		in, name = "DATABASE()", table
	}
	return []string{"SHOW CREATE TABLE " + quoted,
		"SELECT TRIGGER_NAME, CONCAT(TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER, ACTION_STATEMENT)" +
			" FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = " + in + " AND EVENT_OBJECT_TABLE = '" +
			strings.ReplaceAll(name, "'", "''") + "' ORDER BY 1"}
}
