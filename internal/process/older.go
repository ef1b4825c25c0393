package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// This file repairs a Redis that went back to an older state of itself, as the turns of the
// fences tell: see store/reach.go, and docs/ARCHITECTURE.md for what is judged how.

// whyOlder is the reason of a loss that the turns have told of.
const whyOlder = "Redis went back to an older state of itself: an old copy of its files, a replica that lagged, or what its append-only file had not synced"

// behind is a partition of which Redis has not noted the last committed turn, or has noted one
// that is still to come.
type behind struct {
	entity    *schema.Entity
	partition int
}

// foundOlder has the watch repair what a flush has found. It does not block.
func (p *Parts) foundOlder() {
	select {
	case p.flushed <- struct{}{}:
	default:
	}
}

// olderPartitions compares the turns of the database with what Redis has noted of them. The
// database is asked first: a turn is noted before it is committed. In the second list are the
// partitions of an older database, or those that were flushed meanwhile.
func (p *Parts) olderPartitions(ctx context.Context, entities []*schema.Entity) (older, newer []behind, err error) {
	turns, err := p.Store.Turns(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entities {
		noted, err := p.Pending.Turns(ctx, e)
		if err != nil {
			return nil, nil, err
		}
		for _, t := range turns {
			if t.Entity != e.Name || t.Partition >= len(noted) {
				continue
			}
			switch at, has := (behind{e, t.Partition}), noted[t.Partition]; {
			case has.Has(t.String()):
			case numberOf(has.Before) > t.Turn:
				newer = append(newer, at)
			default:
				older = append(older, at)
			}
		}
	}
	return older, newer, nil
}

// repairOlder looks for partitions that are behind. It notes the loss, drops what is cached of
// persisted records of the entities, and settles what is pending in those partitions. If we
// crash in between, what is left is as behind as before, and no flush writes anything of it. Any
// number of processes may do it at once.
func (p *Parts) repairOlder(ctx context.Context) error {
	redis, err := p.Cache.Pairing(ctx)
	if err != nil {
		return err
	}
	all, newer, err := p.olderPartitions(ctx, p.Config.Entities)
	if err != nil {
		return err
	}
	for _, at := range newer {
		if err := p.lower(ctx, at); err != nil {
			return fmt.Errorf("lower the turn of %s/%d: %w", at.entity.Name, at.partition, err)
		}
	}
	if len(all) == 0 {
		return nil
	}
	entities := entitiesOf(all)
	if err := p.noteOlder(ctx, redis.Life, entities); err != nil {
		return err
	}
	dropped := map[string]int{}
	for _, e := range entities {
		if dropped[e.Name], err = p.Cache.InvalidateMatch(ctx, e, "*", nil); err != nil {
			return fmt.Errorf("drop what is cached of %s: %w", e.Name, err)
		}
	}
	left := map[string]int{}
	for _, at := range all {
		n, err := p.repair(ctx, at)
		if err != nil {
			return fmt.Errorf("repair %s/%d: %w", at.entity.Name, at.partition, err)
		}
		left[at.entity.Name] += n
	}
	for _, e := range entities {
		p.Log.Info("an older Redis was repaired: its cached records are dropped, and what was pending and persisted since is left to its row",
			"entity", e.Name, "dropped", dropped[e.Name], "left", left[e.Name])
	}
	return nil
}

// numberOf is the number of a turn; 0 for "".
func numberOf(turn string) int64 {
	number, _, _ := strings.Cut(turn, ".")
	n, _ := strconv.ParseInt(number, 10, 64)
	return n
}

func entitiesOf(all []behind) (entities []*schema.Entity) {
	for _, at := range all {
		if !slices.Contains(entities, at.entity) {
			entities = append(entities, at.entity)
		}
	}
	return entities
}

// noteOlder notes that a life of Redis went back, as a loss of each entity, until an operator
// acknowledges it. The first process that does gives Redis another life, so that the others
// note nothing. Nor does anybody where a loss of this life is open: one that finds what the
// first is still repair, or was killed before it had repaired all.
func (p *Parts) noteOlder(ctx context.Context, life string, entities []*schema.Entity) error {
	if p.Forgetful {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	open, err := p.Store.OpenLosses(ctx)
	if err != nil {
		return err
	}
	entities = unnotedOf(open, life, entities)
	if len(entities) == 0 {
		return nil
	}
	var losses []ledger.Loss
	err = p.Store.Pair(ctx, p.Config.Redis.Prefix, func(ctx context.Context, stored schema.Pairing) (ledger.Pairs,
		error) {
		seen, err := p.Cache.Pairing(ctx)
		if err != nil || stored.Life != life || seen != stored {
			return ledger.Pairs{With: stored}, err // another process was faster, or the pairing notes it
		}
		to := schema.Pairing{Deployment: stored.Deployment, Life: rand.Text()}
		paired, err := p.Cache.Pair(ctx, seen, to)
		if err == nil && !paired {
			err = errChanged
		}
		for _, e := range entities {
			losses = append(losses, ledger.Loss{Entity: e.Name, Life: to.Life, Why: whyOlder})
		}
		return ledger.Pairs{With: to, Losses: losses}, err
	})
	if err != nil {
		return err
	}
	for _, l := range losses {
		p.Log.Error("Redis went back to an older state of itself: writes that it had accepted since are gone where they were not persisted; rows stay as they are",
			"entity", l.Entity)
	}
	return nil
}

// unnotedOf are the entities of which no loss of a life of Redis is open.
func unnotedOf(open []ledger.Loss, life string, entities []*schema.Entity) []*schema.Entity {
	return slices.DeleteFunc(slices.Clone(entities), func(e *schema.Entity) bool {
		return slices.ContainsFunc(open, func(l ledger.Loss) bool { return l.Entity == e.Name && l.Life == life })
	})
}

// repair settles what is pending in a partition that is behind, and then has it flushed again.
// It returns how many records it has left to their rows.
func (p *Parts) repair(ctx context.Context, at behind) (left int, err error) {
	older, reach, found, err := p.beginRepair(ctx, at)
	if err != nil || !found {
		return 0, err
	}
	err = p.Pending.Unpersisted(ctx, at.entity, at.partition, func(some []pending.Due) error {
		n, err := p.judge(ctx, at, reach, older.Now, some)
		left += n
		return err
	})
	if err != nil {
		return left, err
	}
	f, err := p.Store.Begin(ctx, at.entity, at.partition)
	if err != nil {
		return left, err
	}
	defer f.Rollback()
	_, err = p.Pending.Repaired(ctx, at.entity, at.partition, older.Notes, f.Before())
	return left, err
}

// lower notes the last turn in the place of one that is still to come: an older database was
// restored, or the two were paired again. Until it gets there nothing would be known.
func (p *Parts) lower(ctx context.Context, at behind) error {
	f, err := p.Store.Begin(ctx, at.entity, at.partition)
	if err != nil {
		return err
	}
	defer f.Rollback()
	noted, err := p.Pending.Turns(ctx, at.entity)
	if err != nil {
		return err
	}
	has := noted[at.partition]
	if has.Has(f.Before()) || numberOf(has.Before) <= numberOf(f.Before()) {
		return nil
	}
	_, err = p.Pending.Repaired(ctx, at.entity, at.partition, has, f.Before())
	return err
}

// beginRepair waits for the flush that may have read the newer Redis and holds the fence: each
// that comes after it finds the older one, and writes nothing.
func (p *Parts) beginRepair(ctx context.Context, at behind) (o pending.Older, r store.Reach, older bool, err error) {
	f, err := p.Store.Begin(ctx, at.entity, at.partition)
	if err != nil {
		return o, r, false, err
	}
	defer f.Rollback()
	if f.Before() == "" { // it was paired again
		return o, r, false, nil
	}
	r = f.Reach()
	o, older, err = p.Pending.Older(ctx, at.entity, at.partition, f.Before(), r.Newest)
	return o, r, older, err
}
