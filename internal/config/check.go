package config

import (
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// ownTables is the prefix of Afterwrite's own tables; an entity's table cannot have it.
const ownTables = "afterwrite_"

// check reports settings that are each valid but contradict each other.
func (r *reader) check(c *Config) {
	byName := map[string]*schema.Entity{}
	for _, e := range c.Entities {
		byName[e.Name] = e
	}
	tables := map[string]string{}
	for _, e := range c.Entities {
		r.checkTable(e, tables)
	}
	indexes := map[string]string{}
	for _, e := range c.Entities {
		r.checkIndexes(c, e, tables, indexes)
		for i := range e.Fields {
			r.checkField(e, &e.Fields[i], byName)
		}
	}
	if c.API.Insecure && c.API.RequireTokens {
		r.faultAt("api.require_tokens", "contradicts api.insecure: one asks for tokens, the other does not")
	}
	if c.Database.MaxIdle > c.Database.MaxOpen {
		r.faultAt("database.max_idle", "is %d, more than max_open (%d)", c.Database.MaxIdle, c.Database.MaxOpen)
	}
}

// apiWords are path segments of the HTTP API in the place of an entity's name.
var apiWords = []string{"admin", "batch", "events"}

func (r *reader) checkTable(e *schema.Entity, tables map[string]string) {
	path := "entities." + e.Name
	if slices.Contains(apiWords, e.Name) {
		r.faultAt(path, "is a word of the HTTP API; name the entity otherwise")
	}
	// Databases differ in whether names are case-sensitive, so names that differ only in case count as equal.
	name := strings.ToLower(e.Table)
	if other, ok := tables[name]; ok {
		r.faultAt(path+".table", "%q is also the table of %s", e.Table, other)
	}
	tables[name] = e.Name
	if strings.HasPrefix(name, ownTables) || strings.HasPrefix(name, "sqlite_") {
		r.faultAt(path+".table", "%q begins with a reserved word", e.Table)
	}
}

// checkIndexes rejects two unique indexes of one name, and an index named like a table: they share a namespace, so the
// second would never be created.
func (r *reader) checkIndexes(c *Config, e *schema.Entity, tables, indexes map[string]string) {
	for _, key := range e.UniqueKeys() {
		of := e.Fields[key.Fields[0]].Name
		path := "entities." + e.Name + ".fields." + of + ".unique"
		if len(key.Fields) > 1 {
			path = "entities." + e.Name + ".unique"
		}
		if key.Where != "" && strings.HasPrefix(c.Database.URL, "mysql:") {
			r.faultAt(path+".where", "%s", schema.NoPartialIndexes)
		}
		name := strings.ToLower(key.Index)
		if other, ok := indexes[name]; ok {
			r.faultAt(path, "its index %s would have the name of that of %s; rename a table or a column", key.Index,
				other)
		}
		if other, ok := tables[name]; ok {
			r.faultAt(path, "its index %s would have the name of the table of %s; rename one", key.Index, other)
		}
		indexes[name] = e.Name + "." + of
	}
}

func (r *reader) checkField(e *schema.Entity, f *schema.Field, byName map[string]*schema.Entity) {
	path := "entities." + e.Name + ".fields." + f.Name
	if f.References == "" {
		return
	}
	other, ok := byName[f.References]
	if !ok {
		known := make([]string, 0, len(byName))
		for name := range byName {
			known = append(known, name)
		}
		r.faultAt(path+".references", "%q is not an entity%s", f.References, suggest(f.References, known))
		return
	}
	if other.ID.Composite() {
		r.faultAt(path+".references", "the id of %s is a key of %d columns, which no one field holds; leave it out: "+
			"a foreign key of the table itself is found without it", other.Name, len(other.ID.Columns))
		return
	}
	if !holds(f.Type, other.ID.Type) {
		r.faultAt(path+".references", "a field of type %s cannot hold the id of %s, which is of type %s",
			f.Type, other.Name, other.ID.Type)
	}
}

// holds reports whether a field of one type can hold an id of another.
func holds(field, id schema.FieldType) bool {
	return field == id || (id == schema.String && field == schema.Text)
}

// addQueues gives every queue that an entity names a weight, so that every queue has workers.
func (c *Config) addQueues() {
	for _, e := range c.Entities {
		if _, ok := c.Worker.Queues[e.Flush.Queue]; !ok {
			c.Worker.Queues[e.Flush.Queue] = 1
		}
	}
}
