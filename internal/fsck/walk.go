package fsck

import (
	"context"
	"fmt"
	"slices"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// walk compares every cached record with its row, a page at a time.
func (k *check) walk(ctx context.Context) error {
	page := make([]sight, 0, k.options.Page)
	err := k.cache.Walk(ctx, k.entity, k.options.Step, func(c schema.Cached) error {
		page = append(page, walked(c))
		if len(page) < k.options.Page {
			return nil
		}
		defer func() { page = page[:0] }()
		return k.compare(ctx, page)
	})
	if err != nil {
		return fmt.Errorf("walk the cached records: %w", err)
	}
	return k.compare(ctx, page)
}

func (k *check) compare(ctx context.Context, page []sight) error {
	ids := make([]string, 0, len(page))
	for _, r := range page {
		if r.Status == schema.Persisted {
			ids = append(ids, r.ID)
		}
	}
	k.found.Compared += int64(len(ids))
	k.found.Waiting += int64(len(page) - len(ids))
	stored, err := k.load(ctx, ids)
	if err != nil {
		return err
	}
	var differ []string
	for _, r := range page {
		if _, ok := k.judge(r, stored[r.ID]); !ok {
			differ = append(differ, r.ID)
		}
	}
	if err := k.recheck(ctx, differ); err != nil {
		return err
	}
	if k.options.Progress != nil {
		k.options.Progress(len(page))
	}
	return nil
}

func (k *check) load(ctx context.Context, ids []string) (map[string]schema.Values, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	stored, err := k.db.Load(ctx, k.entity, ids)
	if err != nil {
		return nil, fmt.Errorf("load %d rows: %w", len(ids), err)
	}
	return stored, nil
}

// recheck reads records together until each state is the same before and after its row was read: only then must the
// row match.
func (k *check) recheck(ctx context.Context, ids []string) error {
	for range k.options.Rechecks {
		if len(ids) == 0 {
			return nil
		}
		if err := k.pause(ctx); err != nil {
			return err
		}
		before, err := k.peek(ctx, ids)
		if err != nil {
			return err
		}
		stored, err := k.load(ctx, ids)
		if err != nil {
			return err
		}
		after, err := k.peek(ctx, ids)
		if err != nil {
			return err
		}
		var busy []string
		for _, id := range ids {
			was, cached := before[id]
			is, still := after[id]
			if !cached || !still {
				continue // the record left the cache, or was never cached: nothing to compare
			}
			if was.Version != is.Version || was.Status != is.Status {
				busy = append(busy, id)
			} else if d, ok := k.judge(is, stored[id]); !ok {
				k.differ(d)
			}
		}
		ids = busy
	}
	k.found.Busy += int64(len(ids))
	return nil
}

// peek reads records of any partitions, a step at a time. Those that are not cached are left out.
func (k *check) peek(ctx context.Context, ids []string) (map[string]sight, error) {
	parts := map[int][]string{}
	for _, id := range ids {
		p := k.entity.Partition(id)
		parts[p] = append(parts[p], id)
	}
	found := map[string]sight{}
	for p, some := range parts {
		for step := range slices.Chunk(some, k.options.Step) {
			records, err := k.cache.Peek(ctx, k.entity, p, step)
			if err != nil {
				return nil, fmt.Errorf("read the states of %d records: %w", len(step), err)
			}
			for _, r := range records {
				found[r.ID] = walked(r)
			}
		}
	}
	return found, nil
}

// sight is a record as read once, with the lists that contain it.
type sight struct {
	schema.Record
	pending, held, dead bool
}

func walked(c schema.Cached) sight {
	return sight{c.Record, c.Pending, c.Held, c.Dead}
}

func asked(s cache.State) sight {
	return sight{s.Record, !s.PendingSince.IsZero(), !s.NextAttempt.IsZero(), !s.DiedAt.IsZero()}
}

// listed reports whether the record is on the list of its status.
func (s sight) listed() bool {
	return (s.Status == schema.Pending && s.pending) || (s.Status == schema.Held && s.held) ||
		(s.Status == schema.Dead && s.dead)
}

// lists returns the number of lists that contain the record.
func (s sight) lists() int {
	n := 0
	for _, on := range []bool{s.pending, s.held, s.dead} {
		if on {
			n++
		}
	}
	return n
}

// judge compares a record with its row; row is nil if there is none. A record that is not persisted has no row to
// match, but must be listed and must not expire.
func (k *check) judge(r sight, row schema.Values) (Difference, bool) {
	d := Difference{Entity: k.entity.Name, Partition: k.entity.Partition(r.ID), ID: r.ID, Status: r.Status,
		Version: r.Version}
	waiting := r.Status != schema.Persisted
	switch {
	case waiting && !r.listed():
		d.Reason = Unlisted
	case (waiting && r.lists() > 1) || (!waiting && r.lists() > 0):
		d.Reason = WrongList
	case waiting && r.TTL > 0:
		d.Reason, d.Detail = Evictable, fmt.Sprintf("expires in %s", r.TTL)
	case waiting:
		return d, true
	case r.Deleted && row != nil:
		d.Reason = RowLeft
	case !r.Deleted && row == nil:
		d.Reason = RowMissing
	case r.TTL <= 0:
		d.Reason = Immortal
	default:
		d.Fields = k.differing(r.Values, row)
		d.Reason = FieldsDiffer
		return d, len(d.Fields) == 0
	}
	return d, false
}

func (k *check) differing(cached, row schema.Values) []Field {
	var fields []Field // both are nil for a deletion without a row
	for i := range cached {
		if cached[i] == row[i] || cached[i] == "" { // a field that the entity got after the write is not cached
			continue
		}
		f := Field{Name: k.entity.Fields[i].Name, Cached: cached[i], Database: row[i]}
		if k.entity.Fields[i].Redact {
			f.Cached, f.Database = redacted, redacted
		}
		fields = append(fields, f)
	}
	return fields
}
