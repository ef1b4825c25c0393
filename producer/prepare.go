package producer

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/span"
	"github.com/afterwrite/afterwrite/schema"
)

// prepare turns a request into a canonical write, or returns what is wrong with it. It rejects everything that can be
// rejected without the database: after acceptance, a refusal by the database is expensive.
func (p *Producer) prepare(ctx context.Context, r Request) (*schema.Entity, cache.Write, error) {
	e, err := p.Entity(r.Entity)
	if err != nil {
		return nil, cache.Write{}, err
	}
	if len(r.Key) > MaxKey {
		return e, cache.Write{}, schema.Invalid("Idempotency-Key", "is too long: %d bytes, at most %d", len(r.Key),
			MaxKey)
	}
	w := cache.Write{Op: r.Op, IfMatch: r.IfMatch, Key: r.Key, Owner: r.Owner, ThoughFull: r.ThoughFull,
		Origin: span.Origin(ctx)}
	switch r.Op {
	case cache.OpPut:
		err = preparePut(e, r, &w)
	case cache.OpCreate:
		err = p.prepareCreate(ctx, e, r, &w)
	case cache.OpPatch:
		err = preparePatch(e, r, &w)
	case cache.OpIncrement:
		err = prepareIncrement(e, r, &w)
	case cache.OpDelete:
		err = prepareDelete(e, r, &w)
	default:
		err = schema.Invalid("op", "%q is not put, create, patch, increment or delete", r.Op)
	}
	if err == nil && w.Key != "" {
		w.KeyHash = keyHash(e, r, w)
	}
	return e, w, err
}

// keyHash distinguishes a keyed write from other writes with the same key. It hashes canonical values, so that another
// spelling of the same request has the same hash. Behind a "=" is a hash of the values by their names, as requested:
// it is the same after a field was added to the entity, has another place or another default.
func keyHash(e *schema.Entity, r Request, w cache.Write) string {
	h := sha256.New()
	if r.Same != "" {
		_, _ = fmt.Fprintf(h, "same:%s,%d:%s,%s,%s", w.Op, len(w.ID), w.ID, r.Entity, r.Same)
		return hex.EncodeToString(h.Sum(nil)[:16])
	}
	named := sha256.New()
	for _, part := range []string{string(w.Op), r.Entity, w.ID, w.IfMatch.String()} {
		_, _ = fmt.Fprintf(io.MultiWriter(h, named), "%d:%s,", len(part), part)
	}
	for _, text := range w.Values {
		_, _ = fmt.Fprintf(h, "%d:%s,", len(text), text)
	}
	for _, d := range w.Deltas {
		_, _ = fmt.Fprintf(h, "%d+%d,", d.Field, d.By)
	}
	hash := hex.EncodeToString(h.Sum(nil)[:16])
	if w.Values == nil {
		return hash
	}
	for _, name := range slices.Sorted(maps.Keys(r.Fields)) {
		if i, ok := e.Field(name); ok {
			_, _ = fmt.Fprintf(named, "%s=%d:%s,", name, len(w.Values[i]), w.Values[i])
		}
	}
	return hash + "=" + base64.RawURLEncoding.EncodeToString(named.Sum(nil)[:12])
}
