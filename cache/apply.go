package cache

import (
	"math"
	"strconv"

	"github.com/afterwrite/afterwrite/schema"
)

// Apply computes the change that a write makes to a row, by the same rules as lua/write.lua. The caller assigns the
// version. Of IfMatch it checks only AnyVersion. Errors: ErrExists, ErrNotFound, ErrVersionMismatch, an InvalidError.
func (w *Write) Apply(e *schema.Entity, row schema.Row) (schema.Change, error) {
	change := schema.Change{ID: w.ID, Values: w.Values}
	switch {
	case w.IfMatch == AnyVersion && !row.Exists:
		return change, schema.ErrVersionMismatch
	case w.Op == OpPut:
		return change, nil
	case w.Op == OpCreate && row.Exists:
		return change, schema.ErrExists
	case w.Op == OpCreate:
		return change, nil
	case !row.Exists:
		return change, schema.ErrNotFound
	}
	change.Values = append(schema.Values(nil), row.Values...)
	switch w.Op {
	case OpDelete:
		change.Values, change.Deleted = nil, true
		return change, nil
	case OpIncrement:
		change.Only = make([]int, len(w.Deltas))
		for i, d := range w.Deltas {
			change.Only[i] = d.Field
		}
		return change, w.add(e, change.Values)
	}
	change.Only = []int{}
	for i, text := range w.Values {
		if text != "" {
			change.Values[i] = text
			change.Only = append(change.Only, i)
		}
	}
	return change, nil
}

// add adds the deltas to values, or returns an error about the one that cannot be added.
func (w *Write) add(e *schema.Entity, values schema.Values) error {
	for _, d := range w.Deltas {
		f := &e.Fields[d.Field]
		n, err := strconv.ParseInt(values[d.Field], 10, 64)
		if err != nil {
			return schema.Invalid(f.Name, "is null and cannot be incremented")
		}
		if (d.By > 0 && n > math.MaxInt64-d.By) || (d.By < 0 && n < math.MinInt64-d.By) {
			return schema.Invalid(f.Name, "would overflow 64 bits")
		}
		n += d.By
		if low, high := f.IntBounds(); n < low || n > high {
			return schema.Invalid(f.Name, "would be out of bounds: %s", bounds(e, f.Name))
		}
		values[d.Field] = strconv.FormatInt(n, 10)
	}
	return nil
}

// Added returns the values of the fields that an increment has changed, "" for other fields; nil for any other write.
func (w *Write) Added(e *schema.Entity, values schema.Values) schema.Values {
	if w.Op != OpIncrement {
		return nil
	}
	added := make(schema.Values, len(e.Fields))
	for _, d := range w.Deltas {
		added[d.Field] = values[d.Field]
	}
	return added
}
