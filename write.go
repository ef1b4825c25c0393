package afterwrite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// Put creates or replaces a record. It fills a zero key (UUID, or the next of
// the table's sequence), CreatedAt, UpdatedAt, and zero fields with defaults.
func (t *TableOf[T]) Put(ctx context.Context, record *T, options ...WriteOption) (Written, error) {
	w := writeOf(options)
	d, err := t.draft(ctx, cache.OpPut, record, w)
	if err != nil {
		return Written{}, err
	}
	if only := t.model.CreateOnly(); len(only) > 0 && !d.fresh {
		written, err := t.putOver(ctx, d, only)
		return written, cmp.Or(err, t.model.Settle(reflect.ValueOf(record).Elem()))
	}
	return t.accept(ctx, d, record)
}

// putOver replaces a record but for the fields that are written at creation alone.
func (t *TableOf[T]) putOver(ctx context.Context, d draft, only []int) (Written, error) {
	over := d.request
	over.Op, over.Fields = cache.OpPatch, schema.Fields{}
	for i := range t.model.entity.Fields {
		name := t.model.Name(i)
		if slices.Contains(only, i) {
			continue
		}
		if value, ok := d.request.Fields[name]; ok {
			over.Fields[name] = value
		}
	}
	anew := d.request
	anew.Op = cache.OpCreate
	for range maxTries {
		written, err := t.do(ctx, over)
		if !errors.Is(err, ErrNotFound) {
			return written, err
		}
		if over.IfMatch != 0 {
			return Written{}, fmt.Errorf("%w: it does not exist", ErrVersionMismatch)
		}
		if written, err = t.do(ctx, anew); !errors.Is(err, ErrExists) {
			return written, err
		}
	}
	return Written{}, fmt.Errorf("put %s %s: it was deleted and created again %d times meanwhile: %w", over.Entity,
		over.ID, maxTries, ErrBusy)
}

// Create is [ErrExists] where there is a record, or one deleted softly.
func (t *TableOf[T]) Create(ctx context.Context, record *T, options ...WriteOption) (Written, error) {
	w := writeOf(options)
	d, err := t.draft(ctx, cache.OpCreate, record, w)
	if err != nil {
		return Written{}, err
	}
	return t.accept(ctx, d, record)
}

// draft is a whole record on its way.
type draft struct {
	request producer.Request
	fresh   bool // its id is to be made
}

// draft fills and reads a struct.
func (t *TableOf[T]) draft(ctx context.Context, op cache.Op, record *T, w write) (draft, error) {
	if err := t.ready(ctx); err != nil {
		return draft{}, err
	}
	if record == nil {
		return draft{}, schema.Invalid("record", "is nil")
	}
	if err := t.model.before(ctx, op, record); err != nil {
		return draft{}, err
	}
	at := reflect.ValueOf(record).Elem()
	m := t.model.Model
	id, err := m.ID(at)
	if err != nil {
		return draft{}, err
	}
	d := draft{request: producer.Request{Op: op, Entity: t.model.entity.Name, ID: id, IfMatch: w.match, Key: w.key,
		Seen: true}}
	if w.key != "" {
		if d.request.Same, err = m.Digest(at); err != nil {
			return draft{}, err
		}
	}
	if err := m.Stamp(at, t.now(), op == cache.OpPut); err != nil {
		return draft{}, err
	}
	if d.request.Fields, err = m.Fields(at); err != nil {
		return draft{}, err
	}
	if id != "" {
		return d, nil
	}
	if w.match != 0 {
		return draft{}, schema.Invalid("id", "is missing: IfMatch names a record")
	}
	if d.fresh = true; w.key != "" || m.Entity.ID.Composite() || m.Entity.ID.Made == schema.MadeSequence {
		d.request.Op = cache.OpCreate // binds the id that it makes to the key
		return d, nil
	}
	if d.request.ID, err = m.NewID(); err != nil {
		return draft{}, err
	}
	return d, nil
}

// accept sends a draft, and fills the struct with what was made for it.
func (t *TableOf[T]) accept(ctx context.Context, d draft, record *T) (Written, error) {
	written, err := t.do(ctx, d.request)
	if err != nil {
		return written, err
	}
	at := reflect.ValueOf(record).Elem()
	if d.fresh {
		if err := t.model.SetID(at, written.ID); err != nil {
			return written, err
		}
	}
	return written, t.model.Settle(at)
}

func (t *TableOf[T]) do(ctx context.Context, r producer.Request) (Written, error) {
	a, err := t.db.producer.Do(ctx, r)
	if err != nil {
		return Written{}, err
	}
	return t.written(a), nil
}

func (t *TableOf[T]) written(a producer.Accepted) Written {
	return Written{ID: a.ID, Version: a.Version, Status: a.Status, Repeated: a.Again, db: t.db, entity: t.model.entity}
}

