package values_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// shelf is what many values are loaded from.
type shelf struct {
	mu    sync.Mutex
	round int
	err   error
	asked [][]string
	hold  chan struct{}
}

func (s *shelf) load(ctx context.Context, missing []string) (map[string]string, error) {
	s.mu.Lock()
	s.asked = append(s.asked, missing)
	round, err, hold := s.round, s.err, s.hold
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if err != nil {
		return nil, err
	}
	got := map[string]string{}
	for _, key := range missing {
		got[key] = fmt.Sprint(key, round)
	}
	return got, nil
}

func (s *shelf) become(round int, err error, hold chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round, s.err, s.hold, s.asked = round, err, hold, nil
}

func (s *shelf) calls() [][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

var twoKeys = []string{"a", "b"}

func pair(round int) map[string]string {
	return map[string]string{"a": fmt.Sprint("a", round), "b": fmt.Sprint("b", round)}
}

func loadPair(t *testing.T, v *values.Values[string], s *shelf) map[string]string {
	t.Helper()
	got, err := v.LoadMany(t.Context(), twoKeys, s.load)
	require.NoError(t, err)
	return got
}

// stale waits until both values are past their TTL, and loads nothing for that.
func stale(t *testing.T, v *values.Values[string]) {
	t.Helper()
	testkit.Eventually(t, "the values are stale", func() bool {
		_, a := v.Get(t.Context(), "a")
		_, b := v.Get(t.Context(), "b")
		return a != nil && b != nil
	})
}

func TestLoadManyAnswersStaleWhileOneCallRefreshes(t *testing.T) {
	b := setup(t)
	s := &shelf{}
	v := group[string](t, b.Cache, values.Policy{Group: "m", TTL: 20 * time.Millisecond, Stale: time.Hour})
	loadPair(t, v, s)
	stale(t, v)
	hold := make(chan struct{})
	s.become(1, nil, hold)
	for range 20 {
		require.Equal(t, pair(0), loadPair(t, v, s))
	}
	testkit.Eventually(t, "they are refreshed", func() bool { return len(s.calls()) > 0 })
	assert.Equal(t, [][]string{twoKeys}, s.calls(), "in one call, once")
	close(hold)
	testkit.Eventually(t, "the new values are there", func() bool {
		got := loadPair(t, v, s)
		return got["a"] != "a0" && got["b"] != "b0"
	})
}

func TestLoadManyRefreshesEarly(t *testing.T) {
	b := setup(t)
	s := &shelf{}
	v := group[string](t, b.Cache, values.Policy{Group: "m", TTL: time.Hour, Early: 1e12})
	loadPair(t, v, s)
	s.become(1, nil, nil)
	testkit.Eventually(t, "the next values are there", func() bool {
		got := loadPair(t, v, s)
		return got["a"] == "a1" && got["b"] == "b1"
	})
}

func TestLoadManyAnswersStaleForAnError(t *testing.T) {
	b := setup(t)
	s := &shelf{}
	tag := values.NamedTag("x")
	v := group[string](t, b.Cache, values.Policy{Group: "m", TTL: 20 * time.Millisecond, StaleOnError: time.Hour,
		Tags: []values.Tag{tag}})
	loadPair(t, v, s)
	stale(t, v)
	s.become(1, errors.New("no database"), nil)
	require.Equal(t, pair(0), loadPair(t, v, s))
	_, err := v.LoadMany(t.Context(), []string{"a", "never"}, s.load)
	require.ErrorContains(t, err, "no database", "one of them has no stale value")

	require.NoError(t, values.InvalidateTags(t.Context(), b, tag))
	_, err = v.LoadMany(t.Context(), twoKeys, s.load)
	require.ErrorContains(t, err, "no database", "what was invalidated stands in for nothing")
	s.become(2, nil, nil)
	require.Equal(t, pair(2), loadPair(t, v, s), "the failed load left no lease behind")
}

// A refresh that had begun before an invalidation does not fill after it.
func TestARefreshOfManyIsEndedByAnInvalidation(t *testing.T) {
	b := setup(t)
	s := &shelf{}
	v := group[string](t, b.Cache, values.Policy{Group: "m", TTL: 20 * time.Millisecond, Stale: time.Hour})
	loadPair(t, v, s)
	stale(t, v)
	hold := make(chan struct{})
	s.become(1, nil, hold)
	loadPair(t, v, s)
	testkit.Eventually(t, "a refresh is under way", func() bool { return len(s.calls()) > 0 })
	_, err := v.Delete(t.Context(), twoKeys...)
	require.NoError(t, err)
	s.become(2, nil, nil)
	close(hold)
	require.Equal(t, pair(2), loadPair(t, v, s))
	testkit.Eventually(t, "the refresh is over", func() bool { return values.Refreshing(b.Cache) == 0 })
	got := loadPair(t, v, s)
	require.NotEqual(t, "a1", got["a"])
	require.NotEqual(t, "b1", got["b"])
}
