package values

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/afterwrite/afterwrite/cache/internal/shared"
	"github.com/afterwrite/afterwrite/schema"
)

// Bounds and defaults of [Policy].
const (
	MaxKey               = 1024 // bytes of a value's key
	MaxTags              = 64   // tags of one value
	DefaultGroup         = "value"
	DefaultMaxSize       = 1 << 20
	DefaultCompressAbove = 4 << 10
	DefaultLargeSize     = 100 << 10
	DefaultLoadTimeout   = 30 * time.Second
)

// Errors of values. An absent value is [schema.ErrNotFound].
var (
	// ErrTooLarge reports a value that is encoded in more bytes than Policy.MaxSize.
	ErrTooLarge = errors.New("value is too large for the cache")
	// ErrKey reports a key that no value can have.
	ErrKey = errors.New("the key of a value is 1 to 1024 bytes")
	// ErrTooManyTags reports a value with more than MaxTags tags.
	ErrTooManyTags = errors.New("a value has at most 64 tags")
)

// Policy says how the values of one group are kept. Only TTL is required.
type Policy struct {
	// Group begins the keys of the values and labels their metrics: a to z, 0 to 9 and _.
	// Groups do not meet. "": DefaultGroup.
	Group string
	// TTL is how long a value is fresh, Jitter the share of it, 0 to 1, that is random:
	// values that were cached together do not expire together.
	TTL    time.Duration
	Jitter float64
	// NegativeTTL is how long it is known that there is no value. 0: absence is not cached.
	NegativeTTL time.Duration
	// Stale is how long after its TTL a value may still be answered while one caller of
	// all processes loads the next one behind it.
	Stale time.Duration
	// StaleOnError is how long after its TTL a value may be answered when the load of the
	// next one has failed.
	StaleOnError time.Duration
	// Early lets a value be loaded again before its TTL ends, with a chance that grows as
	// the end comes near and with the cost of the load: the XFetch rule, Early being its β
	// (1 is good). The old value is answered meanwhile. 0: never.
	Early float64
	// MaxSize bounds the bytes of one encoded value. 0: DefaultMaxSize.
	MaxSize int
	// CompressAbove is the size in bytes from which values are compressed, where that
	// makes them smaller. 0: DefaultCompressAbove; below 0: never.
	CompressAbove int
	// LargeSize is the size in bytes from which a value is counted, and now and then
	// logged, as large. 0: DefaultLargeSize.
	LargeSize int
	// Lease is how long others wait for a loader that died; a load under way renews it.
	// 0: the cache's own.
	Lease time.Duration
	// LoadTimeout bounds one load. 0: DefaultLoadTimeout.
	LoadTimeout time.Duration
	// Tags are those of every value of the group; a load adds its own by [AddTags].
	Tags []Tag
	// L1 keeps values in this process too. The zero value keeps none. It needs New.
	L1 schema.L1
}

func (p *Policy) check() error {
	switch {
	case !schema.ValidName(p.Group):
		return fmt.Errorf("group %q: a name is a to z, then a to z, 0 to 9 and _", p.Group)
	case p.TTL < time.Millisecond:
		return errors.New("TTL must be at least 1ms")
	case !(p.Jitter >= 0 && p.Jitter <= 1):
		return errors.New("policy: Jitter must be from 0 to 1")
	case p.NegativeTTL < 0 || p.Stale < 0 || p.StaleOnError < 0 || !(p.Early >= 0):
		return errors.New("policy: NegativeTTL, Stale, StaleOnError and Early cannot be below 0")
	case len(p.Tags) > MaxTags:
		return ErrTooManyTags
	}
	return p.L1.Check()
}

func (p *Policy) defaults(s *store) {
	p.Group = cmp.Or(p.Group, DefaultGroup)
	p.MaxSize = cmp.Or(p.MaxSize, DefaultMaxSize)
	p.CompressAbove = cmp.Or(p.CompressAbove, DefaultCompressAbove)
	p.LargeSize = cmp.Or(p.LargeSize, DefaultLargeSize)
	p.Lease = cmp.Or(p.Lease, s.Lease)
	p.LoadTimeout = cmp.Or(p.LoadTimeout, DefaultLoadTimeout)
}

// Values are the values of one group, all of one type. They are safe for concurrent use.
// Every caller gets a value of its own, which it may change.
type Values[T any] struct {
	on    *store
	p     Policy
	codec Codec[T]
	local *local // nil: no L1
	// tagged is set once a value with tags of its own was seen: lookups then bring the
	// stamps that they are held against in the same round trip.
	tagged atomic.Bool
	missed shared.Misses // where many are, the first trip asks for the lease
}

// New returns the values of a group. Make one for each group, and keep it: it holds
// the L1. A nil codec is [DefaultCodec]. Processes that share a group share its policy.
func New[T any](c Cache, p Policy, codec Codec[T]) (*Values[T], error) {
	v, err := newValues(of(c), p, codec)
	if err != nil {
		return nil, err
	}
	if p.L1.Bytes > 0 {
		if v.local, err = v.on.locals.open(v.p.Group, p.L1); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func newValues[T any](s *store, p Policy, codec Codec[T]) (*Values[T], error) {
	p.defaults(s)
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("values %s: %w", p.Group, err)
	}
	if codec == nil {
		codec = DefaultCodec[T]()
	}
	return &Values[T]{on: s, p: p, codec: codec}, nil
}

// Load returns a value of a group, loading it if it is not cached: [Values.Load] for a
// caller that keeps no Values. It has no L1.
func Load[T any](ctx context.Context, c Cache, key string, p Policy, load Loading[T]) (T, error) {
	v, err := newValues[T](of(c), p, nil)
	if err != nil {
		var none T
		return none, err
	}
	return v.Load(ctx, key, load)
}

// valueKey are the names of one value's keys, which share a slot; doc.go draws them.
type valueKey struct{ key, value, lease string }

func (v *Values[T]) key(key string) (valueKey, error) {
	if key == "" || len(key) > MaxKey {
		return valueKey{}, ErrKey
	}
	name := v.on.valueKey(v.p.Group, key)
	return valueKey{key: key, value: name, lease: name + ":lease"}, nil
}

func (s *store) valueKey(group, key string) string {
	return string(s.Prefix) + ":v:{" + group + ":" + key + "}"
}

func (k valueKey) names() []string { return []string{k.value, k.lease} }

// keyOf reads the name of a value's key.
func (s *store) keyOf(group, name string) (string, bool) {
	key, ok := strings.CutPrefix(name, string(s.Prefix)+":v:{"+group+":")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(key, "}")
}
