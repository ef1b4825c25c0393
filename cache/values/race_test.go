package values_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/singleflight"

	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// aside is what a race is run against: the cache, and the naive ways beside it.
type aside interface {
	load(ctx context.Context, key string, load values.Loading[string]) (string, error)
	drop(ctx context.Context, key string) error
}

// ours is the cache.
type ours struct{ v *values.Values[string] }

func (o ours) load(ctx context.Context, key string, load values.Loading[string]) (string, error) {
	return o.v.Load(ctx, key, load)
}

func (o ours) drop(ctx context.Context, key string) error {
	_, err := o.v.Delete(ctx, key)
	return err
}

// getSet is GET, load, SET; DEL: most tutorials.
type getSet struct {
	rdb    *redis.Client
	prefix string
}

func (n getSet) load(ctx context.Context, key string, load values.Loading[string]) (string, error) {
	if got, err := n.rdb.Get(ctx, n.prefix+key).Result(); err == nil {
		return got, nil
	}
	got, err := load(ctx)
	if err != nil {
		return "", err
	}
	return got, n.rdb.Set(ctx, n.prefix+key, got, time.Minute).Err()
}

func (n getSet) drop(ctx context.Context, key string) error {
	return n.rdb.Del(ctx, n.prefix+key).Err()
}

// perClient puts a placeholder of the client, not of the load, in the key: a load fills
// where it finds its client's.
type perClient struct {
	rdb    *redis.Client
	prefix string
	id     string
}

