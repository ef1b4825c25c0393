// Package l1 keeps what was read from Redis in the memory of this process, while events say what changes.
package l1

import (
	"cmp"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/afterwrite/afterwrite/schema"
)

// L1 keeps values of one group, or records of one entity, in this process. A nil L1 keeps nothing. It serves only while
// its events are delivered.
//
// The law of a put: what was read before an invalidation must not be put after it. A reader takes a mark before it
// reads from Redis; each invalidation has a number higher than all marks taken before it; a put whose mark is lower
// than its key's last invalidation is refused.
type L1[V any] struct {
	kept    *otter.Cache[string, held[V]]
	age     time.Duration
	valid   func(V) bool  // beyond the law of a put; nil: nothing more
	live    atomic.Bool   // events are delivered
	number  atomic.Uint64 // of the last invalidation
	all     atomic.Uint64 // of the last one of everything
	stripes [256]stripe
	seed    maphash.Seed
}

// stripe is the last invalidation of the keys of one hash.
type stripe struct {
	mu   sync.Mutex // held while a key of the stripe is put or dropped
	last uint64
}

// held is what an L1 keeps of a key.
type held[V any] struct {
	value V
	size  int
	at    time.Time
	until time.Time
}

// overhead is about what an L1 needs for an entry beside its bytes.
const overhead = 200

// defaultAge is how old a value can be where the limit does not say.
const defaultAge = 5 * time.Second

// New returns an L1 that does not serve before [L1.Serve]. What is kept is also checked by valid, which can be nil.
func New[V any](limit schema.L1, valid func(V) bool) (*L1[V], error) {
	l := &L1[V]{age: cmp.Or(limit.Age, defaultAge), valid: valid, seed: maphash.MakeSeed()}
	var err error
	l.kept, err = otter.New(&otter.Options[string, held[V]]{
		MaximumWeight:    uint64(limit.Bytes),
		Weigher:          func(key string, h held[V]) uint32 { return uint32(min(len(key)+h.size+overhead, 1<<31)) },
		ExpiryCalculator: otter.ExpiryWriting[string, held[V]](l.age),
	})
	return l, err
}

// Age is the longest that anything is kept.
func (l *L1[V]) Age() time.Duration { return l.age }

// Weight is about the number of bytes that are kept.
func (l *L1[V]) Weight() uint64 { return l.kept.WeightedSize() }

// Mark is taken before what a put will keep is read from Redis.
func (l *L1[V]) Mark() uint64 {
	if l == nil {
		return 0
	}
	return l.number.Load()
}

func (l *L1[V]) stripe(key string) *stripe {
	return &l.stripes[maphash.String(l.seed, key)%uint64(len(l.stripes))]
}

// Put keeps a value of so many bytes, at most for ttl, unless its key was invalidated after the mark.
func (l *L1[V]) Put(key string, value V, size int, mark uint64, ttl time.Duration) {
	if l == nil || !l.live.Load() {
		return
	}
	h := held[V]{value: value, size: size, at: time.Now()}
	h.until = h.at.Add(min(ttl, l.age))
	s := l.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last <= mark && l.all.Load() <= mark && l.live.Load() {
		l.kept.Set(key, h)
	}
}

// Find returns what is kept of a key, and the time since it was put.
func (l *L1[V]) Find(key string) (value V, age time.Duration, ok bool) {
	if l == nil || !l.live.Load() {
		return value, 0, false
	}
	h, ok := l.kept.GetIfPresent(key)
	now := time.Now()
	if !ok || !now.Before(h.until) || (l.valid != nil && !l.valid(h.value)) {
		return value, 0, false
	}
	return h.value, now.Sub(h.at), true
}

// Drop forgets keys.
func (l *L1[V]) Drop(keys ...string) {
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

// DropAll forgets everything. Between its number and its clearing a put may still slip
// in whose mark is older: it holds its stripe, so each stripe is passed through once.
func (l *L1[V]) DropAll() {
	if l == nil {
		return
	}
	l.all.Store(l.number.Add(1))
	for i := range l.stripes {
		l.stripes[i].pass()
	}
	l.kept.InvalidateAll()
}

// Restart forgets everything and serves, or not, from then on. While events are not delivered
// it keeps nothing: what changes meanwhile would stay.
func (l *L1[V]) Restart(flow bool) {
	l.live.Store(false)
	l.DropAll()
	l.live.Store(flow)
}

// Serve says whether events are delivered.
func (l *L1[V]) Serve(flow bool) { l.live.Store(flow) }

// pass waits for a put or a drop that holds the stripe: what it puts, the caller will drop.
func (s *stripe) pass() {
	s.mu.Lock()
	defer s.mu.Unlock()
}
