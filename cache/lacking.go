package cache

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// lacks reports whether a record was cached or written before its entity got one of its fields. Only the row shows the
// value of such a field: its column may have been in use long before.
func lacks(r schema.Record) bool { return slices.Contains(r.Values, "") }

// complete handles a record that lacks fields. A persisted one is dropped from the cache: it has no Source then, and
// the next look loads it whole. For any other, the fields are taken from its row, or are their defaults if there is no
// row. The record is flushed without them, so that the row keeps its values.
//
// ErrBusy: each time the row was read, the record was written again meanwhile.
func (c *Cache) complete(ctx context.Context, e *schema.Entity, read Read) (Read, error) {
	for range completions {
		if read.Status == schema.Persisted {
			_, err := c.Invalidate(ctx, e, []string{read.ID})
			return Read{}, err
		}
		row, err := c.row(ctx, e, read.ID)
		if err != nil {
			return Read{}, err
		}
		// The row's values are the record's only if the record is unchanged since before the row was read.
		again, err := c.lookOne(ctx, e, read.ID)
		if err != nil || !lacks(again.Record) {
			return again, err
		}
		if again.Version == read.Version && again.Status == read.Status {
			for i, text := range again.Values {
				if text == "" && row.Exists {
					again.Values[i] = row.Values[i]
				} else if text == "" {
					again.Values[i] = cmp.Or(e.Fields[i].Default, schema.Null)
				}
			}
			return again, nil
		}
		read = again
	}
	return Read{}, fmt.Errorf("complete %s of %s: it is written faster than its row is read: %w", read.ID, e.Name,
		schema.ErrBusy)
}

// completions bounds how often the row of a record that lacks fields is read for one read.
const completions = 20

// An increment of a field that the cached record lacks needs the row. A persisted record is
// dropped, and the write is told to load it. Of any other, whose newest state is in Redis
// alone, the field is added by the write's own script, from the row that was loaded: if the
// record is still what it was before, as in complete.

// lackingAt, with the version of a record that is not persisted, is the token of its row.
const lackingAt = "@"

// noLease is a token under which no row is taken: the write is told the real one.
const noLease = "-"

func (c *Cache) dropLacking(ctx context.Context, groups []*Group) {
	for _, g := range groups {
		for i := range g.Results {
			if g.Results[i].stale {
				// Where that fails the write meets the record again, or the same failure.
				_, _ = c.Invalidate(ctx, g.Entity, []string{g.Writes[i].ID})
			}
		}
	}
}

// row is the loaded row of a write, of defaults for a record that lacks fields and has no
// row.
func (w *Write) row(e *schema.Entity) *schema.Row {
	if w.Row == nil || w.Row.Exists || !strings.HasPrefix(w.Token, lackingAt) {
		return w.Row
	}
	row := schema.Row{ID: w.ID, Exists: true, Values: make(schema.Values, len(e.Fields))}
	for i := range e.Fields {
		row.Values[i] = e.Fields[i].Default
	}
	return &row
}
