package producer

import (
	"context"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// Delete deletes a record. See [Producer.Do] for the errors.
func (p *Producer) Delete(ctx context.Context, entity, id string) (Accepted, error) {
	return p.Do(ctx, Request{Op: cache.OpDelete, Entity: entity, ID: id})
}

func prepareDelete(e *schema.Entity, r Request, w *cache.Write) (err error) {
	w.ID, err = e.CanonicalID(r.ID)
	return err
}
