package values_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// Where a group's values are often not cached, the first trip asks for the lease, and the second fills.
func TestAValueMissTakesTwoTrips(t *testing.T) {
	b, h := withTrips(t)
	v := group[string](t, b.Cache, values.Policy{Group: "often"})
	load := func(context.Context) (string, error) { return "text", nil }
	read := func(key string, want values.Source) func() {
		return func() {
			a, err := v.Read(t.Context(), key, load)
			assert.NoError(t, err)
			assert.Equal(t, "text", a.Value)
			assert.Equal(t, want, a.Source)
		}
	}
	for i := range 40 {
		read(fmt.Sprint("cold", i), values.Filled)()
	}
	require.EqualValues(t, 2, h.Of(read("a", values.Filled)))
	for range 200 {
		require.EqualValues(t, 1, h.Of(read("a", values.Hit)))
	}
	require.EqualValues(t, 3, h.Of(read("b", values.Filled)), "hits are expected again, and cost Redis least")
}

// Many values that are not cached take three trips, however many they are: a look, the leases, and the fills.
func TestManyMissesTakeThreeTrips(t *testing.T) {
	b, h := withTrips(t)
	v := group[string](t, b.Cache, values.Policy{Group: "many"})
	var keys []string
	for i := range 50 {
		keys = append(keys, fmt.Sprint(i))
	}
	load := func(_ context.Context, missing []string) (map[string]string, error) {
		got := map[string]string{}
		for _, key := range missing {
			got[key] = "text"
		}
		return got, nil
	}
	read := func() {
		got, err := v.LoadMany(t.Context(), keys, load)
		assert.NoError(t, err)
		assert.Len(t, got, 50)
	}
	require.NoError(t, v.Set(t.Context(), "warm", "x")) // the scripts are known
	_, err := v.LoadMany(t.Context(), []string{"first"}, load)
	require.NoError(t, err)
	require.EqualValues(t, 3, h.Of(read))
	require.EqualValues(t, 1, h.Of(read))
}

// gated holds every round trip of several commands until it is opened.
type gated struct{ open, held chan struct{} }

func (*gated) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (*gated) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (g *gated) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		if cmds[0].Name() == "get" {
			g.held <- struct{}{}
			<-g.open
		}
		return next(ctx, cmds)
	}
}

// Values that concurrent callers read share round trips, of which two are under way at most; each caller gets its own
// value, absence included.
func TestReadsOfValuesShareTrips(t *testing.T) {
	g := &gated{make(chan struct{}), make(chan struct{}, 100)}
	b := setup(t, func(_ *schema.Entity, c *cache.Config) { c.Hooks = append(c.Hooks, g) })
	v := group[[]string](t, b.Cache, values.Policy{Group: "shared", Tags: []values.Tag{values.NamedTag("all")}})
	const callers = 50
	for i := range callers - 1 {
		require.NoError(t, v.Set(t.Context(), fmt.Sprint(i), []string{fmt.Sprint("value ", i)}))
	}
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			got, err := v.Get(t.Context(), fmt.Sprint(i))
			if i == callers-1 {
				assert.ErrorIs(t, err, schema.ErrNotFound)
				return
			}
			assert.NoError(t, err)
			assert.Equal(t, []string{fmt.Sprint("value ", i)}, got)
		})
	}
	testkit.Eventually(t, "all others wait", func() bool { return values.GatheredReads(b.Cache) == callers-2 })
	require.Len(t, g.held, 2)
	close(g.open)
	all.Wait()
	require.Len(t, g.held, 3, "trips")
}

func withTrips(t *testing.T) (*bundle, *whole.Trips) {
	t.Helper()
	h := &whole.Trips{}
	return setup(t, func(_ *schema.Entity, c *cache.Config) {
		c.Hooks, c.Lease = append(c.Hooks, h), time.Hour
	}), h
}
