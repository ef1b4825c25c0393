package api

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// entitySchemas describes an entity's records as they are read, and the body of each write.
func entitySchemas(e *schema.Entity) object {
	n := e.Name
	list := object{"type": "array", "items": ref("schemas", n)}
	schemas := object{
		n:                recordSchema(e),
		n + "_put":       writeSchema(e, true),
		n + "_create":    writeSchema(e, true),
		n + "_patch":     writeSchema(e, false),
		n + "_increment": incrementSchema(e),
		n + "_many": closed(object{
			"records": list,
			"missing": object{"type": "array", "items": idSchema(e)},
			"foreign": foreignSchema(),
			"versions": object{"type": "array", "items": object{"type": []string{"integer", "null"}, "format": "int64"},
				"description": "The version of each of the records, in their order; null where it is read past the cache."},
		}, "records", "versions", "missing"),
		n + "_page": closed(object{
			"records": list,
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

// closed is the schema of an object without other members.
func closed(properties object, required ...string) object {
	if required == nil {
		required = []string{}
	}
	return object{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
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
		if e.InKey(i) {
			s["description"] = "A part of the id: it can be left out where the id is given, and cannot be changed."
		}
		if whole && !e.InKey(i) && f.Required && (f.Default == "" || f.Default == schema.Null) {
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
		if e.Fields[i].Type == schema.Int && !e.InKey(i) {
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

// systemSchemas describes what all entities share.
func systemSchemas() object {
	version := object{"type": "integer", "format": "int64", "minimum": 0}
	anyID := object{"type": []string{"string", "integer"}}
	text := object{"type": "string"}
	textOrNull := object{"type": []string{"string", "null"}}
	timeOrNull := object{"type": []string{"string", "null"}, "format": "date-time"}
	return object{
		"Status": object{"type": "string", "enum": []schema.Status{
			schema.Persisted, schema.Pending, schema.Held, schema.Dead}},
		"Accepted": closed(object{
			"entity": text, "id": anyID, "version": version, "status": ref("schemas", "Status"),
			"fields": object{"type": "object", "description": "The new values of an increment."},
		}, "entity", "id", "version", "status"),
		"State": closed(object{
			"entity": text, "id": anyID, "version": version, "status": ref("schemas", "Status"),
			"deleted":       object{"type": "boolean"},
			"pending_since": timeOrNull, "next_attempt": timeOrNull, "died_at": timeOrNull,
			"attempts": object{"type": "integer"},
			"error":    object{"anyOf": []object{ref("schemas", "Refusal"), {"type": "null"}}},
		}, "entity", "id", "version", "status", "deleted", "pending_since", "attempts", "next_attempt", "died_at",
			"error"),
		"Refusal": closed(object{
			"kind":       object{"type": "string", "enum": schema.HeldKinds},
			"constraint": textOrNull, "column": textOrNull, "message": text,
		}, "kind", "constraint", "column", "message"),
		"Problem":      problemSchema(version, text),
		"BatchItem":    itemSchema(anyID),
		"BatchResults": resultsSchema(version, anyID, text),
		"Ready": closed(object{
			"status": object{"enum": []string{"ready", "degraded", "unready"}},
			"checks": closed(object{"redis": ref("schemas", "Check"), "database": ref("schemas", "Check")}, "redis",
				"database"),
		}, "status", "checks"),
		"Check": closed(object{
			"ok": object{"type": "boolean"}, "latency_seconds": object{"type": "number"},
			"hit_rate": object{"type": "number",
				"description": "Of all keys since Redis started; this and the rest of Redis alone, where it tells them."},
			"used_memory_bytes": object{"type": "integer"}, "max_memory_bytes": object{"type": "integer",
				"description": "0: no limit."},
			"evicted_keys": object{"type": "integer"}, "fragmentation": object{"type": "number"},
			"persistence": object{"enum": []string{"none", "always", "everysec", "no", "aof"},
				"description": "When the append-only file is synced; aof: it is kept, and no more is told."},
		}, "ok", "latency_seconds"),
	}
}

func problemSchema(version, text object) object {
	return object{
		"type": "object", "required": []string{"type", "title", "status", "detail"},
		"description": "An RFC 9457 problem.",
		"properties": object{
			"type":  object{"type": "string", "format": "uri", "description": "Stable: tell problems apart by it."},
			"title": text, "status": object{"type": "integer"}, "detail": text, "request_id": text,
			"errors": object{"type": "array", "maxItems": problem.MaxFields,
				"items": closed(object{"field": text, "reason": text}, "field", "reason")},
			"version": version, "record_status": ref("schemas", "Status"), "refusal": ref("schemas", "Refusal"),
		},
	}
}

func itemSchema(anyID object) object {
	return closed(object{
		"op": object{"enum": []cache.Op{cache.OpPut, cache.OpCreate, cache.OpPatch, cache.OpIncrement,
			cache.OpDelete}},
		"entity": object{"type": "string"}, "id": anyID, "fields": object{"type": "object"},
		"if_match":        object{"type": []string{"integer", "string"}},
		"idempotency_key": object{"type": "string", "minLength": 1, "maxLength": producer.MaxKey},
	}, "op", "entity")
}

func resultsSchema(version, anyID, text object) object {
	return closed(object{
		"results": object{"type": "array", "maxItems": MaxBatchItems, "items": closed(object{
			"status": object{"type": "integer", "description": "The status code that the item would have had alone."},
			"entity": text, "id": anyID, "version": version, "fields": object{"type": "object"},
			"error": ref("schemas", "Problem"),
		}, "status")},
	}, "results")
}

// filterSchema describes the value of a filter, as text of a query.
func filterSchema(f *schema.Field) object {
	switch f.Type {
	case schema.String, schema.Text:
		return object{"type": "string"}
	}
	return nullable(typeSchema(f))
}
