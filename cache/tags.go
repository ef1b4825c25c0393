package cache

import (
	"context"

	"github.com/afterwrite/afterwrite/cache/internal/tags"
	"github.com/afterwrite/afterwrite/schema"
)

// The changes of an entity invalidate its tags only while values depend on them: see
// tags.Table.Watch. When a change is over, its tags are invalidated:
//
//	written      after the script that accepted it, before the caller hears of it
//	persisted    after COMMIT, before the script that acknowledges it, which refuses otherwise
//	invalidated  after the records were dropped, before the caller hears of it
//
// If the producer dies between the two steps of a write, no caller was told that it was
// accepted, and the ack invalidates. If a worker dies between the two steps of an ack,
// both are done again. A load that began before the second step has an older stamp, and
// one that began after it has read the new state.

// touchWritten invalidates the tags of accepted writes. Where that fails the writes stand,
// and the ack does it.
func (c *Cache) touchWritten(ctx context.Context, groups []*Group) {
	var names []string
	for _, g := range groups {
		ids := make([]string, 0, len(g.Writes))
		for i := range g.Writes {
			ids = append(ids, g.Writes[i].ID)
		}
		c.records.of(g.Entity).Drop(ids...)
		if g.watched != "" {
			names = append(names, tags.Changed(g.Entity, g.watched, ids)...)
		}
	}
	if len(names) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.lease)
	defer cancel()
	if err := c.tags.Touch(ctx, names); err != nil {
		c.log.WarnContext(ctx, "tags of accepted writes are invalidated when they are persisted", "error", err)
	}
}

// Committed invalidates the tags of records of one partition that the database has just
// committed. It may be called again for the same records.
func (c *Cache) Committed(ctx context.Context, e *schema.Entity, partition int, ids []string) error {
	watched, err := c.tags.Watched(ctx, e, partition)
	if err != nil || watched == "" {
		return err
	}
	return c.InvalidateTags(ctx, e, watched, ids)
}

// InvalidateTags invalidates the tags of changed records on which values depend: "w" values of any record of the
// entity, "x" of single ones, "wx" both.
func (c *Cache) InvalidateTags(ctx context.Context, e *schema.Entity, watched string, ids []string) error {
	return c.tags.Touch(ctx, tags.Changed(e, watched, ids))
}
