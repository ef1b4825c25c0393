package values

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/internal/flight"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

var (
	leaseScript = layout.Load(sources, "vlease")
	fillScript  = layout.Load(sources, "vfill")
	renewScript = layout.Load(sources, "vrenew")
)

// batch is keys that are loaded in one call: those of a LoadMany, or the one of a Load.
type batch[T any] struct {
	v     *Values[T]
	load  loader[T]
	wants []*want
}

// want is a key of a batch, and what became of it.
type want struct {
	k        valueKey
	unusable string // id of the entry that was found and is too old
	token    string // of the lease that was granted; "": none was
	stamp    int64  // of tags, before the load begins
	entry    *entry // found or loaded; nil: missing
	source   Source
}

// loader loads the values of some keys; of returns the value of each, if there is one.
type loader[T any] func(ctx context.Context, wants []*want) (of func(key string) (T, bool), err error)

// missing are the keys that are neither found nor loaded, in a slice of the caller's own.
func (b *batch[T]) missing() []*want {
	missing := make([]*want, 0, len(b.wants))
	for _, w := range b.wants {
		if w.entry == nil {
			missing = append(missing, w)
		}
	}
	return missing
}

// turn asks for the leases of the missing keys, and loads those that it gets. If it is late, or Redis does not respond,
// it loads without leases.
func (b *batch[T]) turn(ctx context.Context, late bool) (flight.Outcome, error) {
	granted, again, err := b.ask(ctx, b.missing())
	switch {
	case errors.Is(err, schema.ErrUnavailable):
		return flight.Done, b.bypass(ctx)
	case err != nil:
		return flight.Done, err
	case len(granted) > 0:
		if err := b.loadGranted(ctx, granted); err != nil {
			return flight.Done, err
		}
	case late && !again && !b.done():
		missing := b.missing()
		entries, err := b.call(ctx, missing)
		b.take(missing, entries, Missed)
		return flight.Done, err
	}
	switch {
	case b.done():
		return flight.Done, nil
	case again:
		return flight.Again, nil
	}
	return flight.Wait, nil
}

// done reports whether nothing is missing.
func (b *batch[T]) done() bool {
	return !slices.ContainsFunc(b.wants, func(w *want) bool { return w.entry == nil })
}

// bypass loads while Redis does not respond. Callers that want the same keys share a load.
func (b *batch[T]) bypass(ctx context.Context) error {
	missing := b.missing()
	name := "bypass " + b.v.p.Group + " " + strings.Join(names(missing), "\x00")
	loaded, _, err := b.v.on.loads.Do(ctx, name, b.v.life(), func(ctx context.Context) (any, error) {
		return b.call(ctx, missing)
	})
	entries, _ := loaded.([]*entry)
	b.take(missing, entries, Bypass)
	return err
}

func (b *batch[T]) take(wants []*want, entries []*entry, source Source) {
	for i := range entries {
		wants[i].entry, wants[i].source = entries[i], source
	}
}

// names are the keys of wants.
func names(wants []*want) []string {
	keys := make([]string, len(wants))
	for i, w := range wants {
		keys[i] = w.k.key
	}
	return keys
}

// ask asks for leases, and before a load may begin for the newest stamp, in one round trip though their slots differ.
// It returns what was granted, in the slice of wants. What was filled since the caller looked is taken if it is valid;
// again reports that some of it was not.
func (b *batch[T]) ask(ctx context.Context, wants []*want) (granted []*want, again bool, err error) {
	v := b.v
	calls := make([]*rdb.Call, len(wants), len(wants)+1)
	for i, w := range wants {
		w.token = newToken()
		calls[i] = leaseScript.Call(w.k.names(), w.token, layout.MS(v.p.Lease), w.unusable)
	}
	stamped := v.on.Tags.NewestCall()
	v.on.Redis.Send(ctx, append(calls, stamped)...)
	stamp, failed := v.on.Tags.NewestOf(stamped)
	granted = wants[:0]
	for i, w := range wants {
		got, stale, err := v.leased(ctx, w, calls[i])
		failed = cmp.Or(failed, err)
		again = again || stale
		if got {
			w.stamp = stamp
			granted = append(granted, w)
		}
	}
	if failed == nil && len(granted) > 0 {
		failed = v.on.Tags.Watch(ctx, v.p.Tags, v.longest())
	}
	if failed != nil {
		b.giveBack(ctx, granted)
		return nil, false, failed
	}
	return granted, again, nil
}

