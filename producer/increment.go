package producer

import (
	"cmp"
	"context"
	"slices"
	"strconv"

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
	w.Deltas, err = Deltas(e, r.Fields)
	return err
}

// Deltas returns the additions of an increment, in the order of the fields. The error is a [schema.InvalidError] of
// every invalid field.
func Deltas(e *schema.Entity, fields schema.Fields) ([]cache.Delta, error) {
	if len(fields) == 0 {
		return nil, schema.Invalid("fields", "must name at least one int field")
	}
	var deltas []cache.Delta
	var bad []schema.FieldError
	for name, v := range fields {
		i, ok := e.Field(name)
		by, reason := int64(0), ""
		switch {
		case !ok:
			reason = "is not a field of " + e.Name
		case e.Fields[i].Type != schema.Int:
			reason = "is not an int field"
		case slices.Contains(e.Key(), i):
			reason = "is a part of the key, which cannot be changed"
		default:
			by, reason = amount(v)
		}
		if reason != "" {
			bad = append(bad, schema.FieldError{Field: name, Reason: reason})
			continue
		}
		deltas = append(deltas, cache.Delta{Field: i, By: by})
	}
	if len(bad) > 0 {
		slices.SortFunc(bad, func(a, b schema.FieldError) int { return cmp.Compare(a.Field, b.Field) })
		return nil, &schema.InvalidError{Fields: bad}
	}
	slices.SortFunc(deltas, func(a, b cache.Delta) int { return a.Field - b.Field })
	return deltas, nil
}

// amount reads an addition, or says why it is none. The bounds of the field are for the sum.
func amount(v any) (by int64, reason string) {
	of := schema.Field{Type: schema.Int}
	text, err := of.Canonical(v)
	if err != nil {
		return 0, err.Error()
	}
	if by, err = strconv.ParseInt(text, 10, 64); err != nil {
		return 0, "must be a whole number" // it is null
	}
	return by, ""
}
