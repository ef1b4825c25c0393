package values_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// profile is a value as a program has it.
type profile struct {
	Name string
	Seen int64
}

func group[T any](t *testing.T, c *cache.Cache, p values.Policy) *values.Values[T] {
	t.Helper()
	if p.TTL == 0 {
		p.TTL = time.Minute
	}
	v, err := values.New[T](c, p, nil)
	require.NoError(t, err)
	return v
}

// source is what values are loaded from.
type source struct {
	mu    sync.Mutex
	text  string
	loads int
	err   error
	hold  chan struct{}
	began chan struct{}
}

func (s *source) load(ctx context.Context) (string, error) {
	s.mu.Lock()
	s.loads++
	text, err, hold, began := s.text, s.err, s.hold, s.began
	s.mu.Unlock()
	if began != nil {
		began <- struct{}{}
	}
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return "", ctx.Err()
		}
	}
	return text, err
}

func (s *source) set(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = text
}

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loads
}

// slow makes loads wait after they have read, until go on is called.
func (s *source) slow() (goOn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	hold := make(chan struct{})
	s.hold, s.began = hold, make(chan struct{}, 64)
	return func() {
		s.mu.Lock()
		s.hold, s.began = nil, nil
		s.mu.Unlock()
		close(hold)
	}
}

func TestLoadKeepsWhatItLoaded(t *testing.T) {
	b := setup(t)
	p := values.Policy{Group: "profile", TTL: time.Minute}
	loads := 0
	load := func(context.Context) (profile, error) {
		loads++
		return profile{"Ann", 1 << 60}, nil
	}
	for range 3 {
		got, err := values.Load(t.Context(), b.Cache, "42", p, load)
		require.NoError(t, err)
		assert.Equal(t, profile{"Ann", 1 << 60}, got)
	}
	assert.Equal(t, 1, loads)

	v := group[profile](t, b.Cache, p)
	a, err := v.Read(t.Context(), "42", load)
	require.NoError(t, err)
	assert.Equal(t, values.Hit, a.Source)
	assert.InDelta(t, time.Minute, a.TTL, float64(10*time.Second))
	a, err = v.Read(t.Context(), "43", load)
	require.NoError(t, err)
	assert.Equal(t, values.Filled, a.Source)
}

func TestCodecsAndCompression(t *testing.T) {
	b := setup(t)
	long := strings.Repeat("round and round ", 1000)
	texts := group[string](t, b.Cache, values.Policy{Group: "texts"})
	require.NoError(t, texts.Set(t.Context(), "a}{\x00é", long))
	got, err := texts.Get(t.Context(), "a}{\x00é")
	require.NoError(t, err)
	assert.Equal(t, long, got)
	size, err := b.RDB.StrLen(t.Context(), b.Under+":v:{texts:a}{\x00é}").Result()
	require.NoError(t, err)
	assert.Less(t, size, int64(1000))

	bytes := group[[]byte](t, b.Cache, values.Policy{Group: "bytes", CompressAbove: -1})
	require.NoError(t, bytes.Set(t.Context(), "a", []byte{}))
	empty, err := bytes.Get(t.Context(), "a")
	require.NoError(t, err)
	assert.Empty(t, empty)

	small := group[string](t, b.Cache, values.Policy{Group: "small", MaxSize: 10})
	require.ErrorIs(t, small.Set(t.Context(), "a", long), values.ErrTooLarge)
	_, err = small.Get(t.Context(), "a")
	require.ErrorIs(t, err, schema.ErrNotFound)
	a, err := small.Read(t.Context(), "a", func(context.Context) (string, error) { return long, nil })
	require.NoError(t, err)
	assert.Equal(t, values.Missed, a.Source)
	assert.Equal(t, long, a.Value)
}

func TestAbsenceIsCached(t *testing.T) {
	b := setup(t)
	s := &source{err: schema.ErrNotFound}
	none := group[string](t, b.Cache, values.Policy{Group: "none"})
	some := group[string](t, b.Cache, values.Policy{Group: "some", NegativeTTL: time.Minute})
	for range 3 {
		_, err := none.Load(t.Context(), "a", s.load)
		require.ErrorIs(t, err, schema.ErrNotFound)
	}
	assert.Equal(t, 3, s.count())
	for range 3 {
		_, err := some.Load(t.Context(), "a", s.load)
		require.ErrorIs(t, err, schema.ErrNotFound)
	}
	assert.Equal(t, 4, s.count())
}

