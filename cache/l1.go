package cache

import (
	"cmp"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// local is an L1: values of one group, or records of one entity, in this process. A nil
// local keeps nothing. It serves only while its events are delivered.
//
// The law of a put: what was read before an invalidation must not be put after it. A
// reader takes a mark before it asks Redis; each invalidation has a number higher than all
// marks taken before it; a put whose mark is lower than its key's last invalidation is
// refused.
type local struct {
	kept    *otter.Cache[string, held]
	age     time.Duration
	valid   func(h held) bool // beyond the law of a put; nil: nothing more
	live    atomic.Bool       // events are delivered
	number  atomic.Uint64     // of the last invalidation
	all     atomic.Uint64     // of the last one of everything
	stripes [256]stripe
	seed    maphash.Seed
}

// stripe is the last invalidation of the keys of one hash.
type stripe struct {
	mu   sync.Mutex // held while a key of the stripe is put or dropped
	last uint64
}

// held is what an L1 keeps of a key.
type held struct {
	entry *entry // a value
	read  *Read  // or a record
	size  int
	at    time.Time
	until time.Time
}

// overhead is about what an L1 needs for an entry beside its bytes.
const overhead = 200

func newLocal(limit schema.L1, valid func(held) bool) (*local, error) {
	l := &local{age: cmp.Or(limit.Age, schema.DefaultL1Age), valid: valid, seed: maphash.MakeSeed()}
	var err error
	l.kept, err = otter.New(&otter.Options[string, held]{
		MaximumWeight:    uint64(limit.Bytes),
		Weigher:          func(key string, h held) uint32 { return uint32(min(len(key)+h.size+overhead, 1<<31)) },
		ExpiryCalculator: otter.ExpiryWriting[string, held](l.age),
	})
	return l, err
}

// mark is taken before Redis is asked for what a put will keep.
func (l *local) mark() uint64 {
	if l == nil {
		return 0
	}
	return l.number.Load()
}

func (l *local) stripe(key string) *stripe {
	return &l.stripes[maphash.String(l.seed, key)%uint64(len(l.stripes))]
}

func (l *local) keep(key string, h held, mark uint64, ttl time.Duration) {
	if l == nil || !l.live.Load() {
		return
	}
	h.at = time.Now()
	h.until = h.at.Add(min(ttl, l.age))
	s := l.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last <= mark && l.all.Load() <= mark && l.live.Load() {
		l.kept.Set(key, h)
	}
}

func (l *local) find(key string) (held, bool) {
	if l == nil || !l.live.Load() {
		return held{}, false
	}
	h, ok := l.kept.GetIfPresent(key)
	if !ok || !time.Now().Before(h.until) || (l.valid != nil && !l.valid(h)) {
		return held{}, false
	}
	return h, true
}

func (l *local) drop(keys ...string) {
	if l == nil {
		return
	}
	for _, key := range keys {
		s := l.stripe(key)
		s.mu.Lock()
		s.last = l.number.Add(1)
		l.kept.Invalidate(key)
		s.mu.Unlock()
	}
}

// dropAll forgets everything. Between its number and its clearing a put may still slip
// in whose mark is older: it holds its stripe, so each stripe is passed through once.
func (l *local) dropAll() {
	if l == nil {
		return
	}
	l.all.Store(l.number.Add(1))
	for i := range l.stripes {
		l.stripes[i].pass()
	}
	l.kept.InvalidateAll()
}

// restart forgets everything and serves, or not, from then on. While events are not delivered
// it keeps nothing: what changes meanwhile would stay.
func (l *local) restart(flow bool) {
	l.live.Store(false)
	l.dropAll()
	l.live.Store(flow)
}

// pass waits for whoever holds the stripe: what it puts, the caller will drop.
func (s *stripe) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
}

func (l *local) put(key string, e *entry, mark uint64) {
	if l != nil {
		l.keep(key, held{entry: e, size: len(e.body)}, mark, e.ttl())
	}
}

// readLocal answers from the L1. ok is false where it has nothing.
func (v *Values[T]) readLocal(k valueKey) (a Answer[T], err error, ok bool) {
	h, ok := v.local.find(k.key)
	if !ok {
		return a, nil, false
	}
	e := *h.entry
	e.life -= time.Since(h.at)
	a, err = v.answer(&e, Local)
	return a, err, true
}

// localTopic is the channel on which the L1s of values hear of sets, drops and tags.
const localTopic = "~"

// locals are the L1s of the groups of one cache, and their events.
type locals struct {
	cache  *Cache
	sender string // this process
	number atomic.Int64

	mu      sync.Mutex // guards what follows
	groups  map[string]*local
	tags    map[string]int64 // stamps of invalidations heard of
	started bool
	flow    bool // events are delivered
}

// mirrored bounds the tags whose stamps a process remembers; past it all L1s are dropped.
const mirrored = 50_000

func newLocals(c *Cache) *locals {
	return &locals{cache: c, sender: newToken(), groups: map[string]*local{}, tags: map[string]int64{}}
}

// next numbers a message of this process, so that others notice the loss of one.
func (l *locals) next() int64 { return l.number.Add(1) }

// open returns the L1 of a group, and begins to listen with the first.
func (l *locals) open(group string, limit schema.L1) (*local, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.groups[group]; one != nil {
		return one, nil
	}
	one, err := newLocal(limit, l.untouched)
	if err != nil {
		return nil, err
	}
	l.groups[group] = one
	if !l.started {
		l.started = true
		l.cache.bus.Follow(localTopic, l.hear, l.lose)
	}
	one.live.Store(l.flow) // later than the first it may serve at once
	return one, nil
}

func (l *locals) each(do func(*local)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.groups {
		do(one)
	}
}

// lose drops everything, since events may have been missed, and notes whether they flow.
func (l *locals) lose(flow bool) {
	l.mu.Lock()
	l.flow = flow
	l.mu.Unlock()
	l.each(func(one *local) { one.restart(flow) })
	l.cache.values.lost.WithLabelValues("values").Inc()
}

// hear takes a message: {"tags", sender, number, stamp, tag…} of lua/touch.lua, or
// {"set", sender, number, group, key…}.
func (l *locals) hear(texts []string) {
	if len(texts) < 5 || texts[1] == l.sender {
		return
	}
	switch texts[0] {
	case "tags":
		l.touched(int64(layout.Version(texts[3])), texts[4:])
	case "set":
		l.mu.Lock()
		one := l.groups[texts[3]]
		l.mu.Unlock()
		one.drop(texts[4:]...)
	case "all":
		l.mu.Lock()
		one := l.groups[texts[3]]
		l.mu.Unlock()
		one.dropAll()
	}
}

// touched notes the stamp of tags that were invalidated.
func (l *locals) touched(stamp int64, names []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.groups) == 0 {
		return
	}
	if len(l.tags)+len(names) > mirrored {
		clear(l.tags)
		for _, one := range l.groups {
			one.dropAll()
		}
	}
	for _, name := range names {
		l.tags[name] = max(l.tags[name], stamp)
	}
}

// untouched reports whether no tag of a value was invalidated after its load began, as
// far as was heard.
func (l *locals) untouched(h held) bool {
	if len(h.entry.tags) == 0 {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, tag := range h.entry.tags {
		if l.tags[tag] > h.entry.stamp {
			return false
		}
	}
	return true
}
