package afterwrite

import (
	"context"
	"fmt"
	"net/http"
	"reflect"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Flushed is a change of a record that a flush writes or has written.
type Flushed[T any] struct {
	ID      string // in canonical text
	Version Version
	Deleted bool // Value has its key alone
	Value   T
}

// BeforeAccept runs fn on the record as a write would leave it, a Delete as it is.
// fn may change it, but not its key, and run again. Its error rejects the write.
func BeforeAccept[T any](fn func(ctx context.Context, record *T) error) ModelOption {
	return hook[T]("BeforeAccept", func(r *registered) {
		r.accept = append(r.accept, func(ctx context.Context, record any) error { return fn(ctx, record.(*T)) })
	})
}

// Operation is what a hook is for: put, create, patch, increment or delete.
func Operation(ctx context.Context) string {
	op, _ := ctx.Value(operation{}).(cache.Op)
	return string(op)
}

type operation struct{}

func withOperation(ctx context.Context, op cache.Op) context.Context {
	return context.WithValue(ctx, operation{}, op)
}

// InTransaction runs fn in the transaction of a flush, after the rows. Its error
// is a refusal: halves are tried until the records at fault are found.
func InTransaction[T any](fn func(ctx context.Context, tx *gorm.DB, changes []Flushed[T]) error) ModelOption {
	return hook[T]("InTransaction", func(r *registered) {
		r.within = append(r.within, func(ctx context.Context, tx *gorm.DB, changes []schema.Change) error {
			flushed, err := flushedOf[T](r, changes)
			if err != nil {
				return err
			}
			return fn(ctx, tx, flushed)
		})
	})
}

// AfterPersist runs fn in Work behind the commit, at least once for each version
// that became a row. After its error the records are written again.
func AfterPersist[T any](fn func(ctx context.Context, changes []Flushed[T]) error) ModelOption {
	return hook[T]("AfterPersist", func(r *registered) {
		r.after = append(r.after, func(ctx context.Context, changes []schema.Change) error {
			flushed, err := flushedOf[T](r, changes)
			if err != nil {
				return err
			}
			return fn(ctx, flushed)
		})
	})
}

func hook[T any](name string, add func(r *registered)) ModelOption {
	return func(r *registered) error {
		if typ := reflect.TypeFor[T](); typ != r.Schema.ModelType {
			return fmt.Errorf("%s takes a %s", name, typ)
		}
		add(r)
		return nil
	}
}

func flushedOf[T any](r *registered, changes []schema.Change) ([]Flushed[T], error) {
	flushed := make([]Flushed[T], len(changes))
	for i, c := range changes {
		f := &flushed[i]
		f.ID, f.Version, f.Deleted = c.ID, c.Version, c.Deleted
		at, err := reflect.ValueOf(&f.Value), error(nil)
		switch {
		case c.Deleted:
			err = r.SetID(at, c.ID)
		case len(c.Row) > 0:
			err = r.Record(at, c.ID, c.Row)
		default:
			err = r.Record(at, c.ID, c.Values)
		}
		if err != nil {
			return nil, err
		}
	}
	return flushed, nil
}

// before runs the hooks before acceptance.
func (r *registered) before(ctx context.Context, op cache.Op, record any) error {
	if Operation(ctx) == "" {
		ctx = withOperation(ctx, op)
	}
	for _, fn := range r.accept {
		if err := fn(ctx, record); err != nil {
			return rejected(err)
		}
	}
	return nil
}

// rejected is an error of a hook, as it is, which the HTTP API answers with 422 where it has
// no other word for it.
func rejected(err error) error {
	if problem.Of(err).Code != http.StatusInternalServerError {
		return err
	}
	return &rejection{err}
}

type rejection struct{ error }

func (r *rejection) Unwrap() []error {
	return []error{r.error, schema.Invalid("record", "%s", r.Error())}
}

// beforeValues runs them for a write that does not come with a struct.
func (r *registered) beforeValues(ctx context.Context, op cache.Op, id string, values schema.Values) (schema.Values,
	error) {
	record := reflect.New(r.Schema.ModelType)
	if err := r.Record(record, id, values); err != nil {
		return nil, err
	}
	if err := r.before(ctx, op, record.Interface()); err != nil || op == cache.OpDelete {
		return values, err
	}
	if now, err := r.ID(record); err != nil || now != id {
		return nil, errKeyChanged
	}
	after, err := r.Fields(record)
	if err != nil {
		return nil, err
	}
	return r.merge(values, after)
}

// merge is a record's values with those of the fields that its struct holds.
func (r *registered) merge(values schema.Values, fields schema.Fields) (schema.Values, error) {
	whole, err := r.entity.Partial(fields)
	if err != nil {
		return nil, err
	}
	for i, text := range whole {
		if text == "" {
			whole[i] = values[i]
		}
	}
	return whole, nil
}

var errKeyChanged = schema.Invalid("id", "cannot be changed: write another record and delete this one")

// hooks gives the hooks of models to the parts that run them.
func (db *DB) hooks(over *process.Over) error {
	over.Before = map[string]producer.Before{}
	over.Hooks = map[string]store.Hook{}
	over.Persisted = map[string]func(context.Context, []schema.Change) error{}
	for _, r := range db.models {
		name := r.entity.Name
		if len(r.accept) > 0 {
			over.Before[name] = r.beforeValues
		}
		if len(r.within) > 0 {
			over.Hooks[name] = func(ctx context.Context, tx *gorm.DB, changes []schema.Change) error {
				return r.withinTransaction(ctx, db.session(ctx, tx), changes)
			}
		}
		if len(r.after) == 0 {
			continue
		}
		if r.entity.Write != schema.WriteBehind {
			return fmt.Errorf("model %s: AfterPersist is for records that are written behind", r.Schema.ModelType)
		}
		over.Persisted[name] = r.afterPersist
	}
	return nil
}

// session is a transaction as the program's own gorm sees it, where it was given.
func (db *DB) session(ctx context.Context, tx *gorm.DB) *gorm.DB {
	if db.gorm == nil {
		return tx
	}
	own := db.gorm.Session(&gorm.Session{NewDB: true, Context: ctx, SkipDefaultTransaction: true})
	own.Statement.ConnPool = tx.Statement.ConnPool
	return own
}

func (r *registered) withinTransaction(ctx context.Context, tx *gorm.DB, changes []schema.Change) error {
	for _, fn := range r.within {
		if err := fn(ctx, tx, changes); err != nil {
			return err
		}
	}
	return nil
}

// afterPersist takes a panic for an error, so that it is no end of other flushes.
func (r *registered) afterPersist(ctx context.Context, changes []schema.Change) (err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("AfterPersist of %s: panic: %v", r.entity.Name, caught)
		}
	}()
	for _, fn := range r.after {
		if err := fn(ctx, changes); err != nil {
			return err
		}
	}
	return nil
}