func TestStaleIsAnsweredWhileOneRefreshes(t *testing.T) {
	b := setup(t)
	s := &source{text: "old"}
	v := group[string](t, b.Cache, values.Policy{Group: "s", TTL: 20 * time.Millisecond, Stale: time.Minute})
	_, err := v.Load(t.Context(), "a", s.load)
	require.NoError(t, err)
	s.set("new")
	goOn := s.slow()
	testkit.Eventually(t, "the value is stale", func() bool {
		a, err := v.Read(t.Context(), "a", s.load)
		require.NoError(t, err)
		require.Equal(t, "old", a.Value)
		return a.Source == values.Stale
	})
	for range 20 {
		a, err := v.Read(t.Context(), "a", s.load)
		require.NoError(t, err)
		assert.Equal(t, "old", a.Value)
	}
	goOn()
	testkit.Eventually(t, "the refresh is over", func() bool {
		got, err := v.Load(t.Context(), "a", s.load)
		require.NoError(t, err)
		return got == "new"
	})
}

func TestStaleStandsInForAnError(t *testing.T) {
	b := setup(t)
	s := &source{text: "old"}
	v := group[string](t, b.Cache, values.Policy{Group: "s", TTL: 5 * time.Millisecond, StaleOnError: time.Minute})
	_, err := v.Load(t.Context(), "a", s.load)
	require.NoError(t, err)
	s.fail(errors.New("no database"))
	testkit.Eventually(t, "the value is stale", func() bool {
		a, err := v.Read(t.Context(), "a", s.load)
		require.NoError(t, err)
		require.Equal(t, "old", a.Value)
		return a.Source == values.Stale
	})
	_, err = v.Delete(t.Context(), "a")
	require.NoError(t, err)
	_, err = v.Load(t.Context(), "a", s.load)
	require.ErrorContains(t, err, "no database")
	s.fail(nil)
	got, err := v.Load(t.Context(), "a", s.load) // the failed load left no lease behind
	require.NoError(t, err)
	assert.Equal(t, "old", got)
}

func TestEarlyRefreshComesBeforeTheEnd(t *testing.T) {
	b := setup(t)
	s := &source{text: "a"}
	v := group[string](t, b.Cache, values.Policy{Group: "s", TTL: time.Hour, Early: 1e12})
	_, err := v.Load(t.Context(), "a", s.load)
	require.NoError(t, err)
	testkit.Eventually(t, "a refresh has begun", func() bool {
		_, err := v.Load(t.Context(), "a", s.load)
		require.NoError(t, err)
		return s.count() > 1
	})
}

func TestLoadManyLoadsTheMissesInOneCall(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "m", NegativeTTL: time.Minute})
	require.NoError(t, v.Set(t.Context(), "b", "B"))
	var asked [][]string
	load := func(_ context.Context, missing []string) (map[string]string, error) {
		asked = append(asked, missing)
		return map[string]string{"a": "A", "c": "C"}, nil
	}
	for range 2 {
		got, err := v.LoadMany(t.Context(), []string{"c", "a", "b", "none", "a"}, load)
		require.NoError(t, err)
		assert.Equal(t, map[string]string{"a": "A", "b": "B", "c": "C"}, got)
	}
	assert.Equal(t, [][]string{{"a", "c", "none"}}, asked)
	_, err := v.LoadMany(t.Context(), []string{"x"}, func(context.Context, []string) (map[string]string, error) {
		return nil, errors.New("no database")
	})
	require.ErrorContains(t, err, "no database")
}

func TestLoadManyWaitsForTheLoadsOfOthers(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "m"})
	s := &source{text: "A"}
	goOn := s.slow()
	began := s.began
	first := make(chan string)
	go func() {
		got, err := v.Load(t.Context(), "a", s.load)
		assert.NoError(t, err)
		first <- got
	}()
	<-began
	second := make(chan map[string]string)
	loaded := make(chan struct{})
	go func() {
		got, err := v.LoadMany(t.Context(), []string{"a", "b"}, func(_ context.Context,
			missing []string) (map[string]string, error) {
			assert.Equal(t, []string{"b"}, missing)
			close(loaded)
			return map[string]string{"b": "B"}, nil
		})
		assert.NoError(t, err)
		second <- got
	}()
	<-loaded
	goOn()
	assert.Equal(t, "A", <-first)
	assert.Equal(t, map[string]string{"a": "A", "b": "B"}, <-second)
	assert.Equal(t, 1, s.count())
}