// leased reads the answer to one request for a lease. stale reports that another load has filled the value since the
// caller looked, and that a tag has invalidated what it filled, or that it is stale already.
func (v *Values[T]) leased(ctx context.Context, w *want, call *rdb.Call) (granted, stale bool, err error) {
	reply, err := call.Slice()
	if err != nil {
		return false, false, rdb.Fault("load", err)
	}
	switch layout.Text(reply[0]) {
	case "granted":
		return true, false, nil
	case "refused":
		return false, false, nil
	}
	raw := layout.Text(reply[1])
	life, _ := reply[2].(int64)
	if len(raw) < 2+entryID {
		return false, false, errEntry
	}
	found := []*entry{v.entry(ctx, w.k, []byte(raw), time.Duration(life)*time.Millisecond)}
	if err := v.dropInvalid(ctx, found, nil); err != nil {
		return false, false, err
	}
	if found[0] != nil && found[0].ttl() > 0 {
		w.entry, w.source = found[0], Hit
		return false, false, nil
	}
	w.unusable = raw[2 : 2+entryID]
	return false, true, nil
}

// life is the longest that a load, and what it needs of Redis, goes on.
func (v *Values[T]) life() time.Duration { return v.p.LoadTimeout + v.p.Lease }

// longest is the longest that an entry lives, unless its load says otherwise, from before
// the load begins.
func (v *Values[T]) longest() time.Duration {
	return v.life() + max(v.p.TTL, v.p.NegativeTTL) + max(v.p.Stale, v.p.StaleOnError)
}

// loadGranted loads keys in one call, and fills them under their leases.
func (b *batch[T]) loadGranted(ctx context.Context, wants []*want) error {
	defer b.keepLeases(ctx, wants)()
	entries, err := b.call(ctx, wants)
	if err != nil {
		b.giveBack(ctx, wants)
		return err
	}
	b.take(wants, entries, Missed)
	b.fill(ctx, wants)
	return nil
}

// call runs the loader and makes entries of what it returns. Those that are not to be cached have no time to live.
func (b *batch[T]) call(ctx context.Context, wants []*want) ([]*entry, error) {
	v, l := b.v, &loading{began: time.Now()}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, loadingKey{}, l), v.p.LoadTimeout)
	defer cancel()
	of, err := safely(ctx, v.on.Log, func(ctx context.Context) (func(string) (T, bool), error) {
		return b.load(ctx, wants)
	})
	cost := max(time.Since(l.began), time.Microsecond)
	if err != nil {
		v.on.metrics.loaded(v.p.Group, cost, "failed")
		return nil, fmt.Errorf("load value of %s: %w", v.p.Group, err)
	}
	entries, outcome := make([]*entry, len(wants)), "absent"
	for i, w := range wants {
		e := &entry{id: newToken()[:entryID], cost: cost}
		if value, ok := of(w.k.key); !ok {
			e.absent = true
		} else if e.body, err = v.encode(ctx, value); err == nil {
			outcome = "loaded"
		} else {
			break
		}
		v.finish(ctx, e, l)
		entries[i] = e
	}
	v.on.metrics.loaded(v.p.Group, cost, outcome)
	if err != nil {
		return nil, err
	}
	return entries, nil
}

