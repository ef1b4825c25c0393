package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite"
)

// The sources of a value, beside those of a record.
const (
	Stale Source = "stale" // in Redis, past its TTL: see Policy.Stale and Policy.StaleOnError
	Local Source = "local" // in this process
)

// Loading loads the value of a key that is not cached. [afterwrite.ErrNotFound] says that
// there is none. Its context is not that of the caller: it ends after Policy.LoadTimeout,
// and not when a caller gives up, since others may wait for the load.
type Loading[T any] func(ctx context.Context) (T, error)

// Answer is a value and where it was found.
type Answer[T any] struct {
	Value  T
	Source Source
	Age    time.Duration // since it was put into Redis; 0 where it was loaded
	TTL    time.Duration // left until it is stale; 0 where it is stale, or not cached
}

// Load returns the value of a key: from the cache, or else from load, of which at most
// one runs for a key in all processes. What it returns is never older than a change that
// was over before the call began: a Set, a Delete, an invalidation of the key, a pattern or
// a tag. (Policy.L1 and Redis down are the exceptions; see there and [Bypass].)
//
// While Redis does not answer, load is called directly, once at a time for a key in this
// process. Errors: those of load, [afterwrite.ErrNotFound] where there is no value, and
// that of a context that ended, which fails nobody else.
func (v *Values[T]) Load(ctx context.Context, key string, load Loading[T]) (T, error) {
	a, err := v.Read(ctx, key, load)
	return a.Value, err
}

// Read is [Values.Load] that tells where the value was found.
func (v *Values[T]) Read(ctx context.Context, key string, load Loading[T]) (Answer[T], error) {
	a, err := v.read(ctx, key, load)
	if err == nil || errors.Is(err, afterwrite.ErrNotFound) {
		v.cache.values.reads.WithLabelValues(v.p.Group, string(a.Source)).Inc()
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
	e, err := v.look(ctx, k)
	if err != nil && !errors.Is(err, afterwrite.ErrUnavailable) {
		return Answer[T]{}, err
	}
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

// early draws whether to load anew before the TTL ends: the XFetch rule of Vattani,
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
		return a, fmt.Errorf("value of %s: %w", v.p.Group, afterwrite.ErrNotFound)
	}
	var err error
	a.Value, err = v.decode(e)
	return a, err
}

// look reads the entry of a key. It returns nil for a miss, and for an entry that a tag
// has invalidated or that cannot be read. Callers may share it: it is not to be changed.
func (v *Values[T]) look(ctx context.Context, k valueKey) (*entry, error) {
	return v.cache.glances.do(ctx, k.value, func(ctx context.Context) (*entry, error) {
		found, err := v.lookMany(ctx, []valueKey{k})
		if err != nil {
			return nil, err
		}
		return found[0], nil
	})
}

func (v *Values[T]) lookMany(ctx context.Context, keys []valueKey) ([]*entry, error) {
	mark := v.local.mark()
	p := v.cache.redis.Pipeline()
	bodies, lives := make([]*redis.StringCmd, len(keys)), make([]*redis.DurationCmd, len(keys))
	for i, k := range keys {
		bodies[i], lives[i] = p.Get(ctx, k.value), p.PTTL(ctx, k.value)
	}
	var stamps *redis.FloatSliceCmd
	declared := tagNames(v.p.Tags)
	if len(declared) > 0 || v.tagged.Load() {
		stamps = v.cache.askStamps(ctx, p, declared)
	}
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fault("load", err)
	}
	known := readStamps(stamps, declared)
	found := make([]*entry, len(keys))
	for i, k := range keys {
		text, err := bodies[i].Bytes()
		if err != nil {
			continue
		}
		found[i] = v.entry(ctx, k, text, lives[i].Val())
	}
	if err := v.dropInvalid(ctx, found, known); err != nil {
		return nil, err
	}
	for i, e := range found {
		if e != nil && e.ttl() > 0 {
			v.local.put(keys[i].key, e, mark)
		}
	}
	return found, nil
}