func TestValuesWithoutRedis(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	c, err := cache.New(cache.Config{URL: server.URL(), Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	v := group[string](t, c, values.Policy{Group: "s"})
	require.NoError(t, v.Set(t.Context(), "a", "cached"))
	server.Kill()
	s := &source{text: "loaded"}
	goOn := s.slow()
	var wg sync.WaitGroup
	var bypassed atomic.Int64
	for range 50 {
		testkit.Label(&wg, t.Name(), func() {
			a, err := v.Read(t.Context(), "a", s.load)
			assert.NoError(t, err)
			assert.Equal(t, "loaded", a.Value)
			if a.Source == values.Bypass {
				bypassed.Add(1)
			}
		})
	}
	testkit.Eventually(t, "all wait, and what they share for its load", func() bool {
		return testkit.Labelled(t.Name(), "flight.(*Group).Do") == 50+1
	})
	assert.Equal(t, 1, s.count(), "callers of one process share a load")
	goOn()
	wg.Wait()
	assert.EqualValues(t, 50, bypassed.Load())
	many, err := v.LoadMany(t.Context(), []string{"x"}, func(context.Context, []string) (map[string]string, error) {
		return map[string]string{"x": "X"}, nil
	})
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"x": "X"}, many)
	require.ErrorIs(t, v.Set(t.Context(), "a", "x"), schema.ErrUnavailable)
	_, err = v.Get(t.Context(), "a")
	require.ErrorIs(t, err, schema.ErrUnavailable)
}

func TestALoadersPanicIsItsError(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "s"})
	_, err := v.Load(t.Context(), "a", func(context.Context) (string, error) { panic("oh") })
	require.ErrorContains(t, err, "panicked: oh")
}

func TestALongLoadKeepsItsLease(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "s", Lease: 3 * time.Second})
	s := &source{text: "A"}
	goOn := s.slow()
	began := s.began
	first := make(chan values.Source)
	go func() {
		a, err := v.Read(t.Context(), "a", s.load)
		assert.NoError(t, err)
		first <- a.Source
	}()
	<-began
	key := b.Under + ":v:{s:a}:lease"
	token := b.RDB.Get(t.Context(), key).Val()
	renewed := 0
	last := time.Duration(0)
	testkit.Eventually(t, "the lease was renewed a few times", func() bool {
		left := b.RDB.PTTL(t.Context(), key).Val()
		if left > last {
			renewed++
		}
		last = left
		return renewed > 1
	})
	assert.Equal(t, token, b.RDB.Get(t.Context(), key).Val())
	goOn()
	assert.Equal(t, values.Filled, <-first)
}

func TestLoadersSayHowLongAndWhether(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "s"})
	a, err := v.Read(t.Context(), "a", func(ctx context.Context) (string, error) {
		values.KeepFor(ctx, 0)
		return "A", nil
	})
	require.NoError(t, err)
	assert.Equal(t, values.Missed, a.Source)
	a, err = v.Read(t.Context(), "a", func(ctx context.Context) (string, error) {
		values.KeepFor(ctx, time.Hour)
		return "A", nil
	})
	require.NoError(t, err)
	assert.Equal(t, values.Filled, a.Source)
	assert.Equal(t, time.Hour, a.TTL)
	ok, err := v.Touch(t.Context(), "a", 2*time.Hour)
	require.NoError(t, err)
	assert.True(t, ok)
	a, err = v.Read(t.Context(), "a", nil)
	require.NoError(t, err)
	assert.Greater(t, a.TTL, time.Hour)
}

