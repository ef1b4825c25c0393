package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"github.com/afterwrite/afterwrite/schema"
)

// maxEntities bounds the entities of one deployment: each has its own partitions,
// metrics and prepared statements.
const maxEntities = 200

// defaultJitter spreads the expiry of records that were cached together.
const defaultJitter = 0.10

func (r *reader) entities(n ast.Node) []*schema.Entity {
	var list []*schema.Entity
	for _, p := range r.mapping(n, "entities") {
		before := len(r.faults)
		e := r.entity(p)
		if len(r.faults) > before {
			continue // Init would report errors that follow from this one
		}
		if err := e.Init(); err != nil {
			r.initFault(e, err)
			continue
		}
		list = append(list, e)
	}
	if len(list) > maxEntities {
		r.faultAt("entities", "are %d, more than %d", len(list), maxEntities)
	}
	return list
}

func (r *reader) entity(p pair) *schema.Entity {
	path := join("entities", p.key)
	e := &schema.Entity{Name: p.key, Retry: schema.DefaultRetryPolicy()}
	e.Cache.Jitter = defaultJitter
	if !schema.ValidName(p.key) {
		r.fault(p.node, path, "a name is a to z, then a to z, 0 to 9 and _")
		return e
	}
	fields := func(n ast.Node) error {
		e.Fields = r.fields(n, path+".fields")
		return nil
	}
	on := func(n ast.Node) error {
		e.Retry.On = r.overrides(n, path+".retry.on")
		return nil
	}
	adaptive := func(n ast.Node) error {
		e.Cache.Adaptive = r.adaptive(n, path+".cache.adaptive")
		return nil
	}
	uniques := func(n ast.Node) error { return r.uniques(n, e) }
	r.section(p.value, path, append(entitySettings(e, r.ttl, fields, on, adaptive),
		setting{path: "unique", node: uniques}), nil)
	return e
}

func (r *reader) overrides(n ast.Node, path string) map[schema.Kind]schema.RetryOverride {
	on := map[schema.Kind]schema.RetryOverride{}
	for _, p := range r.mapping(n, path) {
		if !slices.Contains(schema.Kinds, schema.Kind(p.key)) {
			kinds := make([]string, len(schema.Kinds))
			for i, k := range schema.Kinds {
				kinds[i] = string(k)
			}
			r.fault(p.node, join(path, p.key), "is not a kind of refusal; the kinds are %s%s",
				strings.Join(kinds, ", "), suggest(p.key, kinds))
			continue
		}
		var o schema.RetryOverride
		r.section(p.value, join(path, p.key), overrideSettings(&o), nil)
		on[schema.Kind(p.key)] = o
	}
	return on
}

func (r *reader) fields(n ast.Node, path string) []schema.Field {
	var list []schema.Field
	for _, p := range r.mapping(n, path) {
		list = append(list, r.field(p, join(path, p.key)))
	}
	return list
}

// unique parses true, false, or a mapping with a condition: the field is unique among the rows that meet it.
func (r *reader) unique(n ast.Node, f *schema.Field, path string) error {
	if _, ok := n.(ast.MapNode); !ok {
		text, err := scalar(n, truth)
		if err != nil {
			return fmt.Errorf("must be true or false, or {where: \"…\"}, not %s", describe(n))
		}
		return boolean(&f.Unique)(text)
	}
	f.Unique = true
	r.section(n, path, []setting{{path: "where", text: words(&f.UniqueWhere, func(text string) error {
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("is empty")
		}
		return nil
	})}}, nil)
	return nil
}

// uniques parses sets of fields that are unique together.
func (r *reader) uniques(n ast.Node, e *schema.Entity) error {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("must be a list of lists of fields, such as [[tenant, no]], not %s", describe(n))
	}
	for _, item := range seq.Values {
		err := r.list(item, func(names []string) error {
			e.Unique = append(e.Unique, names)
			return nil
		})
		if err != nil {
			return fmt.Errorf("a set of fields %w", err)
		}
	}
	return nil
}

