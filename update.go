package afterwrite

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// Update has fn change a record, and writes the difference. Where another write
// comes between it starts over, 16 times at most. fn's error ends it.
func (t *TableOf[T]) Update(ctx context.Context, id any, fn func(*T) error, options ...WriteOption) (Written, error) {
	w, err := writeOf(options), error(nil)
	for range maxTries {
		var written Written
		written, err = t.updateOnce(ctx, id, w, fn)
		if !errors.Is(err, ErrVersionMismatch) || w.match != 0 {
			return written, err
		}
	}
	return Written{}, fmt.Errorf("update: others wrote the record each of %d times: %w", maxTries, err)
}

func (t *TableOf[T]) updateOnce(ctx context.Context, id any, w write, fn func(*T) error) (Written, error) {
	got, err := t.Get(ctx, id)
	if err != nil {
		return Written{}, err
	}
	if got.Stale {
		return Written{}, fmt.Errorf("update %s %s: %w", t.model.entity.Name, got.ID, ErrUnavailable)
	}
	before, err := t.model.Fields(reflect.ValueOf(&got.Value))
	if err != nil {
		return Written{}, err
	}
	if err := fn(&got.Value); err != nil {
		return Written{}, err
	}
	if err := t.model.before(ctx, cache.OpPatch, &got.Value); err != nil {
		return Written{}, err
	}
	return t.writeDifference(ctx, got, before, w)
}

func (t *TableOf[T]) writeDifference(ctx context.Context, got Got[T], before schema.Fields, w write) (Written, error) {
	if now, err := t.model.ID(reflect.ValueOf(&got.Value)); err != nil || now != got.ID {
		return Written{}, errKeyChanged
	}
	after, err := t.model.Fields(reflect.ValueOf(&got.Value))
	if err != nil {
		return Written{}, err
	}
	p := patch{model: t.model, sets: map[int]any{}, write: w}
	for i := range t.model.entity.Fields {
		name := t.model.Name(i)
		if !reflect.DeepEqual(before[name], after[name]) {
			p.sets[i] = after[name]
		}
	}
	if len(p.sets) == 0 && w.match == 0 {
		return Written{ID: got.ID, Version: got.Version, Status: got.Status, db: t.db, entity: t.model.entity}, nil
	}
	if p.match == 0 {
		p.match = got.Version
	}
	return t.patchCanonical(ctx, got.ID, p)
}

// patchCanonical is patch for values that are canonical already.
func (t *TableOf[T]) patchCanonical(ctx context.Context, id string, p patch) (Written, error) {
	r := producer.Request{Op: cache.OpPatch, Entity: t.model.entity.Name, ID: id, IfMatch: p.match, Key: p.key,
		Fields: schema.Fields{}, Seen: true}
	if p.key != "" {
		r.Same = "update"
	}
	for i, v := range p.sets {
		if reason := t.model.Fixed(i); reason != "" {
			return Written{}, schema.Invalid(t.model.Name(i), "%s", reason)
		}
		r.Fields[t.model.Name(i)] = v
	}
	for i, v := range t.model.Updated(t.now()) {
		if _, set := p.sets[i]; set {
			continue
		}
		value, err := t.model.Value(i, v)
		if err != nil {
			return Written{}, err
		}
		r.Fields[t.model.Name(i)] = value
	}
	return t.do(ctx, r)
}
