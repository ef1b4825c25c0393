package producer

import (
	"context"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// Patch sets some fields of a record (RFC 7396 at the top level: null sets null, a json field is replaced as a whole).
// See [Producer.Do] for the errors.
func (p *Producer) Patch(ctx context.Context, entity, id string, fields schema.Fields) (Accepted, error) {
	return p.Do(ctx, Request{Op: cache.OpPatch, Entity: entity, ID: id, Fields: fields})
}

func preparePatch(e *schema.Entity, r Request, w *cache.Write) (err error) {
	if w.ID, err = e.CanonicalID(r.ID); err != nil {
		return err
	}
	if w.Values, err = e.Partial(r.Fields); err != nil {
		return err
	}
	return dropKey(e, w.ID, w.Values)
}
