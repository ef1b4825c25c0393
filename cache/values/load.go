package values

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/afterwrite/afterwrite/internal/rdb"
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
		a, err := v.miss(ctx, k, nil, called, load)
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
			v.refresh(ctx, k, e, load)
		}
		return v.answer(e, Hit)
	}
	if e != nil && e.ttl() > -v.p.Stale {
		v.refresh(ctx, k, e, load)
		return v.answer(e, Stale)
	}
	return v.miss(ctx, k, e, called, load)
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

// flight is the outcome of one load.
type flight struct {
	began  time.Time
	entry  *entry // what was found or loaded; nil where err is not
	source Source
	err    error
}

// miss loads a key that was not found, or whose entry (old) is too stale. The callers of
// one process share a load. A caller that joined a load which began before the call was
// made looks again when it has ended, as what it read may be older than what the caller
// has already seen the effect of; a load that began after the call is anybody's.
func (v *Values[T]) miss(ctx context.Context, k valueKey, old *entry, called time.Time, load Loading[T]) (Answer[T],
	error) {
	for {
		mine := false
		result := v.on.loads.DoChan(k.value, func() (any, error) {
			mine = true
			return v.fly(ctx, k, old, load), nil
		})
		select {
		case <-ctx.Done():
			return Answer[T]{}, ctx.Err()
		case r := <-result:
			f, ok := r.Val.(flight)
			if !ok {
				return Answer[T]{}, r.Err
			}
			if f.err != nil {
				return v.instead(ctx, k, f.err)
			}
			if f.began.After(called) {
				a, err := v.answer(f.entry, f.source)
				a.Joined = !mine
				return a, err
			}
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

// instead answers a stale value in the place of an error, where the policy says so. It
// looks again: what was stale before the load may have been invalidated meanwhile.
func (v *Values[T]) instead(ctx context.Context, k valueKey, failed error) (Answer[T], error) {
	if v.p.StaleOnError == 0 {
		return Answer[T]{}, failed
	}
	e, err := v.look(ctx, k)
	if err != nil || e == nil || e.ttl() <= -v.p.StaleOnError {
		return Answer[T]{}, failed
	}
	v.on.Log.WarnContext(ctx, "a stale value stands in for a failed load", "group", v.p.Group, "error", failed)
	return v.answer(e, Stale)
}

// fly takes the lease of a value, or waits for the load that has it, and loads. It outlives the
// caller that began it: others may wait for it.
func (v *Values[T]) fly(ctx context.Context, k valueKey, old *entry, load Loading[T]) flight {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.LoadTimeout+v.p.Lease)
	defer cancel()
	f := flight{began: time.Now()}
	until := f.began.Add(v.p.LoadTimeout)
	unusable := ""
	if old != nil {
		unusable = old.id
	}
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		grant, found, err := v.askLease(ctx, k, unusable)
		switch {
		case errors.Is(err, schema.ErrUnavailable):
			return v.bypass(ctx, f, load)
		case err != nil:
			f.err = err
			return f
		case found != nil && found.ttl() > 0:
			f.entry, f.source = found, Hit
			return f
		case found != nil:
			unusable = found.id // another load filled it, and it is stale already
			continue
		case grant != nil:
			f.entry, f.source, f.err = v.loadUnder(ctx, k, grant, load)
			return f
		case time.Now().After(until):
			f.entry, f.source, f.err = v.loadUnder(ctx, k, nil, load)
			return f
		}
		if f.err = rdb.Sleep(ctx, pause); f.err != nil {
			return f
		}
	}
}

// bypass loads while Redis does not answer.
func (v *Values[T]) bypass(ctx context.Context, f flight, load Loading[T]) flight {
	f.entry, _, f.err = v.call(ctx, &loading{}, load)
	f.source = Bypass
	return f
}

// refresh loads the next value behind a caller that was answered the present one. At most
// one refresh of a key runs in all processes, and maxRefreshes in this one.
func (v *Values[T]) refresh(ctx context.Context, k valueKey, old *entry, load Loading[T]) {
	v.on.behind([]string{k.value}, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.LoadTimeout+v.p.Lease)
		defer cancel()
		grant, _, err := v.askLease(ctx, k, old.id)
		if err != nil || grant == nil {
			return // another has refreshed it or is about to, or Redis is down
		}
		if _, _, err = v.loadUnder(ctx, k, grant, load); err != nil {
			v.on.Log.WarnContext(ctx, "a refresh failed", "group", v.p.Group, "error", err)
		}
	})
}
