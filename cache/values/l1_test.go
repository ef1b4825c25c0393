package values_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

var inProcess = schema.L1{Bytes: 1 << 20, Age: time.Hour}

// local reads until the L1 answers.
func local(t *testing.T, v *values.Values[string], key, want string, load values.Loading[string]) {
	t.Helper()
	testkit.Eventually(t, "the L1 answers", func() bool {
		a, err := v.Read(t.Context(), key, load)
		require.NoError(t, err)
		require.Equal(t, want, a.Value)
		return a.Source == values.Local
	})
}

// becomes reads until another process's change has arrived.
func becomes(t *testing.T, v *values.Values[string], key, want string, load values.Loading[string]) {
	t.Helper()
	testkit.Eventually(t, key+" becomes "+want, func() bool {
		got, err := v.Load(t.Context(), key, load)
		require.NoError(t, err)
		return got == want
	})
}

func TestL1OfValues(t *testing.T) {
	b := setup(t)
	p := values.Policy{Group: "s", L1: inProcess}
	here, there := group[string](t, b.Cache, p), group[string](t, b.Another(t), p)
	s := &source{text: "1"}
	local(t, here, "a", "1", s.load)
	local(t, there, "a", "1", s.load)

	require.NoError(t, here.Set(t.Context(), "a", "2"))
	got, err := here.Load(t.Context(), "a", s.load)
	require.NoError(t, err)
	assert.Equal(t, "2", got, "a process reads its own write")
	becomes(t, there, "a", "2", s.load)

	local(t, here, "a", "2", s.load)
	s.set("3")
	_, err = there.Delete(t.Context(), "a")
	require.NoError(t, err)
	becomes(t, here, "a", "3", s.load)

	local(t, there, "a", "3", s.load)
	s.set("4")
	_, err = here.InvalidateMatch(t.Context(), "*", nil)
	require.NoError(t, err)
	becomes(t, there, "a", "4", s.load)
}

func TestL1HearsOfTags(t *testing.T) {
	b := setup(t)
	other := b.Another(t)
	p := values.Policy{Group: "s", L1: inProcess, Tags: []values.Tag{values.NamedTag("x")}}
	here, there := group[string](t, b.Cache, p), group[string](t, other, p)
	s := &source{text: "1"}
	local(t, here, "a", "1", s.load)
	local(t, there, "a", "1", s.load)
	s.set("2")
	require.NoError(t, values.InvalidateTags(t.Context(), b, values.NamedTag("x")))
	got, err := here.Load(t.Context(), "a", s.load)
	require.NoError(t, err)
	assert.Equal(t, "2", got, "a process reads its own invalidation")
	becomes(t, there, "a", "2", s.load)
}

func TestL1IsDroppedAfterALostSubscription(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	open := func() *values.Values[string] {
		c, err := cache.New(cache.Config{URL: server.URL(), Log: testkit.Logger(t)})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return group[string](t, c, values.Policy{Group: "s", L1: inProcess, TTL: time.Hour})
	}
	here, there := open(), open()
	s := &source{text: "1"}
	local(t, here, "a", "1", s.load)
	server.Restart()
	testkit.Eventually(t, "the value is set", func() bool { return there.Set(t.Context(), "a", "2") == nil })
	becomes(t, here, "a", "2", s.load)
}

// A message that never arrives, on a connection that stays up: the next one tells, by its
// number.
func TestL1IsDroppedAfterAGap(t *testing.T) {
	b := setup(t)
	other := b.Another(t)
	p := values.Policy{Group: "s", L1: inProcess}
	here, there := group[string](t, b.Cache, p), group[string](t, other, p)
	s := &source{text: "1"}
	require.NoError(t, there.Set(t.Context(), "first", "x")) // its sender is known from now on
	local(t, here, "first", "x", s.load)
	local(t, here, "a", "1", s.load)
	require.NoError(t, there.Set(t.Context(), "other", "x"))
	local(t, here, "a", "1", s.load)
	// The value is set and its number used up, but no message is sent.
	raw := b.RDB
	old := raw.Get(t.Context(), b.Under+":v:{s:a}").Val()
	require.NotEmpty(t, old)
	silent := group[string](t, other, values.Policy{Group: "s"})
	require.NoError(t, silent.Set(t.Context(), "a", "2"))
	values.LoseMessage(other)
	require.NoError(t, there.Set(t.Context(), "other", "y"))
	becomes(t, here, "a", "2", s.load)
}

