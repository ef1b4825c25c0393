package values

import (
	"context"
	"errors"
	"slices"

	"github.com/afterwrite/afterwrite/cache/internal/flight"
	"github.com/afterwrite/afterwrite/schema"
)

// LoadingMany loads the values of keys that are not cached. A key that is not in its
// answer has no value. Its context is as that of a [Loading].
type LoadingMany[T any] func(ctx context.Context, missing []string) (map[string]T, error)

// LoadMany is [Values.Load] for many keys: one round trip for those that are cached, one
// call of load for those that are not, but for keys that other callers are loading: it
// waits for those. What is refreshed behind it, early or stale, is one call, too. Where
// load fails, stale values stand in if there is one for each key that it was to load. A
// key without a value is not in the answer. The number of keys is the caller's to bound.
func (v *Values[T]) LoadMany(ctx context.Context, keys []string, load LoadingMany[T]) (map[string]T, error) {
	b := &batch[T]{v: v, load: func(ctx context.Context, wants []*want) (func(string) (T, bool), error) {
		loaded, err := load(ctx, names(wants))
		return func(key string) (T, bool) { value, ok := loaded[key]; return value, ok }, err
	}}
	keys = slices.Clone(keys)
	slices.Sort(keys)
	for _, key := range slices.Compact(keys) {
		k, err := v.key(key)
		if err != nil {
			return nil, err
		}
		b.wants = append(b.wants, &want{k: k})
	}
	if err := b.look(ctx); err != nil {
		return nil, err
	}
	if !b.done() {
		err := flight.Run(ctx, v.p.LoadTimeout, func(ctx context.Context, late bool) (outcome flight.Outcome, _ error) {
			err := flight.Detach(ctx, v.life(), func(ctx context.Context) (err error) {
				outcome, err = b.turn(ctx, late)
				return err
			})
			return outcome, err
		})
		if ctx.Err() != nil {
			return nil, ctx.Err() // the turn may go on: b is its own
		}
		if err = b.instead(ctx, err); err != nil {
			return nil, err
		}
	}
	return b.values()
}

// look takes what is in this process and in Redis.
func (b *batch[T]) look(ctx context.Context) error {
	var some []*want
	var keys []valueKey
	for _, w := range b.wants {
		if e, ok := b.v.found(w.k.key); ok {
			w.entry, w.source = &e, Local
		} else {
			some, keys = append(some, w), append(keys, w.k)
		}
	}
	found, err := b.v.lookMany(ctx, keys)
	if errors.Is(err, schema.ErrUnavailable) {
		return nil // the next step finds that out, and loads them all
	}
	if err != nil {
		return err
	}
	next := &batch[T]{v: b.v, load: b.load}
	for i, e := range found {
		w := some[i]
		switch {
		case e == nil:
			continue
		case e.ttl() > 0:
			w.entry, w.source = e, Hit
		case e.ttl() > -b.v.p.Stale:
			w.entry, w.source = e, Stale
		default:
			w.unusable = e.id
			continue
		}
		if w.source == Stale || b.v.early(e) {
			next.wants = append(next.wants, &want{k: w.k, unusable: e.id})
		}
	}
	if len(next.wants) > 0 {
		next.refresh(ctx)
	}
	return nil
}

// instead takes stale values in the place of an error, as [Values.instead] does.
func (b *batch[T]) instead(ctx context.Context, failed error) error {
	if failed == nil {
		return nil
	}
	missing := b.missing()
	keys := make([]valueKey, len(missing))
	for i, w := range missing {
		keys[i] = w.k
	}
	entries, err := b.v.instead(ctx, keys, failed)
	b.take(missing, entries, Stale)
	return err
}

// values decodes what was found and loaded.
func (b *batch[T]) values() (map[string]T, error) {
	values := make(map[string]T, len(b.wants))
	for _, w := range b.wants {
		b.v.on.metrics.reads.WithLabelValues(b.v.p.Group, string(w.source)).Inc()
		a, err := b.v.answer(w.entry, w.source)
		if errors.Is(err, schema.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		values[w.k.key] = a.Value
	}
	return values, nil
}
