package schema

import (
	"fmt"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// UniqueIndex returns the name of the unique index of a field.
func (e *Entity) uniqueIndex(f *Field) string {
	name := "uq_" + e.Table + "_" + f.Column
	if f.UniqueWhere == "" {
		return name
	}
	return hashed(name, f.UniqueWhere)
}

// UniqueKey is a set of fields that are unique together.
type UniqueKey struct {
	Fields []int  // positions in [Entity.Fields]
	Where  string // SQL condition; "" is all rows
	Index  string // name of an index that a migration creates
}

// NoPartialIndexes is why a unique field with a condition is rejected on MySQL and MariaDB.
const NoPartialIndexes = "MySQL and MariaDB have no partial indexes; leave the condition out, or let the table have a generated column " +
	"that is NULL in the other rows and a unique index on it, whose refusals are named too"

// UniqueKeys returns the entity's unique fields and sets of fields.
func (e *Entity) UniqueKeys() []UniqueKey {
	var keys []UniqueKey
	for i := range e.Fields {
		if f := &e.Fields[i]; f.Unique {
			keys = append(keys, UniqueKey{[]int{i}, f.UniqueWhere, e.uniqueIndex(f)})
		}
	}
	for _, names := range e.Unique {
		key := UniqueKey{Index: "uq_" + e.Table}
		for _, name := range names {
			i := e.index[name]
			key.Fields = append(key.Fields, i)
			key.Index += "_" + e.Fields[i].Column
		}
		if len(key.Index) > MaxNameBytes {
			key.Index = hashed(key.Index, key.Index)
		}
		keys = append(keys, key)
	}
	return keys
}

// hashed returns a name that also identifies a text by its hash, truncated if it would be too long.
func hashed(name, text string) string {
	const digits = 8
	return fmt.Sprintf("%s_%0*x", name[:min(len(name), MaxNameBytes-digits-1)], digits,
		uint32(xxhash.Sum64String(text)))
}

// checkUnique checks the sets of fields in Unique.
func (e *Entity) checkUnique() error {
	for _, names := range e.Unique {
		if len(names) < 2 {
			return fmt.Errorf("unique: %v: a set has two fields or more; of one field set its own unique", names)
		}
		for i, name := range names {
			at, ok := e.index[name]
			switch {
			case !ok:
				return fmt.Errorf("unique: %q is not a field", name)
			case e.Fields[at].Type == JSON:
				return fmt.Errorf("unique: %s: texts of json have no one form to compare", name)
			case slices.Contains(names[:i], name):
				return fmt.Errorf("unique: %s is there twice", name)
			}
		}
	}
	return nil
}