// Touch gives a value its time again, with as long a time to be stale after it.
func TestTouchKeepsAValueFresh(t *testing.T) {
	b := setup(t)
	s := &source{text: "a"}
	v := group[string](t, b.Cache, values.Policy{Group: "s", TTL: time.Minute, Stale: time.Hour,
		NegativeTTL: time.Minute})
	_, err := v.Load(t.Context(), "a", s.load)
	require.NoError(t, err)
	ok, err := v.Touch(t.Context(), "a", 2*time.Minute)
	require.NoError(t, err)
	assert.True(t, ok)
	a, err := v.Read(t.Context(), "a", s.load)
	require.NoError(t, err)
	assert.Equal(t, values.Hit, a.Source)
	assert.Greater(t, a.TTL, time.Minute)

	s.fail(schema.ErrNotFound)
	_, err = v.Load(t.Context(), "none", s.load)
	require.ErrorIs(t, err, schema.ErrNotFound)
	for _, key := range []string{"none", "never"} {
		ok, err = v.Touch(t.Context(), key, time.Hour)
		require.NoError(t, err)
		assert.False(t, ok, key)
	}

	tagged := group[string](t, b.Cache, values.Policy{Group: "t", Tags: []values.Tag{values.EntityTag(b.E)}})
	require.NoError(t, tagged.Set(t.Context(), "policy", "x"))
	require.NoError(t, tagged.Set(t.Context(), "added", "x", values.RecordTag(b.E, "1")))
	ok, err = tagged.Touch(t.Context(), "policy", 3*time.Hour)
	require.NoError(t, err)
	assert.True(t, ok)
	b.watched(t, 3*time.Hour)
	ok, err = tagged.Touch(t.Context(), "added", 3*time.Hour)
	require.NoError(t, err)
	assert.False(t, ok, "nobody would hear of the record for so long")
}

// A hot key that is refreshed takes one place among the refreshes, not one for each reader.
func TestOneRefreshOfAKeyLeavesRoomForOthers(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "s", TTL: 5 * time.Millisecond, Stale: time.Hour})
	hot, cold := &source{text: "hot"}, &source{text: "cold"}
	for key, s := range map[string]*source{"hot": hot, "cold": cold} {
		_, err := v.Load(t.Context(), key, s.load)
		require.NoError(t, err)
	}
	defer hot.slow()()
	for range 200 {
		got, err := v.Load(t.Context(), "hot", hot.load)
		require.NoError(t, err)
		require.Equal(t, "hot", got)
	}
	testkit.Eventually(t, "the other key is refreshed", func() bool {
		_, err := v.Load(t.Context(), "cold", cold.load)
		require.NoError(t, err)
		return cold.count() > 1
	})
}

// slowGets is a hook that holds looks at values up.
type slowGets struct {
	hold  atomic.Pointer[chan struct{}]
	count atomic.Int64
}

func (*slowGets) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*slowGets) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }
func (h *slowGets) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if cmds[0].Name() == "get" {
			h.count.Add(1)
			if hold := h.hold.Load(); hold != nil {
				<-*hold
			}
		}
		return err
	}
}

// Callers of one key share looks, but none that had begun before they came.
func TestCallersOfAKeyShareLooks(t *testing.T) {
	h := &slowGets{}
	b := setup(t, func(_ *schema.Entity, c *cache.Config) { c.Hooks = append(c.Hooks, h) })
	v := group[string](t, b.Cache, values.Policy{Group: "s"})
	require.NoError(t, v.Set(t.Context(), "a", "old"))
	hold := make(chan struct{})
	h.hold.Store(&hold)
	var all sync.WaitGroup
	first := make(chan string, 1)
	all.Go(func() {
		got, err := v.Get(t.Context(), "a")
		assert.NoError(t, err)
		first <- got
	})
	testkit.Eventually(t, "the first has looked", func() bool { return h.count.Load() == 1 })
	require.NoError(t, v.Set(t.Context(), "a", "new"))
	for range 100 {
		all.Go(func() {
			got, err := v.Load(t.Context(), "a", nil)
			assert.NoError(t, err)
			assert.Equal(t, "new", got, "the look that has begun is too old")
		})
	}
	testkit.Eventually(t, "they wait", func() bool { return values.Gathered(b.Cache, "s:a") >= 100 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := v.Get(ctx, "a")
	require.ErrorIs(t, err, context.Canceled, "a caller who has gone waits for nobody")
	h.hold.Store(nil)
	close(hold)
	all.Wait()
	assert.Equal(t, "old", <-first)
	assert.EqualValues(t, 2, h.count.Load())
}

// brokenCodec panics.
type brokenCodec struct{ values.String }

func (brokenCodec) Encode(string) ([]byte, error) { panic("oh") }

func TestACodecsPanicIsAnError(t *testing.T) {
	b := setup(t)
	v, err := values.New(b.Cache, values.Policy{Group: "s", TTL: time.Minute}, values.Codec[string](brokenCodec{}))
	require.NoError(t, err)
	_, err = v.Load(t.Context(), "a", (&source{text: "a"}).load)
	require.ErrorContains(t, err, "panicked: oh")
	require.ErrorContains(t, v.Set(t.Context(), "a", "a"), "panicked: oh")
}

func TestInvalidateValuesByPattern(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "s"})
	other := group[string](t, b.Cache, values.Policy{Group: "other"})
	for i := range 30 {
		require.NoError(t, v.Set(t.Context(), fmt.Sprintf("x*%d", i), "x"))
		require.NoError(t, v.Set(t.Context(), fmt.Sprintf("y%d", i), "y"))
	}
	require.NoError(t, other.Set(t.Context(), "x*1", "x"))
	n, err := v.InvalidateMatch(t.Context(), `x\**`, nil)
	require.NoError(t, err)
	assert.Equal(t, 30, n)
	_, err = v.Get(t.Context(), "x*7")
	require.ErrorIs(t, err, schema.ErrNotFound)
	_, err = v.Get(t.Context(), "y7")
	require.NoError(t, err)
	_, err = other.Get(t.Context(), "x*1")
	require.NoError(t, err)
}

