package afterwrite

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/model"
	"github.com/afterwrite/afterwrite/schema"
)

// TableOf reads and writes the records of one model, safe for concurrent use.
type TableOf[T any] struct {
	db    *DB
	model *registered // nil: T was not given to Open
}

// Table has the records of a model; of another type, [ErrUnknownModel] alone.
func Table[T any](db *DB) *TableOf[T] {
	return &TableOf[T]{db: db, model: db.models[reflect.TypeFor[T]()]}
}

// Got is a record as it was read.
type Got[T any] struct {
	Value   T
	ID      string // in canonical text
	Version Version
	Status  Status
	Stale   bool // Redis did not respond: the row was read, which may be older; Version is 0
}

// Key is the values of several key fields, in the order of the struct.
type Key = model.Key

// Get reads a record by its key, a [Key], a struct with the key, or the id's text.
// One that is deleted, softly or not, is [ErrNotFound].
func (t *TableOf[T]) Get(ctx context.Context, id any) (Got[T], error) {
	r, err := t.read(ctx, id)
	if err != nil {
		return Got[T]{}, err
	}
	got, ok, err := t.got(r)
	if err == nil && !ok {
		err = fmt.Errorf("%s %s: %w", t.model.entity.Name, r.ID, ErrNotFound)
	}
	return got, err
}

// GetMany returns the records that exist, in the order of ids, in one trip.
func (t *TableOf[T]) GetMany(ctx context.Context, ids ...any) ([]Got[T], error) {
	if err := t.ready(ctx); err != nil {
		return nil, err
	}
	texts, err := t.texts(ids)
	if err != nil {
		return nil, err
	}
	reads, err := t.db.parts.Cache.GetMany(ctx, t.model.entity, texts)
	if err != nil {
		return nil, err
	}
	all := make([]Got[T], 0, len(reads))
	for _, r := range reads {
		got, ok, err := t.got(r)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, got)
		}
	}
	return all, nil
}

// Invalidate drops what is cached, and not pending, of rows others wrote.
func (t *TableOf[T]) Invalidate(ctx context.Context, ids ...any) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	texts, err := t.texts(ids)
	if err != nil {
		return err
	}
	_, err = t.db.parts.Cache.Invalidate(ctx, t.model.entity, texts)
	return err
}

func (t *TableOf[T]) texts(ids []any) (texts []string, err error) {
	texts = make([]string, len(ids))
	for i, id := range ids {
		if texts[i], err = t.model.CanonicalID(id); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// ready refuses a table of an unknown type, a closed DB and a context that has ended.
func (t *TableOf[T]) ready(ctx context.Context) error {
	if t.model == nil {
		return fmt.Errorf("%w: %s", ErrUnknownModel, reflect.TypeFor[T]())
	}
	if t.db.closed.Load() {
		return ErrClosed
	}
	return ctx.Err()
}

func (t *TableOf[T]) read(ctx context.Context, id any) (cache.Read, error) {
	if err := t.ready(ctx); err != nil {
		return cache.Read{}, err
	}
	text, err := t.model.CanonicalID(id)
	if err != nil {
		return cache.Read{}, err
	}
	return t.db.parts.Cache.Get(ctx, t.model.entity, text)
}

// got makes a struct of a record; ok is false where it does not exist.
func (t *TableOf[T]) got(r cache.Read) (got Got[T], ok bool, err error) {
	if r.Deleted || t.softlyDeleted(r.Values) {
		return got, false, nil
	}
	if err := t.model.Record(reflect.ValueOf(&got.Value), r.ID, r.Values); err != nil {
		return got, false, fmt.Errorf("%s: %w", t.model.entity.Name, err)
	}
	got.ID, got.Version, got.Status, got.Stale = r.ID, r.Version, r.Status, r.Source == cache.Bypass
	return got, true, nil
}

func (t *TableOf[T]) softlyDeleted(values schema.Values) bool {
	i, ok := t.model.SoftDelete()
	return ok && values[i] != "" && values[i] != schema.Null
}

func (t *TableOf[T]) now() time.Time { return t.db.clock() }
