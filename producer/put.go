package producer

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// Put creates or replaces a record. See [Producer.Do] for the errors.
func (p *Producer) Put(ctx context.Context, entity, id string, fields schema.Fields) (Accepted, error) {
	return p.Do(ctx, Request{Op: cache.OpPut, Entity: entity, ID: id, Fields: fields})
}

// Create creates a record. For an empty id it generates a UUID of version 7, if the entity's ids can be one. See
// [Producer.Do] for the errors.
func (p *Producer) Create(ctx context.Context, entity, id string, fields schema.Fields) (Accepted, error) {
	return p.Do(ctx, Request{Op: cache.OpCreate, Entity: entity, ID: id, Fields: fields})
}

func preparePut(e *schema.Entity, r Request, w *cache.Write) (err error) {
	if r.IfNoneMatch {
		w.Op = cache.OpCreate
	}
	if w.ID, err = e.CanonicalID(r.ID); err != nil {
		return err
	}
	if w.Values, err = e.Whole(r.Fields); err != nil {
		return err
	}
	return e.FillKey(w.ID, w.Values)
}

func (p *Producer) prepareCreate(ctx context.Context, e *schema.Entity, r Request, w *cache.Write) (err error) {
	if w.Values, err = e.Whole(r.Fields); err != nil {
		return err
	}
	switch {
	case r.ID != "":
		w.ID, err = e.CanonicalID(r.ID)
	case e.ID.Composite():
		w.ID, err = e.MadeKey(w.Values, func() (string, error) { return p.newID(ctx, e, r.Key) })
	default:
		w.ID, err = p.newID(ctx, e, r.Key)
	}
	if err != nil {
		return err
	}
	return e.FillKey(w.ID, w.Values)
}

// newID returns the id of a record that is created without one (RFC 9562, version 7), or the part of a composite key
// that is a UUID. With an idempotency key the id is
// stored, so that a repeat of the request creates the same record.
func (p *Producer) newID(ctx context.Context, e *schema.Entity, key string) (string, error) {
	u, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	id := u.String()
	if _, err := e.CanonicalID(id); err != nil && !e.ID.Composite() {
		return "", schema.Invalid("id", "is required: ids of %s cannot hold a made one", e.Name)
	}
	if key == "" {
		return id, nil
	}
	return p.cache.Reserve(ctx, e, key, id)
}
