package openapi

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/afterwrite/afterwrite/schema"
)

// entitySchemas describes an entity's records as they are read, and the body of each write.
func entitySchemas(e *schema.Entity) object {
	n := e.Name
	records := list(ref("schemas", n))
	schemas := object{
		n:                recordSchema(e),
		n + "_put":       writeSchema(e, true),
		n + "_create":    writeSchema(e, true),
		n + "_patch":     writeSchema(e, false),
		n + "_increment": incrementSchema(e),
		n + "_many": closed(object{
			"records": records,
			"missing": list(idSchema(e)),
			"foreign": foreignSchema(),
			"versions": object{"type": "array", "items": object{"type": []string{"integer", "null"}, "format": "int64"},
				"description": "The version of each of the records, in their order; null where it is read past the cache."},
		}, "records", "versions", "missing"),
		n + "_page": closed(object{
			"records": records,
			"next":    object{"type": []string{"string", "null"}},
			"foreign": foreignSchema(),
			"versions": object{"type": "array", "items": object{"type": []string{"integer", "null"}, "format": "int64"},
				"description": "With Prefer: versions, in the order of the records; null where the record has a newer state " +
					"than the row that is shown, or Redis does not respond."},
		}, "records", "next"),
	}
	if e.RankBy != "" {
		schemas[n+"_ranks"] = ranksSchema(e)
	}
	return schemas
}

// recordSchema describes a record as it is read: it has every field, and a row written by another program can exceed
// the limits of writes.
func recordSchema(e *schema.Entity) object {
	properties := object{"id": idSchema(e)}
	required := []string{"id"}
	for i := range e.Fields {
		f := &e.Fields[i]
		properties[f.Name] = nullable(typeSchema(f))
		required = append(required, f.Name)
	}
	return closed(properties, required...)
}

// writeSchema describes the body of a write: of a whole record, or of a patch.
func writeSchema(e *schema.Entity, whole bool) object {
	properties := object{"id": idSchema(e)}
	var required []string
	for i := range e.Fields {
		f := &e.Fields[i]
		s := limitedSchema(f)
		if whole && f.Default != "" {
			s["default"] = json.RawMessage(f.Default)
		}
		if slices.Contains(e.Key(), i) {
			s["description"] = "A part of the id: it can be left out where the id is given, and cannot be changed."
		}
		if whole && !slices.Contains(e.Key(), i) && f.Required && (f.Default == "" || f.Default == schema.Null) {
			required = append(required, f.Name)
		}
		if !f.Required {
			s = nullable(s)
		}
		properties[f.Name] = s
	}
	return closed(properties, required...)
}

func incrementSchema(e *schema.Entity) object {
	properties := object{}
	for i := range e.Fields {
		if e.Fields[i].Type == schema.Int && !slices.Contains(e.Key(), i) {
			properties[e.Fields[i].Name] = object{"type": "integer", "format": "int64"}
		}
	}
	s := closed(properties)
	s["minProperties"] = 1
	return s
}

func idSchema(e *schema.Entity) object {
	switch e.ID.Type {
	case schema.Int:
		return object{"type": "integer", "format": "int64"}
	case schema.UUID:
		return object{"type": "string", "format": "uuid"}
	}
	if e.ID.Composite() {
		return object{
			"type": "string", "minLength": 1,
			"description": fmt.Sprintf("%s: the parts of the key with ~ between them. ASCII letters, digits, - _ . : @ and all "+
				"beyond ASCII stay; any other byte is = and two hexadecimal digits. At most %d bytes.", e.KeyForm(), e.ID.Max),
		}
	}
	return object{
		"type": "string", "minLength": 1,
		"description": fmt.Sprintf("Any UTF-8 but NUL, at most %d bytes.", e.ID.Max),
	}
}

// typeSchema describes the values of a field's type.
func typeSchema(f *schema.Field) object {
	switch f.Type {
	case schema.Int:
		return object{"type": "integer", "format": "int64"}
	case schema.Float:
		return object{"type": "number", "format": "double"}
	case schema.Decimal:
		return object{"type": "string", "pattern": `^-?[0-9]+(\.[0-9]+)?$`,
			"description": fmt.Sprintf("A decimal of at most %d digits, %d of them after the point.", f.Precision,
				f.Scale)}
	case schema.Bool:
		return object{"type": "boolean"}
	case schema.Time:
		return object{"type": "string", "format": "date-time",
			"description": fmt.Sprintf("At most %d digits of a second; answered in UTC.", f.SecondDigits())}
	case schema.JSON:
		return object{"description": "Any JSON value; its text is kept."}
	case schema.Bytes:
		return object{"type": "string", "contentEncoding": "base64"}
	case schema.UUID:
		return object{"type": "string", "format": "uuid"}
	}
	return object{"type": "string"}
}

// limitedSchema adds the limits of writes.
func limitedSchema(f *schema.Field) object {
	s := typeSchema(f)
	switch f.Type {
	case schema.String, schema.Text:
		if f.MaxLength > 0 {
			s["maxLength"] = f.MaxLength
		}
	case schema.Bytes:
		if f.MaxLength > 0 {
			s["maxLength"] = (f.MaxLength + 2) / 3 * 4
		}
	case schema.Int:
		limitInt(s, f)
	case schema.Float:
		limitFloat(s, "minimum", f.Min)
		limitFloat(s, "maximum", f.Max)
	}
	if f.Unique {
		s["description"] = "No two records have the same."
	}
	return s
}

// limitInt adds the bounds that are narrower than the format's own: a client that parses numbers as floats would reject
// the outermost values.
func limitInt(s object, f *schema.Field) {
	low, high := f.IntBounds()
	if low != math.MinInt64 {
		s["minimum"] = low
	}
	if high != math.MaxInt64 {
		s["maximum"] = high
	}
}

// limitFloat adds a bound that has the form of a JSON number.
func limitFloat(s object, name, bound string) {
	if n, err := strconv.ParseFloat(bound, 64); err == nil && !math.IsInf(n, 0) {
		s[name] = n
	}
}

// nullable makes a schema accept null too. A schema without a type accepts anything.
func nullable(s object) object {
	if t, ok := s["type"].(string); ok {
		s["type"] = []string{t, "null"}
	}
	return s
}

// filterSchema describes the value of a filter, as text of a query.
func filterSchema(f *schema.Field) object {
	switch f.Type {
	case schema.String, schema.Text:
		return object{"type": "string"}
	}
	return nullable(typeSchema(f))
}

// foreignSchema describes the rows of an answer that the entity cannot show.
func foreignSchema() object {
	text := object{"type": "string"}
	return object{"type": "array",
		"description": "Rows with an id or a value that another program wrote and that the entity cannot show.",
		"items": closed(object{"id": text, "field": text, "column": text, "reason": text}, "id", "field", "column",
			"reason")}
}
