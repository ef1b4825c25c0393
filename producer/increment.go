package producer

import (
	"context"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// Increment adds to int fields of a record, all of them or none, and returns their new values. A repeat adds again,
// unless it has the Key of the first request. See [Producer.Do] for the errors.
func (p *Producer) Increment(ctx context.Context, entity, id string, amounts schema.Fields) (Accepted, error) {
	return p.Do(ctx, Request{Op: cache.OpIncrement, Entity: entity, ID: id, Fields: amounts})
}

func prepareIncrement(e *schema.Entity, r Request, w *cache.Write) (err error) {
	if w.ID, err = e.CanonicalID(r.ID); err != nil {
		return err
	}
	w.Deltas, err = e.Deltas(r.Fields)
	return err
}
