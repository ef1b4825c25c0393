package afterwrite

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"gorm.io/gorm"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/internal/model"
	"github.com/afterwrite/afterwrite/schema"
)

// Registration is a model given to [Open]. Make one with [Model].
type Registration struct {
	typ     reflect.Type
	options []ModelOption
}

// ModelOption changes how the records of a model are kept.
type ModelOption func(*registered) error

// Model registers a gorm model. Its `afterwrite:"…"` tags say what gorm has no word for: min=,
// max=, redact, rank, name=, text.
func Model[T any](options ...ModelOption) Registration {
	return Registration{typ: reflect.TypeFor[T](), options: options}
}

// registered is a model with what its options said.
type registered struct {
	*model.Model
	entity *schema.Entity
	accept []func(ctx context.Context, record any) error
	within []func(ctx context.Context, tx *gorm.DB, changes []schema.Change) error
	after  []func(ctx context.Context, changes []schema.Change) error
}

// Named names the entity in paths, keys and metrics.
func Named(name string) ModelOption {
	return func(r *registered) error { r.entity.Name = name; return nil }
}

// Partitions is how many units flush ids side by side (16).
func Partitions(n int) ModelOption {
	return func(r *registered) error { r.entity.Partitions = n; return positive("Partitions", n) }
}

// CacheTTL sets how long a persisted record stays in Redis (1h).
func CacheTTL(d time.Duration) ModelOption {
	return func(r *registered) error { r.entity.Cache.TTL = d; return positive("CacheTTL", d) }
}

// RankBy ranks the records by an int or float field, the greatest first.
func RankBy(field string) ModelOption {
	return func(r *registered) error {
		i, ok := r.Field(field)
		if !ok {
			return fmt.Errorf("RankBy: %q is not a field", field)
		}
		r.entity.RankBy = r.Name(i)
		return nil
	}
}

// Retry sets the policy of refused records, until an operator changes it.
func Retry(p schema.RetryPolicy) ModelOption {
	return func(r *registered) error { r.entity.Retry = p; return nil }
}

// FlushDelay sets how long a write waits for others to join its row (0).
func FlushDelay(d time.Duration) ModelOption {
	return func(r *registered) error {
		r.entity.Flush.Delay = d
		if d < 0 {
			return errors.New("FlushDelay is negative")
		}
		return nil
	}
}

// WriteMode is [schema.WriteBehind], or WriteThrough or WriteAround.
func WriteMode(mode schema.WriteMode) ModelOption {
	return func(r *registered) error { r.entity.Write = mode; return nil }
}

// Tune changes what no other option does: batches, limits, queue, L1.
func Tune(fn func(e *schema.Entity)) ModelOption {
	return func(r *registered) error { fn(r.entity); return nil }
}

func positive[N int | time.Duration](name string, n N) error {
	if n <= 0 {
		return fmt.Errorf("%s must be positive", name)
	}
	return nil
}

// register maps the models and completes their entities.
func register(models []Registration, namer gormschema.Namer, dialect string) (
	map[reflect.Type]*registered, []*schema.Entity, error,
) {
	all := map[reflect.Type]*registered{}
	var entities []*schema.Entity
	var bad []error
	for _, m := range models {
		if m.typ == nil || all[m.typ] != nil {
			bad = append(bad, fmt.Errorf("model %v is given twice or empty: make it with Model[T]()", m.typ))
			continue
		}
		r, err := m.parse(namer)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		r.On(dialect)
		all[m.typ] = r
		entities = append(entities, r.entity)
	}
	if len(bad) > 0 {
		return nil, nil, errors.Join(bad...)
	}
	for _, r := range all {
		refer(r, all)
	}
	for i, e := range entities {
		if err := e.Init(); err != nil {
			return nil, nil, fmt.Errorf("model %s: %w", models[i].typ, err)
		}
	}
	return all, entities, nil
}

func (m Registration) parse(namer gormschema.Namer) (*registered, error) {
	parsed, err := model.Parse(m.typ, namer)
	if err != nil {
		return nil, err
	}
	r := &registered{Model: parsed, entity: parsed.Entity}
	for _, option := range m.options {
		if err := option(r); err != nil {
			return nil, fmt.Errorf("model %s: %w", m.typ, err)
		}
	}
	return r, nil
}

// refer names the entities that belongs-to fields refer to, where they are models here.
func refer(r *registered, all map[reflect.Type]*registered) {
	for i, typ := range r.References() {
		if to := all[typ]; to != nil {
			r.entity.Fields[i].References = to.entity.Name
		}
	}
}
