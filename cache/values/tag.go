package values

import (
	"context"

	"github.com/afterwrite/afterwrite/cache/internal/tags"
	"github.com/afterwrite/afterwrite/schema"
)

// Tag names what a value depends on. A value is invalid from the moment that one of its tags is invalidated, and so is
// one whose load had begun by then.
type Tag = tags.Tag

// NamedTag is a tag that the program invalidates itself, by [InvalidateTags].
func NamedTag(name string) Tag { return tags.Named(name) }

// EntityTag stands for all records of an entity: any change of any of them, accepted, persisted or invalidated,
// invalidates it.
func EntityTag(e *schema.Entity) Tag { return tags.Entity(e) }

// RecordTag stands for one record; id is canonical.
func RecordTag(e *schema.Entity, id string) Tag { return tags.Record(e, id) }

// InvalidateTags invalidates every value of the cache that has one of the tags, in all processes, and every load in
// progress that will have one. It costs one small step however many values that are: they are found invalid when they
// are looked up.
func InvalidateTags(ctx context.Context, c Cache, some ...Tag) error {
	return c.Shared().Tags.Touch(ctx, tags.Names(some))
}