func TestInvalidationByPatternCanBeResumed(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "s"})
	for i := range 1500 {
		require.NoError(t, v.Set(t.Context(), fmt.Sprint(i), "x"))
	}
	dropped, steps, cursor := 0, 0, uint64(0)
	for {
		n, next, err := v.InvalidateStep(t.Context(), "*", cursor)
		require.NoError(t, err)
		dropped, cursor, steps = dropped+n, next, steps+1
		if cursor == 0 {
			break
		}
	}
	assert.Equal(t, 1500, dropped)
	assert.Greater(t, steps, 1)
}

func TestBadPoliciesAndKeysAreRefused(t *testing.T) {
	b := setup(t)
	for _, p := range []values.Policy{
		{Group: "A", TTL: time.Second}, {TTL: 0}, {TTL: time.Second, Jitter: 2}, {TTL: time.Second, Stale: -1},
		{TTL: time.Second, L1: schema.L1{Bytes: 1}},
	} {
		_, err := values.New[string](b.Cache, p, nil)
		require.Error(t, err)
	}
	v := group[string](t, b.Cache, values.Policy{})
	for _, key := range []string{"", strings.Repeat("x", values.MaxKey+1)} {
		_, err := v.Load(t.Context(), key, nil)
		require.ErrorIs(t, err, values.ErrKey)
	}
}

// TestLargeValuesAreCountedAndLogged now and then.
func TestLargeValuesAreCountedAndLogged(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	var mu sync.Mutex
	log := slog.New(slog.NewTextHandler(lockedWriter{&mu, &text}, nil))
	c, err := cache.New(cache.Config{URL: testkit.SharedRedis(t).URL(), Prefix: testkit.Prefix(t), Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	v := group[string](t, c, values.Policy{Group: "s", LargeSize: 100})
	for _, key := range []string{"a", "b"} {
		require.NoError(t, v.Set(t.Context(), key, strings.Repeat("x", 200)))
	}
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, 1, strings.Count(text.String(), "a value is large"))
	assert.Contains(t, text.String(), "bytes=200 recommended=100")
}

type lockedWriter struct {
	mu *sync.Mutex
	w  *strings.Builder
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// The lease of a load that failed is given back: the next caller loads under its own, and does not wait for the old one
// to expire.
func TestAFailedLoadGivesItsLeaseBack(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "failing", Lease: time.Hour, LoadTimeout: time.Hour})
	failed := errors.New("no")
	_, err := v.Load(t.Context(), "a", func(context.Context) (string, error) { return "", failed })
	require.ErrorIs(t, err, failed)
	a, err := v.Read(t.Context(), "a", func(context.Context) (string, error) { return "text", nil })
	require.NoError(t, err)
	require.Equal(t, values.Filled, a.Source)

	keys := []string{"b", "c"}
	_, err = v.LoadMany(t.Context(), keys, func(context.Context, []string) (map[string]string, error) {
		return nil, failed
	})
	require.ErrorIs(t, err, failed)
	for range 2 {
		got, err := v.LoadMany(t.Context(), keys, func(context.Context, []string) (map[string]string, error) {
			return map[string]string{"b": "1", "c": "2"}, nil
		})
		require.NoError(t, err)
		require.Equal(t, map[string]string{"b": "1", "c": "2"}, got)
	}
}