func (n perClient) load(ctx context.Context, key string, load values.Loading[string]) (string, error) {
	key, placeholder := n.prefix+key, "?"+n.id
	if got, err := n.rdb.Get(ctx, key).Result(); err == nil && got[0] != '?' {
		return got, nil
	}
	if err := n.rdb.SetNX(ctx, key, placeholder, time.Minute).Err(); err != nil {
		return "", err
	}
	got, err := load(ctx)
	if err != nil {
		return "", err
	}
	const fill = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('SET', KEYS[1], ARGV[2]) end`
	if err := n.rdb.Eval(ctx, fill, []string{key}, placeholder, got).Err(); err != nil && err != redis.Nil {
		return "", err
	}
	return got, nil
}

func (n perClient) drop(ctx context.Context, key string) error {
	return n.rdb.Del(ctx, n.prefix+key).Err()
}

// joining shares one load among all who ask while it runs, with its first caller's context.
type joining struct {
	next  aside
	group *singleflight.Group
}

func (n joining) load(ctx context.Context, key string, load values.Loading[string]) (string, error) {
	got, err, _ := n.group.Do(key, func() (any, error) { return n.next.load(ctx, key, load) })
	text, _ := got.(string)
	return text, err
}

func (n joining) drop(ctx context.Context, key string) error { return n.next.drop(ctx, key) }

// race runs a scenario against the cache, which must pass, and a naive way, which must
// not: a race that the naive way survives shows nothing.
func race(t *testing.T, naive func(b *bundle) aside, scenario func(t *testing.T, a aside) (right bool)) {
	t.Helper()
	b := setup(t)
	assert.True(t, scenario(t, ours{group[string](t, b.Cache, values.Policy{Group: "race"})}), "the cache")
	assert.False(t, scenario(t, naive(b)), "the naive way passes: the race is not run")
}

// during runs between while a load of the key is under way that has read already.
func during(t *testing.T, a aside, s *source, between func()) {
	t.Helper()
	goOn := s.slow()
	began := s.began
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = a.load(context.WithoutCancel(t.Context()), "k", s.load)
	}()
	<-began
	s.mu.Lock()
	s.hold, s.began = nil, nil // for other loads
	s.mu.Unlock()
	between()
	goOn()
	<-done
}

func TestRaceStaleFillAfterAnInvalidation(t *testing.T) {
	race(t, func(b *bundle) aside { return getSet{b.RDB, b.Under} }, func(t *testing.T, a aside) bool {
		s := &source{text: "old"}
		during(t, a, s, func() {
			s.set("new")
			require.NoError(t, a.drop(t.Context(), "k"))
		})
		got, err := a.load(t.Context(), "k", s.load)
		require.NoError(t, err)
		return got == "new"
	})
}

// The first load reads "old" and is slow; the key is dropped; a second load of the same
// client begins, and is slow too: the first must not pass for the second.
func TestRaceABAOfAPlaceholder(t *testing.T) {
	race(t, func(b *bundle) aside { return perClient{b.RDB, b.Under, "me"} }, func(t *testing.T, a aside) bool {
		first, second := &source{text: "old"}, &source{text: "new"}
		goOn := func() {}
		defer func() { goOn() }()
		during(t, a, first, func() {
			require.NoError(t, a.drop(t.Context(), "k"))
			if _, ok := a.(ours); ok {
				return // its callers share the first load; the fill is what counts
			}
			goOn = second.slow()
			began := second.began
			go func() { _, _ = a.load(context.WithoutCancel(t.Context()), "k", second.load) }()
			<-began
		})
		got, err := a.load(t.Context(), "k", (&source{text: "new"}).load)
		require.NoError(t, err)
		return got == "new"
	})
}

// The same for two processes of the cache, where the second load does begin.
func TestRaceABAOfALease(t *testing.T) {
	b := setup(t)
	one := ours{group[string](t, b.Cache, values.Policy{Group: "race"})}
	two := ours{group[string](t, b.Another(t), values.Policy{Group: "race"})}
	first, second := &source{text: "old"}, &source{text: "new"}
	done := make(chan struct{})
	var goOn func()
	during(t, one, first, func() {
		require.NoError(t, one.drop(t.Context(), "k"))
		goOn = second.slow()
		began := second.began
		go func() {
			defer close(done)
			got, err := two.load(context.WithoutCancel(t.Context()), "k", second.load)
			assert.NoError(t, err)
			assert.Equal(t, "new", got)
		}()
		<-began
	})
	goOn() // the first load has ended while the second held the lease
	<-done
	got, err := one.load(t.Context(), "k", first.load)
	require.NoError(t, err)
	assert.Equal(t, "new", got)
}

// A caller that has seen an invalidation joins a load that began before it.
func TestRaceJoinedLoadThatBeganBefore(t *testing.T) {
	naive := func(b *bundle) aside { return joining{getSet{b.RDB, b.Under}, &singleflight.Group{}} }
	race(t, naive, func(t *testing.T, a aside) bool {
		s := &source{text: "old"}
		joined := make(chan string, 1)
		during(t, a, s, func() {
			s.set("new")
			require.NoError(t, a.drop(t.Context(), "k"))
			asked := make(chan struct{})
			go func() {
				close(asked)
				got, err := a.load(context.WithoutCancel(t.Context()), "k", s.load)
				assert.NoError(t, err)
				joined <- got
			}()
			<-asked
			// It has joined, or has answered already, before the first load goes on.
			select {
			case got := <-joined:
				joined <- got
			case <-time.After(50 * time.Millisecond):
			}
		})
		return <-joined == "new"
	})
}

func TestRaceCancelledFirstCaller(t *testing.T) {
	naive := func(b *bundle) aside { return joining{getSet{b.RDB, b.Under}, &singleflight.Group{}} }
	race(t, naive, func(t *testing.T, a aside) bool {
		s := &source{text: "a"}
		goOn := s.slow()
		began := s.began
		ctx, cancel := context.WithCancel(t.Context())
		first, second := make(chan struct{}), make(chan error, 1)
		go func() {
			defer close(first)
			_, _ = a.load(ctx, "k", s.load)
		}()
		<-began
		go func() {
			_, err := a.load(context.WithoutCancel(t.Context()), "k", s.load)
			second <- err
		}()
		select {
		case <-second:
		case <-time.After(50 * time.Millisecond): // it has joined
		}
		cancel()
		<-first
		goOn()
		return <-second == nil
	})
}

// A deletion of the thing itself, then a late fill with what it was.
func TestRaceDeleteOverwrittenByALateFill(t *testing.T) {
	race(t, func(b *bundle) aside { return getSet{b.RDB, b.Under} }, func(t *testing.T, a aside) bool {
		s := &source{text: "there"}
		during(t, a, s, func() {
			s.fail(schema.ErrNotFound)
			require.NoError(t, a.drop(t.Context(), "k"))
		})
		_, err := a.load(t.Context(), "k", s.load)
		return err != nil
	})
}

// naiveL1 keeps values in the process and drops them on a message, as it comes.
type naiveL1 struct {
	getSet
	mu   sync.Mutex
	kept map[string]string
}

func (n *naiveL1) load(ctx context.Context, key string, load values.Loading[string]) (string, error) {
	n.mu.Lock()
	got, ok := n.kept[key]
	n.mu.Unlock()
	if ok {
		return got, nil
	}
	got, err := n.getSet.load(ctx, key, load)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.kept[key] = got
	return got, err
}

// A message that is lost leaves a naive L1 old for ever; the cache's shows in
// TestL1IsDroppedAfterALostSubscription and TestL1IsDroppedAfterAGap that it is not.
func TestRaceLostMessageNaive(t *testing.T) {
	b := setup(t)
	n := &naiveL1{getSet: getSet{b.RDB, b.Under}, kept: map[string]string{}}
	s := &source{text: "old"}
	_, err := n.load(t.Context(), "k", s.load)
	require.NoError(t, err)
	s.set("new")
	require.NoError(t, n.drop(t.Context(), "k")) // by another process, its message lost
	got, err := n.load(t.Context(), "k", s.load)
	require.NoError(t, err)
	assert.Equal(t, "old", got, "the naive way passes: the race is not run")
}

// TestTenThousandReadersOfAColdKeyLoadOnce has them in three processes, all waiting for
// the one load.
func TestTenThousandReadersOfAColdKeyLoadOnce(t *testing.T) {
	t.Parallel()
	const readers = 10_000
	server := testkit.Redis(t)
	rdb := server.Client(t)
	require.NoError(t, rdb.MSet(t.Context(), truth+"k", "value", held, "1").Err())
	here, err := newProcess(server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, here.close()) })
	processes := []actor{here, newChild(t, server.URL()), newChild(t, server.URL())}
	for i, p := range processes {
		n := readers / len(processes)
		if i == 0 {
			n += readers % len(processes)
		}
		require.NoError(t, p.do(command{Op: "readers", Key: "k", Value: "value", N: n}))
	}
	testkit.Eventually(t, "a load has begun", func() bool { return rdb.Exists(t.Context(), counted).Val() == 1 })
	require.NoError(t, rdb.Del(t.Context(), held).Err())
	for _, p := range processes {
		require.NoError(t, p.do(command{Op: "join"}))
	}
	n, err := rdb.Get(t.Context(), counted).Int()
	require.NoError(t, err)
	assert.Equal(t, 1, n, "loads")
}

// The naive way loads as often as readers came before its first SET.
func TestTenThousandReadersNaive(t *testing.T) {
	b := setup(t)
	var loads atomic.Int64
	var wg sync.WaitGroup
	naive, gate := getSet{b.RDB, b.Under}, make(chan struct{})
	var here sync.WaitGroup
	for range 100 {
		here.Add(1)
		wg.Go(func() {
			_, err := naive.load(t.Context(), "naive", func(ctx context.Context) (string, error) {
				loads.Add(1)
				here.Done()
				<-gate
				return "value", nil
			})
			assert.NoError(t, err)
		})
	}
	here.Wait()
	close(gate)
	wg.Wait()
	assert.EqualValues(t, 100, loads.Load(), "the naive way passes: the race is not run")
}
