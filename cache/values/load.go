package values

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/afterwrite/afterwrite/cache/internal/flight"
	"github.com/afterwrite/afterwrite/schema"
)

// Source says where a value was found.
type Source string

// The sources of a value.
const (
	Local  Source = "local"  // in this process
	Hit    Source = "hit"    // in Redis
	Stale  Source = "stale"  // in Redis, past its TTL: see Policy.Stale and Policy.StaleOnError
	Filled Source = "filled" // loaded, and now in Redis
	Missed Source = "missed" // loaded; not put into Redis
	Bypass Source = "bypass" // loaded, because Redis does not respond
)

// Loading loads the value of a key that is not cached. [schema.ErrNotFound] says that
// there is none. Its context is not that of the caller: it ends after Policy.LoadTimeout,
// and not when a caller gives up, since others may wait for the load.
type Loading[T any] func(ctx context.Context) (T, error)

// Answer is a value and where it was found.
type Answer[T any] struct {
	Value  T
	Source Source
	Age    time.Duration // since it was put into Redis; 0 where it was loaded
	TTL    time.Duration // left until it is stale; 0 where it is stale, or not cached
	Joined bool          // the load was begun for another caller of this process
}

// Load returns the value of a key: from the cache, or else from load, of which at most
// one runs for a key in all processes. What it returns is never older than a change that
// was over before the call began: a Set, a Delete, an invalidation of the key, a pattern or
// a tag. (Policy.L1 and Redis down are the exceptions; see there and [Bypass].)
//
// While Redis does not answer, load is called directly, once at a time for a key in this
// process. Errors: those of load, [schema.ErrNotFound] where there is no value, and
// that of a context that ended, which fails no other caller.
func (v *Values[T]) Load(ctx context.Context, key string, load Loading[T]) (T, error) {
	a, err := v.Read(ctx, key, load)
	return a.Value, err
}

// Read is [Values.Load] that tells where the value was found.
func (v *Values[T]) Read(ctx context.Context, key string, load Loading[T]) (Answer[T], error) {
	a, err := v.read(ctx, key, load)
	if err == nil || errors.Is(err, schema.ErrNotFound) {
		v.on.metrics.reads.WithLabelValues(v.p.Group, string(a.Source)).Inc()
	}
	return a, err
}

func (v *Values[T]) read(ctx context.Context, key string, load Loading[T]) (Answer[T], error) {
	k, err := v.key(key)
	if err != nil {
		return Answer[T]{}, err
	}
	if a, err, ok := v.readLocal(k); ok {
		return a, err
	}
	called := time.Now()
	if v.missed.Many() && v.p.Stale == 0 && v.p.Early == 0 { // the request for the lease looks, too
		a, err := v.miss(ctx, k, "", called, load)
		v.missed.Add(a.Source != Hit)
		return a, err
	}
	e, err := v.look(ctx, k)
	if err != nil && !errors.Is(err, schema.ErrUnavailable) {
		return Answer[T]{}, err
	}
	v.missed.Add(e == nil)
	if e != nil && e.ttl() > 0 {
		if v.early(e) {
			v.one(k, e.id, load).refresh(ctx)
		}
		return v.answer(e, Hit)
	}
	if e != nil && e.ttl() > -v.p.Stale {
		v.one(k, e.id, load).refresh(ctx)
		return v.answer(e, Stale)
	}
	unusable := ""
	if e != nil {
		unusable = e.id
	}
	return v.miss(ctx, k, unusable, called, load)
}

// early draws whether to load again before the TTL ends: the XFetch rule of Vattani,
// Chierichetti and Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", 2015.
func (v *Values[T]) early(e *entry) bool {
	if v.p.Early == 0 {
		return false
	}
	gap := float64(e.cost) * v.p.Early * -math.Log(1-rand.Float64())
	return gap >= float64(e.ttl())
}

func (v *Values[T]) answer(e *entry, source Source) (Answer[T], error) {
	a := Answer[T]{Source: source, Age: e.age(), TTL: max(e.ttl(), 0)}
	if e.absent {
		return a, fmt.Errorf("value of %s: %w", v.p.Group, schema.ErrNotFound)
	}
	if value, ok := e.spare.take().(*T); ok {
		a.Value = *value
		return a, nil
	}
	var err error
	a.Value, err = v.decode(e)
	return a, err
}

// landed is the outcome of one load.
type landed struct {
	began  time.Time
	entry  *entry // what was found or loaded
	source Source
}

// miss loads a key that was not found, or whose entry is too stale and has the id unusable. The callers of
// one process share a load. A caller that joined a load which began before the call was
// made looks again when it has ended, as what it read may be older than what the caller
// has already seen the effect of; a load that began after the call serves every caller.
func (v *Values[T]) miss(ctx context.Context, k valueKey, unusable string, called time.Time,
	load Loading[T]) (Answer[T], error) {
	for {
		loaded, mine, err := v.on.loads.Do(ctx, k.value, v.life(), func(ctx context.Context) (any, error) {
			return v.fly(ctx, k, unusable, load)
		})
		if ctx.Err() != nil {
			return Answer[T]{}, ctx.Err()
		}
		if err != nil {
			stale, err := v.instead(ctx, []valueKey{k}, err)
			if err != nil {
				return Answer[T]{}, err
			}
			return v.answer(stale[0], Stale)
		}
		if l := loaded.(landed); l.began.After(called) {
			a, err := v.answer(l.entry, l.source)
			a.Joined = !mine
			return a, err
		}
		e, err := v.look(ctx, k)
		if err != nil && !errors.Is(err, schema.ErrUnavailable) {
			return Answer[T]{}, err
		}
		if e != nil && e.ttl() > 0 {
			return v.answer(e, Hit)
		}
	}
}

// fly takes the lease of a value, or waits for the load that has it, and loads.
func (v *Values[T]) fly(ctx context.Context, k valueKey, unusable string, load Loading[T]) (landed, error) {
	began := time.Now()
	b := v.one(k, unusable, load)
	err := flight.Run(ctx, v.p.LoadTimeout, b.turn)
	return landed{began, b.wants[0].entry, b.wants[0].source}, err
}

// one is the batch of one key.
func (v *Values[T]) one(k valueKey, unusable string, load Loading[T]) *batch[T] {
	one := &struct {
		batch[T]
		want want
		list [1]*want
	}{batch[T]{v: v}, want{k: k, unusable: unusable}, [1]*want{}} // in one piece, for a miss allocates enough
	one.list[0] = &one.want
	one.wants = one.list[:]
	one.load = func(ctx context.Context, _ []*want) (func(string) (T, bool), error) {
		value, err := load(ctx)
		if errors.Is(err, schema.ErrNotFound) {
			return func(string) (none T, _ bool) { return none, false }, nil
		}
		return func(string) (T, bool) { return value, true }, err
	}
	return &one.batch
}
