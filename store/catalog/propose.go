package catalog

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// Proposal is an entity that a table may be mapped to.
type Proposal struct {
	Table   string
	Entity  *schema.Entity     // nil where there is none, and Why says why; not initialised
	Why     string             // why there is no entity
	Holds   map[string]Verdict // by name of the field; "id" is the key
	Left    []string           // columns without a field, with the reason, each a line
	Blocked bool               // a row cannot be inserted without one of those
}

// fieldTypes are the types of fields by what is in the declared type of a column, in lower
// case. The first that matches counts; "" is no field.
var fieldTypes = []struct {
	has string
	typ schema.FieldType
}{
	{"interval", ""}, {"point", ""}, {"geo", ""}, {"bool", schema.Bool}, {"tinyint(1)", schema.Bool},
	{"json", schema.JSON},
	{"uuid", schema.UUID}, {"timestamp", schema.Time}, {"datetime", schema.Time}, {"date", schema.Time}, {"time", ""},
	{"int", schema.Int}, {"serial", schema.Int}, {"numeric", schema.Decimal}, {"decimal", schema.Decimal},
	{"double", schema.Float}, {"float", schema.Float}, {"real", schema.Float},
	{"bytea", schema.Bytes}, {"blob", schema.Bytes}, {"binary", schema.Bytes},
	{"char", schema.String}, {"text", schema.Text}, {"clob", schema.Text}, {"enum", schema.String},
}

// Propose returns the entity whose fields fit the columns of a table best. What it proposes
// is a start: the configuration is for a person to read.
func Propose(d Dialect, at *Table) Proposal {
	p := Proposal{Table: at.Name, Holds: map[string]Verdict{}}
	switch {
	case at.Kind != Plain && at.Kind != Partitioned:
		p.Why = "it is a " + string(at.Kind)
		return p
	case !schema.ValidName(entityName(at.Name)):
		p.Why = "its name makes no name of an entity"
		return p
	}
	e := &schema.Entity{Name: entityName(at.Name), Table: at.Name}
	key, why := p.key(d, at, e)
	if key == "" && compositeKey(d, at, e) {
		why = ""
	}
	if why != "" {
		p.Why = why
		return p
	}
	for _, c := range at.Columns {
		if c.Name != key {
			p.field(d, at, e, c)
		}
	}
	if len(e.Fields) == 0 {
		p.Why = "it has no column for a field beside its key"
		return p
	}
	p.Entity = e
	return p
}

func entityName(table string) string {
	return regexp.MustCompile(`[^a-z0-9_]`).ReplaceAllString(strings.ToLower(table), "_")
}

// key proposes the id: the primary key, or else a unique column without null.
func (p *Proposal) key(d Dialect, at *Table, e *schema.Entity) (column, why string) {
	indexes := slices.Clone(at.Indexes)
	slices.SortStableFunc(indexes, func(a, b Index) int { return order(b.Primary) - order(a.Primary) })
	why = "no column is its key alone"
	for _, x := range indexes {
		if len(x.Parts) != 1 || x.Parts[0].Column == "" || x.Where != "" {
			continue
		}
		c, ok := at.Column(x.Parts[0].Column)
		if !ok || !x.Primary && !c.NotNull {
			continue
		}
		for _, typ := range []schema.FieldType{schema.Int, schema.UUID, schema.String} {
			id := schema.ID{Column: c.Name, Type: typ}
			if typ == schema.String {
				id.Max = min(max(c.Length, 0), schema.MaxIDBytes)
				if id.Max == 0 {
					id.Max = 64
				}
			}
			if typ != keyType(c) {
				continue
			}
			if why, _ := JudgeSequence(d, at, c); typ == schema.Int && why == "" {
				id.Made = schema.MadeSequence
			}
			v := JudgeKey(d, id, (&schema.Field{}).SecondDigits(), c)
			if v.Hold != Refused && typ == schema.String && !x.Over(c.Name) {
				v.Hold, v.Why = Refused, "takes different ids for the same"
				v.Fix = "give it a collation that tells all texts apart"
			}
			if v.Hold != Refused {
				e.ID, p.Holds["id"] = id, v
				return c.Name, ""
			}
			why = "its key " + c.Name + " " + v.Why + "; " + v.Fix
		}
	}
	return "", why
}

// compositeKey proposes the columns of the primary key, or else of a unique index without null, as the id.
func compositeKey(d Dialect, at *Table, e *schema.Entity) bool {
	indexes := slices.Clone(at.Indexes)
	slices.SortStableFunc(indexes, func(a, b Index) int { return order(b.Primary) - order(a.Primary) })
	for _, x := range indexes {
		names := make([]string, len(x.Parts))
		for i, p := range x.Parts {
			if c, ok := at.Column(p.Column); ok && (x.Primary || c.NotNull) && partOfKey(d, c) {
				names[i] = c.Name
			}
		}
		if n := len(names); n > 1 && n <= schema.MaxKeyColumns && !slices.Contains(names, "") && at.Unique(names...) {
			e.ID = schema.ID{Columns: names}
			return true
		}
	}
	return false
}