// entry reads what Redis has, or nil: another version of the program may have written it.
func (v *Values[T]) entry(ctx context.Context, k valueKey, text []byte, life time.Duration) *entry {
	e, err := decodeEntry(text)
	if err != nil {
		v.cache.log.DebugContext(ctx, "a cached value is loaded anew", "group", v.p.Group, "error", err)
		return nil
	}
	if !e.absent {
		if _, err := v.decode(e); err != nil {
			v.cache.log.WarnContext(ctx, "a cached value is loaded anew", "group", v.p.Group, "error", err)
			return nil
		}
	}
	e.life = max(life, 0)
	return e
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
func (v *Values[T]) miss(ctx context.Context, k valueKey, old *entry, called time.Time, load Loading[T]) (Answer[T], error) {
	for {
		result := v.cache.loads.DoChan(k.value, func() (any, error) { return v.fly(ctx, k, old, load), nil })
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
				return v.answer(f.entry, f.source)
			}
		}
		e, err := v.look(ctx, k)
		if err != nil && !errors.Is(err, afterwrite.ErrUnavailable) {
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
	v.cache.log.WarnContext(ctx, "a stale value stands in for a failed load", "group", v.p.Group, "error", failed)
	return v.answer(e, Stale)
}

// fly takes the lease of a value, or waits for whoever has it, and loads. It outlives the
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
		case errors.Is(err, afterwrite.ErrUnavailable):
			return v.bypass(ctx, f, load)
		case err != nil:
			f.err = err
			return f
		case found != nil && found.ttl() > 0:
			f.entry, f.source = found, Hit
			return f
		case found != nil:
			unusable = found.id // somebody filled it, and it is over already
			continue
		case grant != nil:
			f.entry, f.source, f.err = v.loadUnder(ctx, k, grant, load)
			return f
		case time.Now().After(until):
			f.entry, f.source, f.err = v.loadUnder(ctx, k, nil, load)
			return f
		}
		if f.err = sleep(ctx, pause); f.err != nil {
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
	v.cache.behind([]string{k.value}, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.LoadTimeout+v.p.Lease)
		defer cancel()
		grant, _, err := v.askLease(ctx, k, old.id)
		if err != nil || grant == nil {
			return // another has refreshed it or is about to, or Redis is down
		}
		if _, _, err = v.loadUnder(ctx, k, grant, load); err != nil {
			v.cache.log.WarnContext(ctx, "a refresh failed", "group", v.p.Group, "error", err)
		}
	})
}

// grant is the right to fill one value.
type grant struct {
	token string
	stamp int64 // of tags, before the load begins
}

// askLease asks for the right to fill a value. It returns the grant; or what was filled
// since the caller looked, if that is valid; or neither, where another has the right.
func (v *Values[T]) askLease(ctx context.Context, k valueKey, unusable string) (*grant, *entry, error) {
	for {
		token := newToken()
		reply, stamp, err := v.cache.leaseAndStamp(ctx, k, token, v.p.Lease, unusable)
		if err != nil {
			return nil, nil, err
		}
		switch answer, _ := reply[0].(string); answer {
		case "granted":
			if err := v.cache.watch(ctx, v.p.Tags, v.longest()); err != nil {
				v.giveBack(ctx, k, token)
				return nil, nil, err
			}
			return &grant{token, stamp}, nil, nil
		case "refused":
			return nil, nil, nil
		}
		raw, _ := reply[1].(string)
		life, _ := reply[2].(int64)
		found := []*entry{v.entry(ctx, k, []byte(raw), time.Duration(life)*time.Millisecond)}
		if err := v.dropInvalid(ctx, found, nil); err != nil {
			return nil, nil, err
		}
		if found[0] != nil {
			return nil, found[0], nil
		}
		if len(raw) < 2+entryID {
			return nil, nil, errEntry
		}
		unusable = raw[2 : 2+entryID]
	}
}

// longest is the longest that an entry lives, unless its load says otherwise, from before
// the load begins.
func (v *Values[T]) longest() time.Duration {
	return v.p.LoadTimeout + v.p.Lease + max(v.p.TTL, v.p.NegativeTTL) + max(v.p.Stale, v.p.StaleOnError)
}

// loadUnder loads, and fills under the grant if there is one.
func (v *Values[T]) loadUnder(ctx context.Context, k valueKey, g *grant, load Loading[T]) (*entry, Source, error) {
	l := &loading{}
	if g != nil {
		l.stamped = true
		stop := v.keepLease(ctx, k, g.token)
		defer stop()
	}
	e, kept, err := v.call(ctx, l, load)
	if err != nil || g == nil || !kept {
		if g != nil {
			v.giveBack(ctx, k, g.token)
		}
		return e, Missed, err
	}
	e.stamp = g.stamp
	mark := v.local.mark()
	filled, err := v.fill(ctx, k, g.token, e)
	if err != nil {
		v.cache.log.DebugContext(ctx, "a value was not cached", "group", v.p.Group, "error", err)
		return e, Missed, nil
	}
	if !filled {
		return e, Missed, nil
	}
	v.local.put(k.key, e, mark)
	return e, Filled, nil
}

