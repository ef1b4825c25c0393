// Package tags is what cached values depend on: the stamps of tags in Redis, which changes of records give out and
// which values are held against.
package tags

import (
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// Tag names what a value depends on. A value is invalid from the moment that one of its tags is invalidated, and so is
// one whose load had begun by then.
type Tag struct {
	name string
	e    *schema.Entity // nil for a named tag
	of   bool           // of one record of e
}

const (
	named  = "t:"
	whole  = "e:"
	single = "r:"
	anyOf  = "a:"
)

// Named is a tag that the program invalidates itself.
func Named(name string) Tag { return Tag{name: named + name} }

// Entity stands for all records of an entity.
func Entity(e *schema.Entity) Tag { return Tag{name: whole + e.Name, e: e} }

// Record stands for one record; id is canonical.
func Record(e *schema.Entity, id string) Tag { return Tag{name: recordTag(e, id), e: e, of: true} }

// String names the tag in logs.
func (t Tag) String() string { return t.name[2:] }

func recordTag(e *schema.Entity, id string) string { return single + e.Name + ":" + id }

// anyRecord is on every value that has a tag of some record: it stands for a change of records whose ids are not known,
// and for record tags that were forgotten.
func anyRecord(e *schema.Entity) string { return anyOf + e.Name }

// Names are the names of tags, each once, those of any record included.
func Names(lists ...[]Tag) []string {
	var names []string
	for _, tags := range lists {
		for _, t := range tags {
			names = append(names, t.name)
			if t.of {
				names = append(names, anyRecord(t.e))
			}
		}
	}
	if len(names) < 2 {
		return names
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Given counts the names that were given; those of any record are added to them.
func Given(names []string) int {
	given := 0
	for _, name := range names {
		if !strings.HasPrefix(name, anyOf) {
			given++
		}
	}
	return given
}

// OfEntities reports whether a name is of a tag of an entity or of its records.
func OfEntities(name string) bool { return !strings.HasPrefix(name, named) }

// Changed are the names of the tags that stand for records, as far as watched says that values depend on them: "w" on
// any record, "x" on single ones.
func Changed(e *schema.Entity, watched string, ids []string) []string {
	var names []string
	if strings.Contains(watched, "w") {
		names = append(names, Entity(e).name)
	}
	if strings.Contains(watched, "x") {
		for _, id := range ids {
			names = append(names, recordTag(e, id))
		}
	}
	return names
}
