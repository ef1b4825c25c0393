package producer

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// maxLoads bounds how often one write can load its record: a load is repeated only if the record was invalidated or
// evicted meanwhile.
const maxLoads = 8

// submitOne accepts one write-behind write.
func (p *Producer) submitOne(ctx context.Context, e *schema.Entity, w cache.Write) (cache.Written, error) {
	t := tickets.Get().(*ticket)
	t.entity, t.partition, t.write = e, e.Partition(w.ID), w
	one := [...]*ticket{t}
	if _, err := p.submit(ctx, one[:]); err != nil {
		return cache.Written{}, err // a round trip may still use the ticket
	}
	written := t.written
	*t = ticket{}
	tickets.Put(t)
	return written, written.Err
}

// submit sends writes of one partition until each has its answer in written. The script leaves out a write whose record
// is not cached, and every later write of that record: these are sent again with their rows. It returns the writes that
// have no answer, in the memory of some, and the error; after ErrOutcomeUnknown a round trip may still use them.
func (p *Producer) submit(ctx context.Context, some []*ticket) ([]*ticket, error) {
	for range maxLoads {
		if err := ctx.Err(); err != nil {
			return some, err
		}
		if err := p.send(ctx, some); err != nil {
			return some, err
		}
		some = keptBack(some)
		if len(some) == 0 {
			return nil, nil
		}
		if err := p.loadRows(ctx, some); err != nil {
			return some, err
		}
	}
	return some, fmt.Errorf("%s: records were dropped from the cache %d times while they were loaded: %w",
		some[0].entity.Name, maxLoads, schema.ErrBusy)
}

// send makes one round trip: a single write shares it with others of its lane, several writes have their own.
func (p *Producer) send(ctx context.Context, some []*ticket) error {
	if len(some) == 1 {
		one := some[0]
		return p.lanesOf(ctx, one)[one.partition%len(p.lanes)].do(ctx, one)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.timeout)
	defer cancel()
	groups, _ := seat([]*cache.Group{{Writes: make([]cache.Write, 0, len(some))}}, some)
	p.trip(ctx, groups, some)
	return nil
}

// keptBack returns the writes that need their rows.
func keptBack(some []*ticket) []*ticket {
	again := some[:0]
	for _, t := range some {
		if t.written.Token != "" {
			again = append(again, t)
		}
	}
	return again
}

// loadRows loads the rows for writes that need them.
func (p *Producer) loadRows(ctx context.Context, some []*ticket) error {
	e := some[0].entity
	ids := make([]string, len(some))
	for i, t := range some {
		ids[i] = t.write.ID
	}
	rows, err := p.loader.Load(ctx, e, ids)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("load %s: %w: %w", e.Name, schema.ErrDatabaseUnavailable, err)
	}
	for _, t := range some {
		values, ok := rows[t.write.ID]
		t.write.Row = &schema.Row{ID: t.write.ID, Exists: ok, Values: values}
		t.write.Token = t.written.Token
	}
	return nil
}