// partOfKey reports whether a column can be a part of a composite key, as a field of the type that fits it best.
func partOfKey(d Dialect, c Column) bool {
	typ := keyType(c)
	if typeOf(c) == schema.Time {
		typ = schema.Time
	}
	return JudgeKey(d, schema.ID{Type: typ}, (&schema.Field{}).SecondDigits(), c).Hold != Refused
}

func order(b bool) int {
	if b {
		return 1
	}
	return 0
}

func keyType(c Column) schema.FieldType {
	if typ := typeOf(c); typ == schema.Int || typ == schema.UUID {
		return typ
	}
	return schema.String
}

func typeOf(c Column) schema.FieldType {
	if c.Class == Enum {
		return schema.String
	}
	if c.Class != Scalar && c.Class != "" {
		return ""
	}
	declared := strings.ToLower(c.Type)
	if c.Domain != "" {
		declared = c.Base
	}
	for _, t := range fieldTypes {
		if strings.Contains(declared, t.has) {
			return t.typ
		}
	}
	return ""
}

// field adds the field of a column, or says why there is none.
func (p *Proposal) field(d Dialect, at *Table, e *schema.Entity, c Column) {
	leave := func(why string) {
		p.Left = append(p.Left, c.Name+" ("+c.Type+"): "+why)
		p.Blocked = p.Blocked || c.NotNull && !c.Filled()
	}
	name, typ := entityName(c.Name), typeOf(c)
	switch {
	case c.Hidden:
		leave("it is hidden")
		return
	case typ == "":
		leave("no type of a field holds it")
		return
	case slices.Contains(e.ID.Columns, c.Name) && name == "id": // the member id is the whole key
		name = e.Name + "_id"
	}
	switch {
	case !schema.ValidName(name) || name == "id" || slices.ContainsFunc(e.Fields,
		func(f schema.Field) bool { return f.Name == name }):
		leave("its name makes no name of a field; give it one with `column:`")
		return
	}
	f := schema.Field{Name: name, Column: c.Name, Type: typ, Unique: at.Unique(c.Name)}
	switch typ {
	case schema.String:
		f.MaxLength = c.Length
	case schema.Time:
		switch c.Fraction {
		case 0:
			f.Precision = schema.WholeSeconds
		case 1, 2, 3, 4, 5:
			f.Precision = c.Fraction
		}
	case schema.Decimal:
		f.Precision, f.Scale = c.Precision, c.Scale
		if f.Precision == 0 {
			f.Precision, f.Scale = 38, 10
		}
	}
	f.Default, f.Required = literal(c, typ), c.NotNull
	if f.Default != "" {
		f.Required = false
	}
	if slices.Contains(e.ID.Columns, c.Name) {
		f.Default, f.Required = "", true
	}
	v := Judge(d, at, &f, c)
	if v.Hold == Refused && !f.FromDatabase {
		with := f
		with.FromDatabase = true
		if again := Judge(d, at, &with, c); again.Hold != Refused {
			f, v = with, again
		}
	}
	if v.Hold == Refused {
		leave(v.Why + "; " + v.Fix)
		return
	}
	e.Fields = append(e.Fields, f)
	p.Holds[name] = v
}

var (
	plainNumber = regexp.MustCompile(`^\(?(-?\d+(?:\.\d+)?)\)?$`)
	plainText   = regexp.MustCompile(`^'((?:[^'\\]|'')*)'(?:::[a-z ]+(?:\(\d+\))?)?$`)
)

// literal is the default of a column as JSON, where it is a plain number, text or truth.
func literal(c Column, typ schema.FieldType) string {
	text := strings.TrimSpace(c.Default)
	number := plainNumber.FindStringSubmatch(strings.Trim(text, "'"))
	quoted := plainText.FindStringSubmatch(text)
	switch typ {
	case schema.Bool:
		switch strings.ToLower(strings.Trim(text, "'")) {
		case "true", "1":
			return "true"
		case "false", "0":
			return "false"
		}
	case schema.Int, schema.Decimal, schema.Float:
		if number != nil && (typ != schema.Int || !strings.Contains(number[1], ".")) {
			return number[1]
		}
	case schema.String, schema.Text:
		if quoted != nil {
			return strconv.Quote(strings.ReplaceAll(quoted[1], "''", "'"))
		}
	}
	return ""
}