func (v *Values[T]) fill(ctx context.Context, k valueKey, token string, e *entry) (bool, error) {
	n, err := v.cache.runInt(ctx, vfillScript, k.names(), token, ms(e.total), e.encode())
	return n == 1, err
}

// giveBack ends a lease under which nothing will be filled, so that nobody waits for it.
func (v *Values[T]) giveBack(ctx context.Context, k valueKey, token string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.Lease)
	defer cancel()
	if _, err := v.cache.runInt(ctx, vfillScript, k.names(), token, 0, ""); err != nil {
		v.cache.log.DebugContext(ctx, "a lease was left to expire", "group", v.p.Group, "error", err)
	}
}

// keepLease renews a lease while its load goes on, until stop.
func (v *Values[T]) keepLease(ctx context.Context, k valueKey, token string) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var renew func()
	renew = func() {
		if ctx.Err() != nil {
			return
		}
		n, err := v.cache.runInt(ctx, vrenewScript, []string{k.lease}, token, ms(v.p.Lease))
		if n == 1 || errors.Is(err, afterwrite.ErrUnavailable) {
			time.AfterFunc(v.p.Lease/3, renew)
		}
	}
	timer := time.AfterFunc(v.p.Lease/3, renew)
	return func() {
		cancel()
		timer.Stop()
	}
}

// call runs the loader and makes an entry of what it returns. kept is false where the
// entry is not to be cached.
func (v *Values[T]) call(ctx context.Context, l *loading, load Loading[T]) (e *entry, kept bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, loadingKey{}, l), v.p.LoadTimeout)
	defer cancel()
	l.began = time.Now()
	value, err := safely(ctx, v.cache.log, load)
	cost := max(time.Since(l.began), time.Microsecond)
	v.cache.values.loaded(v.p.Group, cost, err)
	e = &entry{id: newToken()[:entryID], cost: cost}
	switch {
	case errors.Is(err, afterwrite.ErrNotFound):
		e.absent = true
	case err != nil:
		return nil, false, fmt.Errorf("load value of %s: %w", v.p.Group, err)
	default:
		if e.body, err = v.encode(ctx, value); err != nil {
			return nil, false, err
		}
	}
	return e, v.finish(ctx, e, l), nil
}

// finish gives an entry its life and tags and packs it. It returns false where it is not
// to be cached.
func (v *Values[T]) finish(ctx context.Context, e *entry, l *loading) bool {
	e.size = len(e.body)
	v.cache.sized(ctx, &v.p, e.size)
	ttl, added := l.end(v.p.TTL)
	e.tags = tagNames(v.p.Tags, added)
	if e.absent {
		ttl = min(v.p.NegativeTTL, ttl)
	} else if v.p.Jitter > 0 {
		ttl -= time.Duration(rand.Float64() * v.p.Jitter * float64(ttl))
	}
	e.fresh, e.total = ttl, ttl
	if !e.absent {
		e.total += max(v.p.Stale, v.p.StaleOnError)
	}
	if len(added) > 0 {
		v.tagged.Store(true)
	}
	watched := added
	if ttl > v.p.TTL { // the watch of the policy's own tags ends sooner
		watched = slices.Concat(v.p.Tags, added)
	}
	if ttl < time.Millisecond || e.size > v.p.MaxSize || len(e.tags) > 2*MaxValueTags ||
		!v.cache.watching(ctx, watched, l.began, e.total+v.p.Lease) {
		e.fresh, e.total = 0, 0
		return false
	}
	e.life = e.total
	if v.p.CompressAbove > 0 && e.size >= v.p.CompressAbove {
		e.pack()
	}
	return true
}

// safely keeps a panic of the loader, or of a codec, from ending the process: it is on no
// caller's stack.
func safely[T any](ctx context.Context, log *slog.Logger, load Loading[T]) (value T, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.ErrorContext(ctx, "a loader panicked", "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("loader panicked: %v", p)
		}
	}()
	return load(ctx)
}
