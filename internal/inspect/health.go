package inspect

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// ErrEvictionPolicy reports a Redis that may evict records which the database has not
// seen. Set maxmemory-policy to a volatile-* policy or to noeviction.
var ErrEvictionPolicy = errors.New("redis may evict accepted writes")

// Health is what Redis tells of itself. A figure that the server does not tell is zero.
type Health struct {
	Told          bool // it tells of its memory and persistence; else the figures are zero
	Version       string
	Policy        string // maxmemory-policy
	AOF           bool
	Fsync         string // appendfsync, "" where it cannot be read
	UsedMemory    int64  // bytes
	MaxMemory     int64  // bytes, 0 no limit
	Evicted       int64  // keys
	Hits, Misses  int64  // of keys
	Fragmentation float64
	Latency       time.Duration // of one PING
	Clock         time.Time
	Skew          time.Duration // of the clock from this process's, at the nearest moment of the read
	Warnings      []Warning     // what an operator should change
}

// Warning is a setting of Redis, or a state, that an operator should change.
type Warning struct {
	Check string // what it is about, as doctor names it
	Text  string // a sentence
	Hint  string // what to do about it
}

// String is the warning with its hint.
func (w Warning) String() string { return w.Text + " To do: " + w.Hint + "." }

// HitRate is the share of reads of keys that found one, since Redis started; false before
// the first.
func (h Health) HitRate() (float64, bool) {
	n := h.Hits + h.Misses
	return float64(h.Hits) / float64(max(n, 1)), n > 0
}

// Persistence is when the append-only file is synced: "always", "everysec", "no", "aof"
// where Redis does not tell, "none" where it keeps none.
func (h Health) Persistence() string {
	switch {
	case !h.AOF:
		return "none"
	case h.Fsync == "":
		return "aof"
	}
	return h.Fsync
}

// Unsafe reports whether an error of [Inspector.Check] is that of a Redis which answers, and to
// which writes must not be entrusted.
func Unsafe(err error) bool {
	return errors.Is(err, ErrEvictionPolicy) || errors.Is(err, rdb.ErrRights)
}

// errLoading reports a Redis that reads its files, as it does itself for other commands.
var errLoading = errors.New("LOADING Redis is loading the dataset in memory")

// Inspector reads what one Redis says of itself. It is safe for concurrent use.
type Inspector struct {
	redis  *rdb.Client
	prefix layout.Prefix
}

// New returns the inspector of a Redis, whose keys of this deployment begin with the prefix. It
// closes neither.
func New(redis *rdb.Client, prefix layout.Prefix) *Inspector { return &Inspector{redis, prefix} }

// Check reads the health of Redis. The error is ErrEvictionPolicy where accepted writes
// are not safe from eviction, ErrRights where this user could not do them whole,
// ErrUnavailable where Redis does not answer.
func (i *Inspector) Check(ctx context.Context) (Health, error) {
	start := time.Now()
	clock, err := i.redis.Time(ctx).Result()
	if err != nil {
		return Health{}, rdb.Fault("check", err)
	}
	end := time.Now()
	h := Health{Latency: end.Sub(start), Clock: clock, Skew: skew(start, end, clock)}
	info, err := i.redis.Info(ctx).Result()
	if err != nil && !rdb.Answered(err) {
		return h, rdb.Fault("check", err)
	}
	values := parseInfo(info)
	if values["loading"] == "1" {
		// Until it has read its files it calls its append-only file off.
		return h, rdb.Fault("check", errLoading)
	}
	h.read(values)
	// CONFIG is barred on many hosted servers; INFO tells the policy since Redis 2.8.
	if set, err := i.redis.ConfigGet(ctx, "appendfsync").Result(); err == nil {
		h.Fsync = set["appendfsync"]
	}
	h.warn()
	if strings.HasPrefix(h.Policy, "allkeys-") {
		return h, fmt.Errorf("%w: maxmemory-policy is %s; set it to volatile-lfu or noeviction", ErrEvictionPolicy,
			h.Policy)
	}
	return h, i.redis.CheckRights(ctx, string(i.prefix), i.prefix.Probe(), i.prefix.Channel("~"))
}

// skew is how far a clock that was read between two moments is from this process's.
func skew(start, end, clock time.Time) time.Duration {
	switch {
	case clock.Before(start):
		return start.Sub(clock)
	case clock.After(end):
		return end.Sub(clock)
	}
	return 0
}

func parseInfo(info string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(info) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			values[name] = value
		}
	}
	return values
}

func (h *Health) read(info map[string]string) {
	number := func(name string) int64 {
		n, _ := strconv.ParseInt(info[name], 10, 64)
		return n
	}
	h.Version, h.Policy = info["redis_version"], info["maxmemory_policy"]
	_, h.Told = info["aof_enabled"]
	h.AOF = info["aof_enabled"] == "1"
	h.UsedMemory, h.MaxMemory = number("used_memory"), number("maxmemory")
	h.Evicted, h.Hits, h.Misses = number("evicted_keys"), number("keyspace_hits"), number("keyspace_misses")
	h.Fragmentation, _ = strconv.ParseFloat(info["mem_fragmentation_ratio"], 64)
}

func (h *Health) warn() {
	warn := func(check, hint, format string, args ...any) {
		h.Warnings = append(h.Warnings, Warning{check, fmt.Sprintf(format, args...), hint})
	}
	if !h.Told {
		warn("redis statistics",
			"check that maxmemory-policy is volatile-lfu or noeviction and that Redis keeps an append-only file",
			"Redis does not report its version, memory and persistence (INFO).")
		return
	}
	if !h.AOF {
		warn("redis persistence", "set appendonly yes in redis.conf",
			"Redis keeps no append-only file: a restart loses accepted writes that the database has not seen.")
	}
	if h.AOF && h.Fsync == "no" {
		warn("redis persistence", "set appendfsync everysec or always",
			"appendfsync is no: a power loss may lose half a minute of accepted writes.")
	}
	if h.MaxMemory > 0 && h.UsedMemory > h.MaxMemory/10*9 {
		warn("redis memory", "raise maxmemory, or shorten cache.ttl",
			"Redis uses %d of its %d bytes: above the limit it rejects writes.", h.UsedMemory, h.MaxMemory)
	}
}

// Writable writes a key that lives for a second, and reports why Redis does not take it:
// ErrRedisFull, ErrRedisReadOnly, or ErrUnavailable alone where it does not answer.
func (i *Inspector) Writable(ctx context.Context) error {
	if err := i.redis.Set(ctx, i.prefix.Probe(), "", time.Second).Err(); err != nil {
		return rdb.Fault("probe", err)
	}
	return nil
}
