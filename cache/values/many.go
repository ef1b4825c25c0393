package values

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// LoadingMany loads the values of keys that are not cached. A key that is not in its
// answer has no value. Its context is as that of a [Loading].
type LoadingMany[T any] func(ctx context.Context, missing []string) (map[string]T, error)

// LoadMany is [Values.Load] for many keys: one round trip for those that are cached, one
// call of load for those that are not, but for keys that other callers are loading: it
// waits for those. What is refreshed behind it, early or stale, is one call, too. Where
// load fails, stale values stand in if there is one for each key that it was to load. A
// key without a value is not in the answer. The number of keys is the caller's to bound.
func (v *Values[T]) LoadMany(ctx context.Context, keys []string, load LoadingMany[T]) (map[string]T, error) {
	m, err := v.newMany(keys, load)
	if err != nil {
		return nil, err
	}
	if err := m.look(ctx); err != nil {
		return nil, err
	}
	for pause := time.Millisecond; len(m.missing) > 0; pause = min(2*pause, 50*time.Millisecond) {
		err := v.detached(ctx, m.turn)
		if ctx.Err() != nil {
			return nil, ctx.Err() // the turn may go on: m is its own
		}
		if err != nil {
			err = m.instead(ctx, err)
		}
		if err != nil {
			return nil, err
		}
		if len(m.missing) == 0 {
			break
		}
		if err := rdb.Sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
	return m.values, nil
}

// many is one call of LoadMany.
type many[T any] struct {
	v       *Values[T]
	load    LoadingMany[T]
	until   time.Time // no longer does it wait for others
	values  map[string]T
	missing map[string]*wanted
	behind  bool // it refreshes, and no caller reads what it loads
}

// wanted is a key that is not answered yet.
type wanted struct {
	k        valueKey
	unusable string // id of the entry that was found and is too old
}

func (v *Values[T]) newMany(keys []string, load LoadingMany[T]) (*many[T], error) {
	m := &many[T]{v: v, load: load, until: time.Now().Add(v.p.LoadTimeout), values: make(map[string]T, len(keys)),
		missing: make(map[string]*wanted, len(keys))}
	for _, key := range keys {
		k, err := v.key(key)
		if err != nil {
			return nil, err
		}
		m.missing[key] = &wanted{k: k}
	}
	return m, nil
}

// look takes what is in this process and in Redis.
func (m *many[T]) look(ctx context.Context) error {
	var keys []valueKey
	for _, w := range m.missing {
		e, ok := m.v.found(w.k.key)
		if !ok {
			keys = append(keys, w.k)
			continue
		}
		if err := m.take(w.k, &e, Local); err != nil {
			return err
		}
	}
	if len(keys) == 0 {
		return nil
	}
	found, err := m.v.lookMany(ctx, keys)
	if errors.Is(err, schema.ErrUnavailable) {
		return nil // the next step finds that out, and loads them all
	}
	if err != nil {
		return err
	}
	again := map[string]*wanted{}
	for i, e := range found {
		switch {
		case e == nil:
		case e.ttl() > 0:
			if m.v.early(e) {
				again[keys[i].key] = &wanted{keys[i], e.id}
			}
			err = m.take(keys[i], e, Hit)
		case e.ttl() > -m.v.p.Stale:
			again[keys[i].key] = &wanted{keys[i], e.id}
			err = m.take(keys[i], e, Stale)
		default:
			m.missing[keys[i].key].unusable = e.id
		}
		if err != nil {
			return err
		}
	}
	m.refresh(ctx, again)
	return nil
}

// refresh loads the next values of keys behind the caller, in one call.
func (m *many[T]) refresh(ctx context.Context, again map[string]*wanted) {
	names := make([]string, 0, len(again))
	for _, w := range again {
		names = append(names, w.k.value)
	}
	v := m.v
	v.on.behind(names, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.LoadTimeout+v.p.Lease)
		defer cancel()
		next := &many[T]{v: v, load: m.load, values: map[string]T{}, missing: again, behind: true}
		grants, err := next.grants(ctx) // what is not granted another refreshes, or has
		if err == nil && len(grants) > 0 {
			err = next.loadAll(ctx, slices.Collect(maps.Keys(grants)), grants, Filled)
		}
		if err != nil && !errors.Is(err, schema.ErrUnavailable) {
			v.on.Log.WarnContext(ctx, "a refresh failed", "group", v.p.Group, "keys", len(again), "error", err)
		}
	})
}