// Patch sets fields of a record that exists, else [ErrNotFound].
func (t *TableOf[T]) Patch(ctx context.Context, id any, changes ...Change) (Written, error) {
	if err := t.ready(ctx); err != nil {
		return Written{}, err
	}
	p := patch{model: t.model, sets: map[int]any{}}
	for _, c := range changes {
		c.change(&p)
	}
	if p.err != nil {
		return Written{}, p.err
	}
	r, err := t.request(ctx, cache.OpPatch, id, p.write)
	if err != nil {
		return Written{}, err
	}
	fields := map[int]any{}
	for i, v := range p.sets {
		if reason := t.model.Fixed(i); reason != "" {
			return Written{}, schema.Invalid(t.model.Name(i), "%s", reason)
		}
		if fields[i], err = t.model.Value(i, v); err != nil {
			return Written{}, err
		}
	}
	if p.key != "" {
		r.Same = digest(fields)
	}
	for i, v := range t.model.Updated(t.now()) {
		if _, set := p.sets[i]; set {
			continue
		}
		if fields[i], err = t.model.Value(i, v); err != nil {
			return Written{}, err
		}
	}
	r.Fields = make(schema.Fields, len(fields))
	for i, v := range fields {
		r.Fields[t.model.Name(i)] = v
	}
	return t.do(ctx, r)
}

// digest tells the changes of a keyed write from others.
func digest(fields map[int]any) string {
	h := sha256.New()
	for i := range slices.Max(append(keys(fields), 0)) + 1 {
		if v, ok := fields[i]; ok {
			_, _ = fmt.Fprintf(h, "%d=%q,", i, fmt.Sprint(v))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func keys(fields map[int]any) []int {
	list := make([]int, 0, len(fields))
	for i := range fields {
		list = append(list, i)
	}
	return list
}

// request names a record that must exist, and not be deleted softly.
func (t *TableOf[T]) request(ctx context.Context, op cache.Op, id any, w write) (producer.Request, error) {
	text, err := t.model.CanonicalID(id)
	if err != nil {
		return producer.Request{}, err
	}
	r := producer.Request{Op: op, Entity: t.model.entity.Name, ID: text, IfMatch: w.match, Key: w.key}
	if _, soft := t.model.SoftDelete(); !soft {
		return r, nil
	}
	// A deletion that comes between this look and the write is as one that came after it:
	// it changes none of the fields that the write does.
	read, err := t.db.parts.Cache.Get(ctx, t.model.entity, text)
	if err == nil && (read.Deleted || t.softlyDeleted(read.Values)) {
		err = fmt.Errorf("%s %s: %w", r.Entity, text, ErrNotFound)
	}
	return r, err
}

// Add adds to an int field and returns its new value. Concurrent additions all count; a repeat
// adds again, unless it has the same [IdempotencyKey].
func (t *TableOf[T]) Add(ctx context.Context, id any, field string, n int64, opts ...WriteOption) (int64, Written,
	error) {
	if err := t.ready(ctx); err != nil {
		return 0, Written{}, err
	}
	i, ok := t.model.Field(field)
	if !ok {
		return 0, Written{}, unknownField(t.model, field)
	}
	if reason := t.model.Fixed(i); reason != "" {
		return 0, Written{}, schema.Invalid(t.model.Name(i), "%s", reason)
	}
	r, err := t.request(ctx, cache.OpIncrement, id, writeOf(opts))
	if err != nil {
		return 0, Written{}, err
	}
	r.Fields = schema.Fields{t.model.Name(i): n}
	a, err := t.db.producer.Do(ctx, r)
	if err != nil {
		return 0, Written{}, err
	}
	if len(a.Values) == 0 { // a repeat of what a hook made a write of fields
		read, err := t.read(ctx, a.ID)
		if err != nil || read.Deleted {
			return 0, t.written(a), cmp.Or(err, ErrNotFound)
		}
		a.Values = read.Values
	}
	sum, err := t.model.entity.Fields[i].Decode(a.Values[i])
	if err != nil {
		return 0, Written{}, err
	}
	total, _ := sum.(int64) // the field is an int, or the write was refused
	return total, t.written(a), nil
}

// Delete deletes a record: softly where the model has a gorm.DeletedAt.
func (t *TableOf[T]) Delete(ctx context.Context, id any, options ...WriteOption) (Written, error) {
	if err := t.ready(ctx); err != nil {
		return Written{}, err
	}
	w := writeOf(options)
	ctx = withOperation(ctx, cache.OpDelete)
	i, soft := t.model.SoftDelete()
	if !soft {
		r, err := t.request(ctx, cache.OpDelete, id, w)
		if err != nil {
			return Written{}, err
		}
		return t.do(ctx, r)
	}
	r, err := t.request(ctx, cache.OpPatch, id, w)
	if err != nil {
		return Written{}, err
	}
	if w.key != "" {
		r.Same = "delete"
	}
	r.Fields = schema.Fields{t.model.Name(i): t.model.entity.Fields[i].Instant(t.now())}
	return t.do(ctx, r)
}

// maxTries bounds how often Update reads again what others have written meanwhile.
const maxTries = 16
