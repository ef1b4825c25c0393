package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

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

// whyBackup is the reason of a loss where the database lacks what it had committed.
const whyBackup = ledger.DatabaseWentBack + ": a backup was restored, or a standby that lagged took over"

// foundOlder has the watch repair what a flush has found. It does not block.
func (p *Parts) foundOlder() {
	select {
	case p.flushed <- struct{}{}:
	default:
	}
}

// disagreement are the partitions of which the turns of the database and what Redis has noted of them do not agree.
type disagreement struct {
	older []behind // Redis lacks flushes that the database has committed
	newer []behind // the database lacks flushes that Redis knows to be committed
	other []behind // the turns are those of another Redis: what this one has noted means nothing
}

// compareTurns compares the turns of the database with what Redis has noted of them. A turn is noted before it is
// committed, so that Redis is older if it lacks a turn that the database had before; and the database is older if
// it lacks afterwards what Redis knew to be committed.
func (p *Parts) compareTurns(ctx context.Context, entities []*schema.Entity) (found disagreement, err error) {
	before, err := p.turns(ctx)
	if err != nil {
		return found, err
	}
	noted := map[place]pending.Notes{}
	for _, e := range entities {
		all, err := p.Pending.Turns(ctx, e)
		if err != nil {
			return found, err
		}
		for i, notes := range all {
			noted[place{e.Name, i}] = notes
		}
	}
	after, err := p.turns(ctx)
	if err != nil {
		return found, err
	}
	for _, e := range entities {
		for i := range e.Partitions {
			at, of := behind{e, i}, place{e.Name, i}
			has, was, is := noted[of], before[of], after[of]
			switch {
			case is.TurnOf != "" && is.TurnOf != p.Config.Redis.Prefix:
				if has.Committed() > 0 {
					found.other = append(found.other, at)
				}
			case has.Committed() > is.Turn:
				found.newer = append(found.newer, at)
			case was.Turn > 0 && has.Committed() <= was.Turn && !has.Has(was.String()):
				found.older = append(found.older, at)
			}
		}
	}
	return found, nil
}

// place is a partition as the database names it.
type place struct {
	entity    string
	partition int
}

func (p *Parts) turns(ctx context.Context) (map[place]ledger.Turn, error) {
	all, err := p.Store.Turns(ctx)
	if err != nil {
		return nil, err
	}
	turns := make(map[place]ledger.Turn, len(all))
	for _, t := range all {
		turns[place{t.Entity, t.Partition}] = t
	}
	return turns, nil
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
	found, err := p.compareTurns(ctx, p.Config.Entities)
	if err != nil {
		return err
	}
	if err := p.acceptOlderDatabase(ctx, redis.Life, found); err != nil {
		return err
	}
	all := found.older
	if len(all) == 0 {
		return nil
	}
	if redis, err = p.Cache.Pairing(ctx); err != nil { // it has another life where a loss was noted
		return err
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

// acceptOlderDatabase notes a loss of each entity of which the database lacks flushes, and has its partitions be
// flushed from its turns on. What is cached stays: it may be all that is left of what the rows have lost. If we
// crash in between, the partitions that are left are found again, and their loss is open.
func (p *Parts) acceptOlderDatabase(ctx context.Context, life string, found disagreement) error {
	if len(found.newer) > 0 {
		err := p.noteBack(ctx, life, entitiesOf(found.newer), whyBackup,
			"the database went back to an older state of itself: rows that were written since are gone or old; afterwrite fsck names those that Redis has")
		if err != nil {
			return err
		}
	}
	for _, at := range slices.Concat(found.newer, found.other) {
		if err := p.lower(ctx, at); err != nil {
			return fmt.Errorf("lower the turn of %s/%d: %w", at.entity.Name, at.partition, err)
		}
	}
	return nil
}

func entitiesOf(all []behind) (entities []*schema.Entity) {
	for _, at := range all {
		if !slices.Contains(entities, at.entity) {
			entities = append(entities, at.entity)
		}
	}
	return entities
}

// noteOlder notes that a life of Redis went back.
func (p *Parts) noteOlder(ctx context.Context, life string, entities []*schema.Entity) error {
	return p.noteBack(ctx, life, entities, whyOlder,
		"Redis went back to an older state of itself: writes that it had accepted since are gone where they were not persisted; rows stay as they are")
}

// noteBack notes that Redis or the database went back, as a loss of each entity, until an operator
// acknowledges it. The first process that does gives Redis another life, so that the others
// note nothing. Nor does a process where a loss of this life is open: it finds what the first is
// still to repair, or was killed before it had repaired all. What it finds of other entities
// belongs to the same loss, so it is noted of the same life: with another one the entities of the
// first would be noted again. An entity and a life are unique in the database.
func (p *Parts) noteBack(ctx context.Context, life string, entities []*schema.Entity, why, message string) error {
	if p.Forgetful {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	// Read before those that are open: a loss that another process notes in between must not look acknowledged.
	noted, err := p.Store.LossesOf(ctx, life)
	if err != nil {
		return err
	}
	open, err := p.Store.OpenLosses(ctx)
	if err != nil {
		return err
	}
	entities = unnotedOf(open, life, entities)
	if len(entities) == 0 {
		return nil
	}
	same := slices.ContainsFunc(open, func(l ledger.Loss) bool { return l.Life == life && l.Records == 0 }) &&
		len(unnotedOf(noted, life, entities)) == len(entities) // an entity whose loss was acknowledged has another
	var losses []ledger.Loss
	err = p.Store.Pair(ctx, p.Config.Redis.Prefix, func(ctx context.Context, stored schema.Pairing) (ledger.Pairs,
		error) {
		seen, err := p.Cache.Pairing(ctx)
		if err != nil || stored.Life != life || seen != stored {
			return ledger.Pairs{With: stored}, err // another process was faster, or the pairing notes it
		}
		to := stored
		if !same {
			to.Life = rand.Text()
			var paired bool
			if paired, err = p.Cache.Pair(ctx, seen, to); err == nil && !paired {
				err = errChanged
			}
		}
		losses = nil
		for _, e := range entities {
			losses = append(losses, ledger.Loss{Entity: e.Name, Life: to.Life, Why: why})
		}
		return ledger.Pairs{With: to, Losses: losses}, err
	})
	if err != nil {
		return err
	}
	for _, l := range losses {
		p.Log.Error(message, "entity", l.Entity)
	}
	return nil
}

// unnotedOf are the entities of which no loss of a life of Redis is among these. Losses that are
// counted have another reason.
func unnotedOf(losses []ledger.Loss, life string, entities []*schema.Entity) []*schema.Entity {
	return slices.DeleteFunc(slices.Clone(entities), func(e *schema.Entity) bool {
		return slices.ContainsFunc(losses, func(l ledger.Loss) bool {
			return l.Entity == e.Name && l.Life == life && l.Records == 0
		})
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

// lower notes the last turn in the place of one that the database lacks: an older database was restored, or its turns
// were those of another Redis. Until then nothing is flushed.
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
	if has.Committed() <= pending.TurnNumber(f.Before()) { // another process was faster
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