// field parses one field. The meaning of default, min and max depends on the type, which can come after them, so they
// are parsed last.
func (r *reader) field(p pair, path string) schema.Field {
	f := schema.Field{Name: p.key}
	late := map[string]ast.Node{}
	keep := func(key string) setting {
		return setting{path: key, node: func(n ast.Node) error { late[key] = n; return nil }}
	}
	before := len(r.faults)
	from := ""
	r.section(p.value, path, []setting{
		{path: "type", text: oneOf(&f.Type, schema.FieldTypes...)},
		{path: "column", text: words(&f.Column, columnName)},
		{path: "required", text: boolean(&f.Required), kind: truth},
		{path: "unique", node: func(n ast.Node) error { return r.unique(n, &f, path+".unique") }},
		{path: "redact", text: boolean(&f.Redact), kind: truth},
		{path: "from", text: oneOf(&from, "database")},
		{path: "references", text: words(&f.References, nil)},
		{path: "renamed_from", text: words(&f.RenamedFrom, nil)},
		keep("default"), keep("min"), keep("max"), keep("precision"), keep("scale"),
	}, nil)
	if len(r.faults) > before {
		return f
	}
	f.FromDatabase = from != ""
	if f.Type == "" {
		r.fault(p.node, path, "needs a type")
		return f
	}
	r.digits(&f, late, path)
	r.bounds(&f, late, path)
	if n := late["default"]; n != nil {
		text, err := defaultText(n, f.Type)
		if err != nil {
			r.fault(n, path+".default", "%v", err)
		}
		f.Default = text
	}
	return f
}

// digits parses precision and scale; their defaults are 38 and 2, and of a time six digits of a second.
func (r *reader) digits(f *schema.Field, late map[string]ast.Node, path string) {
	if f.Type == schema.Decimal {
		f.Precision, f.Scale = 38, 2
	}
	for key, at := range map[string]*int{"precision": &f.Precision, "scale": &f.Scale} {
		n := late[key]
		if n == nil {
			continue
		}
		if f.Type == schema.Time && key == "precision" {
			r.value(n, join(path, key), setting{text: whole(at, 0, 6), kind: number})
			if f.Precision == 0 {
				f.Precision = schema.WholeSeconds
			}
			continue
		}
		if f.Type != schema.Decimal {
			r.fault(n, join(path, key), "is for decimal fields, not for %s", f.Type)
			continue
		}
		low := 0
		if key == "precision" {
			low = 1
		}
		r.value(n, join(path, key), setting{text: whole(at, low, 1000), kind: number})
	}
}

// bounds parses min and max: numbers for a numeric field; for other types max is a length.
func (r *reader) bounds(f *schema.Field, late map[string]ast.Node, path string) {
	switch f.Type {
	case schema.Int, schema.Float, schema.Decimal:
		for key, at := range map[string]*string{"min": &f.Min, "max": &f.Max} {
			if n := late[key]; n != nil {
				r.value(n, join(path, key), setting{text: bound(at), kind: amount})
			}
		}
	case schema.String, schema.Text, schema.JSON, schema.Bytes:
		if n := late["max"]; n != nil {
			r.value(n, path+".max", setting{text: whole(&f.MaxLength, 1, 1<<30), kind: number})
		}
		if n := late["min"]; n != nil {
			r.fault(n, path+".min", "is for int, float and decimal fields, not for %s", f.Type)
		}
	default:
		for _, key := range []string{"min", "max"} {
			if n := late[key]; n != nil {
				r.fault(n, join(path, key), "does not bound a field of type %s", f.Type)
			}
		}
	}
}

func bound(at *string) form {
	return func(text string) error {
		if !jsonNumber.MatchString(text) {
			return fmt.Errorf("must be a number")
		}
		*at = text
		return nil
	}
}

// initFault reports an error of [schema.Entity.Init], which names the setting as
// the configuration spells it, at the line of that setting.
func (r *reader) initFault(e *schema.Entity, err error) {
	reason := strings.TrimPrefix(err.Error(), "entity "+e.Name+": ")
	path := "entities." + e.Name
	for {
		first, rest, ok := strings.Cut(reason, " ")
		first = strings.TrimSuffix(first, ":")
		if !ok || !r.within(path, first) {
			break
		}
		path, reason = join(path, first), rest
	}
	r.faultAt(path, "%s", reason)
}

// within reports whether the file gave a setting at or below path.name.
func (r *reader) within(path, name string) bool {
	at := join(path, name)
	if r.at[at] != nil {
		return true
	}
	return r.at[join(path, strings.SplitN(name, ".", 2)[0])] != nil && strings.Contains(name, ".")
}
