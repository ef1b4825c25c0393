package process

import (
	"context"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Losses returns the losses that no operator has acknowledged, of some entities: those that
// a process noted, and with Number 0 those that no process has noted yet: Redis counts them,
// or it was emptied or exchanged a moment ago, or while no process ran.
func (p *Parts) Losses(ctx context.Context, entities []*schema.Entity) ([]ledger.Loss, error) {
	open, err := p.Store.OpenLosses(ctx)
	if err != nil {
		return nil, err
	}
	losses := slices.DeleteFunc(open, func(l ledger.Loss) bool {
		return !slices.ContainsFunc(entities, func(e *schema.Entity) bool { return e.Name == l.Entity })
	})
	unnoted, err := p.unnoted(ctx, entities)
	if err != nil {
		return nil, err
	}
	return append(losses, unnoted...), nil
}

// unnoted are the losses that no process has noted yet.
func (p *Parts) unnoted(ctx context.Context, entities []*schema.Entity) (losses []ledger.Loss, err error) {
	s, err := p.sides(ctx)
	if err != nil {
		return nil, err
	}
	if was, err := s.compare(); err == nil && was != same {
		flushed, err := p.Store.FlushedEntities(ctx)
		if err != nil {
			return nil, err
		}
		for _, l := range p.lossesOf(was, s.redis.Life, flushed) {
			if slices.ContainsFunc(entities, func(e *schema.Entity) bool { return e.Name == l.Entity }) {
				l.At = time.Now()
				losses = append(losses, l)
			}
		}
	}
	older, err := p.unnotedOlder(ctx, s.redis.Life, entities)
	if err != nil {
		return nil, err
	}
	for _, l := range older {
		if !slices.ContainsFunc(losses, func(o ledger.Loss) bool { return o.Entity == l.Entity }) {
			losses = append(losses, l)
		}
	}
	counted, err := p.Store.LossesOf(ctx, s.redis.Life)
	if err != nil {
		return nil, err
	}
	for _, e := range entities {
		stats, err := p.Pending.Stats(ctx, e)
		if err != nil {
			return nil, err
		}
		lost := pending.Total(stats).Lost
		for _, l := range counted {
			if l.Entity == e.Name {
				lost -= l.Records
			}
		}
		if lost > 0 {
			losses = append(losses, ledger.Loss{Entity: e.Name, Life: s.redis.Life, Records: lost,
				Why: "records were listed as pending, and their keys were gone: deleted by another program, or evicted"})
		}
	}
	return losses, nil
}

// unnotedOlder are the losses that the turns of the fences tell of and no process has noted yet.
func (p *Parts) unnotedOlder(ctx context.Context, life string, entities []*schema.Entity) (losses []ledger.Loss,
	err error) {
	if p.Forgetful {
		return nil, nil
	}
	found, err := p.compareTurns(ctx, entities)
	if err != nil || len(found.older)+len(found.newer) == 0 {
		return nil, err
	}
	open, err := p.Store.OpenLosses(ctx)
	for _, of := range []struct {
		partitions []behind
		why        string
	}{{found.newer, whyBackup}, {found.older, whyOlder}} {
		for _, e := range unnotedOf(open, life, entitiesOf(of.partitions)) {
			losses = append(losses, ledger.Loss{At: time.Now(), Entity: e.Name, Life: life, Why: of.why})
		}
	}
	return losses, err
}

// Acknowledge marks losses that [Parts.Losses] returned as acknowledged, with the operator's
// reason, and returns how many it marked. One that no process has noted yet is noted as a process
// notes it that starts, so that the next one does not note it again.
func (p *Parts) Acknowledge(ctx context.Context, losses []ledger.Loss, reason string, by ledger.Actor) (int, error) {
	var known, counted, unnoted []ledger.Loss
	for _, l := range losses {
		switch {
		case l.Number > 0:
			known = append(known, l)
		case l.Records > 0:
			counted = append(counted, l)
		default:
			unnoted = append(unnoted, l)
		}
	}
	if len(counted) > 0 { // but those that another operator has acknowledged meanwhile, or they would count twice
		still, err := p.unnoted(ctx, p.Config.Entities)
		if err != nil {
			return 0, err
		}
		counted = slices.DeleteFunc(counted, func(c ledger.Loss) bool {
			return !slices.ContainsFunc(still, func(l ledger.Loss) bool { return sameCount(c, l) })
		})
	}
	if len(counted)+len(unnoted) > 0 {
		if err := p.Store.NoteLosses(ctx, counted...); err != nil {
			return 0, err
		}
		if len(unnoted) > 0 {
			if err := p.CheckPairing(ctx); err != nil {
				return 0, err
			}
		}
		open, err := p.Store.OpenLosses(ctx)
		if err != nil {
			return 0, err
		}
		for _, l := range open {
			if slices.ContainsFunc(counted, func(c ledger.Loss) bool {
				return sameCount(c, l)
			}) || slices.ContainsFunc(unnoted, func(u ledger.Loss) bool {
				return u.Entity == l.Entity && l.Records == 0 && u.Why == l.Why
			}) {
				known = append(known, l)
			}
		}
	}
	return p.Store.Acknowledge(ctx, known, reason, by)
}

// sameCount reports whether two losses are of as many records of one entity, in one life of Redis.
func sameCount(a, b ledger.Loss) bool {
	return a.Entity == b.Entity && a.Life == b.Life && a.Records == b.Records
}