// fill puts what was loaded into Redis, and gives back the leases of what is not to be cached.
func (b *batch[T]) fill(ctx context.Context, wants []*want) {
	v := b.v
	mark := v.local.Mark()
	calls := make([]*rdb.Call, len(wants))
	for i, w := range wants {
		w.entry.stamp = w.stamp
		var body []byte
		if w.entry.total > 0 {
			body = w.entry.encode()
		}
		calls[i] = fillScript.Call(w.k.names(), w.token, layout.MS(w.entry.total), body)
	}
	v.on.Redis.Send(ctx, calls...)
	for i, w := range wants {
		n, err := calls[i].Int()
		if err != nil {
			v.on.Log.DebugContext(ctx, "a value was not cached", "group", v.p.Group, "error", rdb.Fault("fill", err))
		}
		if n == 1 {
			w.source = Filled
			v.put(w.k.key, w.entry, mark)
		}
	}
}

// giveBack ends leases under which nothing will be filled, so that no caller waits for them.
func (b *batch[T]) giveBack(ctx context.Context, wants []*want) {
	v := b.v
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.Lease)
	defer cancel()
	calls := make([]*rdb.Call, len(wants))
	for i, w := range wants {
		calls[i] = fillScript.Call(w.k.names(), w.token, 0, "")
	}
	v.on.Redis.Send(ctx, calls...)
	for _, one := range calls {
		if err := one.Err(); err != nil {
			v.on.Log.DebugContext(ctx, "a lease was left to expire", "group", v.p.Group, "error", err)
		}
	}
}

// keepLeases renews leases while their load goes on, until stop.
func (b *batch[T]) keepLeases(ctx context.Context, wants []*want) (stop func()) {
	v := b.v
	ctx, cancel := context.WithCancel(ctx)
	var renew func()
	renew = func() {
		if ctx.Err() != nil {
			return
		}
		calls := make([]*rdb.Call, len(wants))
		for i, w := range wants {
			calls[i] = renewScript.Call([]string{w.k.lease}, w.token, layout.MS(v.p.Lease))
		}
		v.on.Redis.Send(ctx, calls...) // what is gone is not renewed, and what failed may be the next time
		time.AfterFunc(v.p.Lease/3, renew)
	}
	timer := time.AfterFunc(v.p.Lease/3, renew)
	return func() {
		cancel()
		timer.Stop()
	}
}

// refresh loads the next values of keys behind a caller that was answered the present ones. At most one refresh of a
// key runs in all processes, and maxRefreshes in this one.
func (b *batch[T]) refresh(ctx context.Context) {
	v := b.v
	keys := make([]string, len(b.wants))
	for i, w := range b.wants {
		keys[i] = w.k.value
	}
	v.on.behind(keys, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.life())
		defer cancel()
		granted, _, err := b.ask(ctx, b.wants)
		if err != nil || len(granted) == 0 {
			return // another has refreshed them or is about to, or Redis is down
		}
		if err := b.loadGranted(ctx, granted); err != nil {
			v.on.Log.WarnContext(ctx, "a refresh failed", "group", v.p.Group, "keys", len(granted), "error", err)
		}
	})
}

// instead returns stale entries in the place of an error, if the policy says so and there is one for each key. It looks
// again: what was stale before the load may have been invalidated meanwhile.
func (v *Values[T]) instead(ctx context.Context, keys []valueKey, failed error) ([]*entry, error) {
	if v.p.StaleOnError == 0 {
		return nil, failed
	}
	found, err := v.lookMany(ctx, keys)
	unfit := func(e *entry) bool { return e == nil || e.ttl() <= -v.p.StaleOnError }
	if err != nil || slices.ContainsFunc(found, unfit) {
		return nil, failed
	}
	v.on.Log.WarnContext(ctx, "a stale value stands in for a failed load", "group", v.p.Group, "keys", len(keys),
		"error", failed)
	return found, nil
}

// newToken returns a lease token, fresh for every load, so that a load that began before a lease was removed cannot be
// mistaken for one that began after the next lease was taken.
func newToken() string { return rand.Text() }
