package fsck

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/schema"
)

// lists checks that each id on a partition's pending, held and dead list has a record.
func (k *check) lists(ctx context.Context, p int) error {
	for _, status := range []schema.Status{schema.Pending, schema.Held, schema.Dead} {
		if err := k.list(ctx, p, status); err != nil {
			return fmt.Errorf("list what is %s: %w", status, err)
		}
	}
	return nil
}

// list reads one list in pages. Live traffic changes the list meanwhile: an id can be missed, but never invented.
func (k *check) list(ctx context.Context, p int, status schema.Status) error {
	for skip := 0; ; skip += k.options.Page {
		page, err := k.pending.List(ctx, k.entity, p, status, skip, k.options.Page)
		if err != nil {
			return err
		}
		ids := make([]string, len(page))
		for i, l := range page {
			ids[i] = l.ID
		}
		if err := k.present(ctx, p, ids, status); err != nil {
			return err
		}
		if len(page) < k.options.Page {
			return nil
		}
	}
}

// present checks that listed ids have records. A missing record is read again: it may have been flushed, have expired,
// or be written again, in between.
func (k *check) present(ctx context.Context, p int, ids []string, status schema.Status) error {
	if len(ids) == 0 {
		return nil
	}
	missing, dead, err := k.missing(ctx, ids)
	if err == nil {
		err = k.lettered(ctx, p, dead)
	}
	if err != nil || len(missing) == 0 {
		return err
	}
	if err := k.pause(ctx); err != nil {
		return err
	}
	if missing, _, err = k.missing(ctx, missing); err != nil {
		return err
	}
	for _, id := range missing {
		if err := k.recheckMissing(ctx, p, id, status); err != nil {
			return err
		}
	}
	return nil
}

// missing returns the ids that have no record, and the versions of those that are dead.
func (k *check) missing(ctx context.Context, ids []string) (missing []string, dead []schema.Versioned, err error) {
	found, err := k.peek(ctx, ids)
	for _, id := range ids {
		one, there := found[id]
		switch {
		case !there:
			missing = append(missing, id)
		case one.Status == schema.Dead:
			dead = append(dead, schema.Versioned{ID: id, Version: one.Version})
		}
	}
	return missing, dead, err
}

// lettered checks that dead records have dead letters. A letter is there before its record is dead, and stays for long
// after, so what is missing now is missing.
func (k *check) lettered(ctx context.Context, p int, dead []schema.Versioned) error {
	if k.options.Letters == nil || len(dead) == 0 {
		return nil
	}
	have, err := k.options.Letters.Lettered(ctx, k.entity, dead)
	if err != nil {
		return err
	}
	for i, one := range dead {
		if !have[i] {
			k.differ(Difference{Entity: k.entity.Name, Partition: p, ID: one.ID, Reason: NoLetter, Status: schema.Dead,
				Version: one.Version, Detail: "an API or a dashboard restores it within a minute, as does " +
					"`afterwrite dead retry --all --restore`"})
		}
	}
	return nil
}

func (k *check) recheckMissing(ctx context.Context, p int, id string, status schema.Status) error {
	s, err := k.cache.Status(ctx, k.entity, id)
	if err != nil || s.Cached || asked(s).lists() == 0 {
		return err
	}
	k.differ(Difference{Entity: k.entity.Name, Partition: p, ID: id, Status: status, Reason: RecordMissing})
	return nil
}