// The first message of a sender that is lost shows with its second, as does the first event of a partition after the
// subscription.
func TestL1IsDroppedWhenTheFirstMessageIsLost(t *testing.T) {
	b := setup(t)
	other := b.Another(t)
	p := values.Policy{Group: "s", L1: inProcess}
	here, there := group[string](t, b.Cache, p), group[string](t, other, p)
	s := &source{text: "1"}
	local(t, here, "a", "1", s.load)
	silent := group[string](t, other, values.Policy{Group: "s"})
	require.NoError(t, silent.Set(t.Context(), "a", "2"))
	values.LoseMessage(other)
	require.NoError(t, there.Set(t.Context(), "other", "y"))
	becomes(t, here, "a", "2", s.load)
}

// A reader that was slow must not put into the L1 what was set over while it read.
func TestL1PutRacingASet(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "s", L1: inProcess})
	local(t, v, "warm", "x", func(context.Context) (string, error) { return "x", nil })
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = v.Get(t.Context(), "a")
				}
			}
		})
	}
	for i := range 500 {
		want := string(rune('a' + i%26))
		require.NoError(t, v.Set(t.Context(), "a", want))
		got, err := v.Get(t.Context(), "a")
		require.NoError(t, err)
		require.Equal(t, want, got, "round %d", i)
	}
	close(stop)
	wg.Wait()
}

func TestL1IsBoundedInBytesAndAge(t *testing.T) {
	b := setup(t)
	v := group[string](t, b.Cache, values.Policy{Group: "s", CompressAbove: -1,
		L1: schema.L1{Bytes: 64 << 10, Age: time.Second}})
	s := &source{text: string(make([]byte, 10_000))}
	local(t, v, "a", s.text, s.load)
	testkit.Eventually(t, "it is too old", func() bool {
		a, err := v.Read(t.Context(), "a", s.load)
		require.NoError(t, err)
		return a.Source == values.Hit
	})
	for i := range 100 {
		_, err := v.Load(t.Context(), string(rune('a'+i)), s.load)
		require.NoError(t, err)
	}
	testkit.Eventually(t, "it keeps its bound", func() bool { return values.LocalBytes(v) <= 64<<10 })
}

// While its subscription is refused an L1 keeps nothing, though Redis answers all else.
func TestL1KeepsNothingWhileEventsAreLost(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	admin := server.Client(t)
	grant := func(rule ...any) {
		t.Helper()
		require.NoError(t, admin.Do(t.Context(), append([]any{"ACL", "SETUSER", "reader"}, rule...)...).Err())
	}
	grant("on", "nopass", "~*", "&*", "+@all")
	open := func(url string) *values.Values[string] {
		c, err := cache.New(cache.Config{URL: url, Log: testkit.Logger(t)})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return group[string](t, c, values.Policy{Group: "s", L1: inProcess, TTL: time.Hour})
	}
	here, there := open("redis://reader:any@"+server.Addr()), open(server.URL())
	s := &source{text: "1"}
	local(t, here, "a", "1", s.load)
	grant("resetchannels") // ends the subscription
	testkit.Eventually(t, "the loss is noticed", func() bool {
		a, err := here.Read(t.Context(), "a", s.load)
		require.NoError(t, err)
		return a.Source == values.Hit
	})
	for _, want := range []string{"2", "3", "4"} {
		require.NoError(t, there.Set(t.Context(), "a", want))
		for range 3 {
			got, err := here.Load(t.Context(), "a", s.load)
			require.NoError(t, err)
			require.Equal(t, want, got, "no message reaches this process")
		}
	}
	grant("&*")
	local(t, here, "a", "4", s.load)
}

// A network that drops packets without a word leaves a subscription that looks well.
func TestL1IsDroppedWhenItsConnectionIsSilent(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	proxy := testkit.NewProxy(t, server.Addr())
	c, err := cache.New(cache.Config{URL: proxy.URL(t, server.URL()), Timeout: 200 * time.Millisecond,
		Log: testkit.Logger(t)})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	v := group[string](t, c, values.Policy{Group: "s", L1: inProcess, TTL: time.Hour})
	s := &source{text: "1"}
	local(t, v, "a", "1", s.load)
	s.set("2")
	proxy.Blackhole()
	testkit.Eventually(t, "the silence is noticed", func() bool {
		a, err := v.Read(t.Context(), "a", s.load)
		require.NoError(t, err)
		return a.Source == values.Bypass && a.Value == "2"
	})
}