// instead answers stale values in the place of an error, as [Values.instead] does.
func (m *many[T]) instead(ctx context.Context, failed error) error {
	var keys []valueKey
	for _, w := range m.missing {
		keys = append(keys, w.k)
	}
	if m.v.p.StaleOnError == 0 {
		return failed
	}
	found, err := m.v.lookMany(ctx, keys)
	if err != nil || slices.ContainsFunc(found, func(e *entry) bool {
		return e == nil ||
			e.ttl() <= -m.v.p.StaleOnError
	}) {
		return failed
	}
	m.v.on.Log.WarnContext(ctx, "stale values stand in for a failed load", "group", m.v.p.Group, "keys", len(keys),
		"error", failed)
	for i, e := range found {
		if err := m.take(keys[i], e, Stale); err != nil {
			return err
		}
	}
	return nil
}

func (m *many[T]) take(k valueKey, e *entry, source Source) error {
	delete(m.missing, k.key)
	if m.behind {
		return nil
	}
	m.v.on.metrics.reads.WithLabelValues(m.v.p.Group, string(source)).Inc()
	a, err := m.v.answer(e, source)
	if errors.Is(err, schema.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m.values[k.key] = a.Value
	return nil
}

// detached runs do so that a caller who gives up does not end it: others may wait for
// what it loads.
func (v *Values[T]) detached(ctx context.Context, do func(context.Context) error) error {
	done := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), v.p.LoadTimeout+v.p.Lease)
		defer cancel()
		done <- do(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// turn asks for the leases of the missing keys and loads those it gets. What others hold
// stays missing, until the caller has waited long enough.
func (m *many[T]) turn(ctx context.Context) error {
	grants, err := m.grants(ctx)
	if errors.Is(err, schema.ErrUnavailable) {
		return m.loadAll(ctx, m.keys(), nil, Bypass)
	}
	if err != nil {
		return err
	}
	if len(grants) == 0 && time.Now().After(m.until) {
		return m.loadAll(ctx, m.keys(), nil, Missed)
	}
	if len(grants) == 0 {
		return nil
	}
	return m.loadAll(ctx, slices.Collect(maps.Keys(grants)), grants, Filled)
}

func (m *many[T]) keys() []string { return slices.Collect(maps.Keys(m.missing)) }

// grants asks for all leases in one round trip, and takes what was filled meanwhile.
func (m *many[T]) grants(ctx context.Context) (map[string]*grant, error) {
	v := m.v
	stamp, err := v.on.Tags.Newest(ctx)
	if err != nil {
		return nil, err
	}
	if err := v.on.Tags.Watch(ctx, v.p.Tags, v.longest()); err != nil {
		return nil, err
	}
	keys := m.keys()
	calls, tokens := make([]*rdb.Call, len(keys)), make([]string, len(keys))
	for i, key := range keys {
		w := m.missing[key]
		tokens[i] = newToken()
		calls[i] = leaseScript.Call(w.k.names(), tokens[i], layout.MS(v.p.Lease), w.unusable)
	}
	v.on.Redis.Send(ctx, calls...)
	grants := map[string]*grant{}
	for i, one := range calls {
		reply, e := one.Slice()
		if e != nil {
			err = rdb.Fault("load", e)
			continue
		}
		if err2 := m.leased(ctx, keys[i], reply, tokens[i], stamp, grants); err2 != nil {
			err = err2
		}
	}
	if err != nil {
		m.giveBack(ctx, grants)
		return nil, err
	}
	return grants, nil
}

// leased reads the answer to one request for a lease.
func (m *many[T]) leased(ctx context.Context, key string, reply []any, token string, stamp int64,
	grants map[string]*grant) error {
	w := m.missing[key]
	switch layout.Text(reply[0]) {
	case "granted":
		grants[key] = &grant{token, stamp}
		return nil
	case "refused":
		return nil
	}
	found, id, err := m.v.meanwhile(ctx, w.k, reply)
	if err != nil {
		return err
	}
	if found != nil && found.ttl() > 0 {
		return m.take(w.k, found, Hit)
	}
	w.unusable = id
	return nil
}

// loadAll loads keys in one call, fills those that were granted, and takes them all.
func (m *many[T]) loadAll(ctx context.Context, keys []string, grants map[string]*grant, source Source) error {
	defer m.keepLeases(ctx, grants)()
	slices.Sort(keys)
	entries, err := m.shared(ctx, keys, grants)
	if err != nil {
		m.giveBack(ctx, grants)
		return err
	}
	filled, err := m.fill(ctx, entries, grants)
	if err != nil {
		m.v.on.Log.DebugContext(ctx, "values were not cached", "group", m.v.p.Group, "error", err)
	}
	for _, key := range keys {
		from := source
		if source == Filled && !filled[key] {
			from = Missed
		}
		if err := m.take(m.missing[key].k, entries[key], from); err != nil {
			return err
		}
	}
	return nil
}

// shared loads; without Redis, callers that want the same keys share a load.
func (m *many[T]) shared(ctx context.Context, keys []string, grants map[string]*grant) (map[string]*entry, error) {
	if grants != nil {
		return m.call(ctx, keys)
	}
	name := "many " + m.v.p.Group + " " + strings.Join(keys, "\x00")
	r, err, _ := m.v.on.loads.Do(name, func() (any, error) { return m.call(ctx, keys) })
	entries, _ := r.(map[string]*entry)
	return entries, err
}

func (m *many[T]) call(ctx context.Context, keys []string) (map[string]*entry, error) {
	v := m.v
	l := &loading{began: time.Now()}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, loadingKey{}, l), v.p.LoadTimeout)
	defer cancel()
	loaded, err := safely(ctx, v.on.Log, func(ctx context.Context) (map[string]T,
		error) {
		return m.load(ctx, keys)
	})
	cost := max(time.Since(l.began), time.Microsecond)
	v.on.metrics.loaded(v.p.Group, cost, err)
	if err != nil {
		return nil, fmt.Errorf("load %d values of %s: %w", len(keys), v.p.Group, err)
	}
	entries := make(map[string]*entry, len(keys))
	for _, key := range keys {
		e := &entry{id: newToken()[:entryID], cost: cost}
		if value, ok := loaded[key]; !ok {
			e.absent = true
		} else if e.body, err = v.encode(ctx, value); err != nil {
			return nil, err
		}
		v.finish(ctx, e, l)
		entries[key] = e
	}
	return entries, nil
}

