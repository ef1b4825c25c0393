package cache

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/afterwrite/afterwrite"
)

// lacks reports whether a record was cached or written before its entity got one of its
// fields. What such a field holds only the row says: its column may have been in use long
// before.
func lacks(r afterwrite.Record) bool { return slices.Contains(r.Values, "") }

// complete deals with a record that lacks fields. A persisted one is dropped from the
// cache: it has no Source then, and the next look loads it whole. To any other the fields
// are added as its row has them, or their defaults where there is none. It is written
// without them, so that the row keeps what it has.
//
// ErrBusy: the record was written again each time while its row was read.
func (c *Cache) complete(ctx context.Context, e *afterwrite.Entity, read Read) (Read, error) {
	for range completions {
		if read.Status == afterwrite.Persisted {
			_, err := c.Invalidate(ctx, e, []string{read.ID})
			return Read{}, err
		}
		row, err := c.row(ctx, e, read.ID)
		if err != nil {
			return Read{}, err
		}
		// The row is the record's only if this still is what it was before the row was read.
		again, err := c.looks.do(ctx, &look{entity: e, id: read.ID})
		if err != nil || !lacks(again.Record) {
			return again, err
		}
		if again.Version == read.Version && again.Status == read.Status {
			for i, text := range again.Values {
				if text == "" && row.Exists {
					again.Values[i] = row.Values[i]
				} else if text == "" {
					again.Values[i] = cmp.Or(e.Fields[i].Default, afterwrite.Null)
				}
			}
			return again, nil
		}
		read = again
	}
	return Read{}, fmt.Errorf("complete %s of %s: it is written faster than its row is read: %w", read.ID, e.Name, afterwrite.ErrBusy)
}

// completions bounds how often the row of a record that lacks fields is read for one read.
const completions = 20

// reloadLacking looks again at increments that were refused for a null: where the cached
// record only lacks the field, it is dropped, and the write asks for its row.
func (c *Cache) reloadLacking(ctx context.Context, groups []*Group) {
	for _, g := range groups {
		for i := range g.Results {
			if !g.Results[i].null {
				continue
			}
			read, err := c.looks.do(ctx, &look{entity: g.Entity, id: g.Writes[i].ID})
			if err != nil || read.Status != afterwrite.Persisted || !lacks(read.Record) {
				continue
			}
			if _, err := c.Invalidate(ctx, g.Entity, []string{g.Writes[i].ID}); err == nil {
				g.Results[i] = Written{Token: noLease}
			}
		}
	}
}

// noLease is a token under which no row is taken: the write is told the real one.
const noLease = "-"
