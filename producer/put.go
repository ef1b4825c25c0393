package producer

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// Put creates or replaces a record. See [Producer.Do] for the errors.
func (p *Producer) Put(ctx context.Context, entity, id string, fields schema.Fields) (Accepted, error) {
	return p.Do(ctx, Request{Op: cache.OpPut, Entity: entity, ID: id, Fields: fields})
}

// Create creates a record. For an empty id it makes one: a number of the table's sequence where the entity says so,
// otherwise a UUID of version 7, if the entity's ids can be one. See
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
	return fillKey(e, w.ID, w.Values)
}

func (p *Producer) prepareCreate(ctx context.Context, e *schema.Entity, r Request, w *cache.Write) (err error) {
	if w.Values, err = e.Whole(r.Fields); err != nil {
		return err
	}
	switch {
	case r.ID != "":
		w.ID, err = e.CanonicalID(r.ID)
	case e.ID.Composite():
		w.ID, err = madeKey(e, w.Values, func() (string, error) { return p.newID(ctx, e, r) })
	default:
		w.ID, err = p.newID(ctx, e, r)
	}
	if err != nil {
		return err
	}
	return fillKey(e, w.ID, w.Values)
}

// newID returns the id of a record that is created without one, or the part of a composite key that is a UUID. With an
// idempotency key the id is stored, so that a repeat of the request creates the same record.
func (p *Producer) newID(ctx context.Context, e *schema.Entity, r Request) (string, error) {
	id, err := p.madeID(ctx, e)
	if r.Key == "" {
		return id, err
	}
	// A repeat needs no new id: it has its answer while the database is away.
	kept, missing := p.cache.Reserve(ctx, e, r.Key, r.Owner, id)
	if err != nil && missing != nil {
		return "", err
	}
	return kept, missing
}

// madeID makes an id: a number of the table's sequence, or a UUID of version 7 (RFC 9562).
func (p *Producer) madeID(ctx context.Context, e *schema.Entity) (string, error) {
	if s := p.numbers[e.Name]; s != nil {
		return s.next(ctx)
	}
	u, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	id := u.String()
	if _, err := e.CanonicalID(id); err != nil && !e.ID.Composite() {
		return "", schema.Invalid("id", "is required: ids of %s cannot hold a made one%s", e.Name, orSequence(e))
	}
	return id, nil
}

// orSequence is the way out for ids that are whole numbers.
func orSequence(e *schema.Entity) string {
	if e.ID.Type != schema.Int {
		return ""
	}
	return "; `id: {made: sequence}` takes those of the table's sequence"
}

// taken reports whether a create failed because a row has the number that was drawn for it, as when rows with numbers
// of their own were copied into the table. A repeat draws another. With a key the id is that of the first attempt.
func (p *Producer) taken(r *Request, err error) bool {
	return errors.Is(err, schema.ErrExists) && r.Op == cache.OpCreate && r.ID == "" && r.Key == "" &&
		p.numbers[r.Entity] != nil
}