// fill puts what was loaded under grants into Redis, and gives the other leases back.
func (m *many[T]) fill(ctx context.Context, entries map[string]*entry, grants map[string]*grant) (map[string]bool,
	error) {
	if len(grants) == 0 {
		return nil, nil
	}
	v := m.v
	mark := v.local.Mark()
	var keys []string
	var calls []*rdb.Call
	for key, g := range grants {
		e := entries[key]
		e.stamp = g.stamp
		keys = append(keys, key)
		calls = append(calls, fillScript.Call(m.missing[key].k.names(), g.token, layout.MS(e.total), e.encode()))
	}
	v.on.Redis.Send(ctx, calls...)
	filled := map[string]bool{}
	var failed error
	for i, one := range calls {
		n, err := one.Int()
		if err != nil {
			failed = rdb.Fault("fill", err)
		}
		if n == 1 {
			filled[keys[i]] = true
			v.put(keys[i], entries[keys[i]], mark)
		}
	}
	return filled, failed
}

func (m *many[T]) giveBack(ctx context.Context, grants map[string]*grant) {
	for key, g := range grants {
		m.v.giveBack(ctx, m.missing[key].k, g.token)
	}
}

// keepLeases renews the leases while the load goes on, until stop.
func (m *many[T]) keepLeases(ctx context.Context, grants map[string]*grant) (stop func()) {
	stops := make([]func(), 0, len(grants))
	for key, g := range grants {
		stops = append(stops, m.v.keepLease(ctx, m.missing[key].k, g.token))
	}
	return func() {
		for _, stop := range stops {
			stop()
		}
	}
}
