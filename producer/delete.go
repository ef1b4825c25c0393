package producer

import (
	"context"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
)

// Delete deletes a record. See [Producer.Do] for the errors.
func (p *Producer) Delete(ctx context.Context, entity, id string) (Accepted, error) {
	return p.Do(ctx, Request{Op: cache.OpDelete, Entity: entity, ID: id})
}

func prepareDelete(e *afterwrite.Entity, r Request, w *cache.Write) (err error) {
	w.ID, err = e.CanonicalID(r.ID)
	return err
}
