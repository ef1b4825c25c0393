package producer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/schema"
)

// Before gets a record as a write would leave it, or the record that is about to be deleted. It returns the record to
// be written, or the error that rejects the write. The record that it returns for a deletion is ignored. It can run
// several times for one write.
type Before func(ctx context.Context, op cache.Op, id string, record schema.Values) (schema.Values, error)

// Reader reads records that a [Before] is to see: the cache.
type Reader interface {
	Get(ctx context.Context, e *schema.Entity, id string) (cache.Read, error)
}

// maxLooks bounds how often a record is read again because other writes changed it meanwhile.
const maxLooks = 64

// before accepts a write whose hook must see the record first.
//
// A patch, an increment and a deletion depend on the version that the hook saw, and start again if another write was
// faster. A repeat with an idempotency key gets its first answer, whatever the version is.
func (p *Producer) before(ctx context.Context, e *schema.Entity, hook Before, w cache.Write) (Accepted, error) {
	if w.Op == cache.OpPut || w.Op == cache.OpCreate {
		var err error
		if w.Values, err = hook(ctx, w.Op, w.ID, w.Values); err != nil {
			return Accepted{}, err
		}
		return p.deliver(ctx, e, w)
	}
	for look := range maxLooks {
		a, err := p.beforeChange(ctx, e, hook, w)
		if !errors.Is(err, schema.ErrVersionMismatch) || w.IfMatch != 0 {
			return a, err
		}
		select {
		case <-ctx.Done():
			return Accepted{}, ctx.Err()
		case <-time.After(rand.N(time.Millisecond << min(look, 4))):
		}
	}
	return Accepted{}, fmt.Errorf("%w: others wrote %s %s each of %d times that a hook looked at it", schema.ErrBusy,
		e.Name, w.ID, maxLooks)
}

// never is a version that no record has.
const never schema.Version = 1

func (p *Producer) beforeChange(ctx context.Context, e *schema.Entity, hook Before, w cache.Write) (Accepted, error) {
	read, err := p.reader.Get(ctx, e, w.ID)
	switch {
	case err != nil:
		return Accepted{}, err
	case read.Source == cache.Bypass:
		return Accepted{}, fmt.Errorf("%w: the newest state is not known", schema.ErrUnavailable)
	case read.Deleted && w.Key != "" && w.IfMatch == 0: // can be a repeat
		w.IfMatch = never
		a, err := p.deliver(ctx, e, w)
		if errors.Is(err, schema.ErrVersionMismatch) {
			err = schema.ErrNotFound
		}
		return a, err
	}
	change, err := w.Apply(e, schema.Row{ID: w.ID, Exists: !read.Deleted, Values: read.Values})
	if err != nil {
		return Accepted{}, err
	}
	if w.IfMatch == 0 || w.IfMatch == cache.AnyVersion {
		w.IfMatch = read.Version
	}
	if change.Deleted {
		if _, err := hook(ctx, w.Op, w.ID, slices.Clone(read.Values)); err != nil {
			return Accepted{}, err
		}
		return p.deliver(ctx, e, w)
	}
	after, err := hook(ctx, w.Op, w.ID, slices.Clone(change.Values))
	if err != nil {
		return Accepted{}, err
	}
	return p.sendChanged(ctx, e, w, change, after)
}

// sendChanged sends a patch or an increment as the hook changed it: an increment whose record the hook changed becomes
// a patch.
func (p *Producer) sendChanged(ctx context.Context, e *schema.Entity, w cache.Write, change schema.Change,
	after schema.Values) (Accepted, error) {
	if w.Op == cache.OpIncrement && slices.Equal(after, change.Values) {
		return p.deliver(ctx, e, w)
	}
	added := w.Added(e, after)
	w.Op, w.Deltas = cache.OpPatch, nil
	w.Values = make(schema.Values, len(after))
	for i, text := range after {
		if text != change.Values[i] || slices.Contains(change.Only, i) {
			w.Values[i] = text
		}
	}
	a, err := p.deliver(ctx, e, w)
	a.Values = added
	return a, err
}
