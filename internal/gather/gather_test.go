package gather_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/gather"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// sum is a call that is answered the number of calls that had begun before it.
type sum struct{ n, answer int }

// gate holds batches up until it is opened, and remembers their sizes.
type gate struct {
	open  chan struct{}
	begun atomic.Int32

	mu    sync.Mutex // guards sizes
	sizes []int
}

func newGate() *gate { return &gate{open: make(chan struct{})} }

func (g *gate) run(ctx context.Context, batch []*sum) {
	g.mu.Lock()
	g.sizes = append(g.sizes, len(batch))
	g.mu.Unlock()
	g.begun.Add(1)
	<-g.open
	for _, s := range batch {
		s.answer = s.n + 1
		if ctx.Err() != nil {
			s.answer = -1
		}
	}
}

// hold lets one caller begin a batch in each place.
func (g *gate) hold(t *testing.T, callers *sync.WaitGroup, places int, do func(context.Context, *sum) error) {
	t.Helper()
	for range places {
		callers.Go(func() { _ = do(t.Context(), &sum{}) })
	}
	testkit.Eventually(t, "every place is taken", func() bool { return int(g.begun.Load()) == places })
}

func TestCallsThatComeMeanwhileGoTogether(t *testing.T) {
	t.Parallel()
	g := newGate()
	c := gather.New(gather.Limits{Batches: 2, Calls: 30, Waiting: 100}, g.run)
	var callers sync.WaitGroup
	g.hold(t, &callers, 2, c.Do)
	answers := make([]int, 45)
	for i := range answers {
		callers.Go(func() {
			s := &sum{n: i}
			if err := c.Do(t.Context(), s); err != nil {
				t.Error(err)
			}
			answers[i] = s.answer
		})
	}
	testkit.Eventually(t, "all wait", func() bool { return c.Waiting() == len(answers) })
	close(g.open)
	callers.Wait()
	for i, answer := range answers {
		require.Equal(t, i+1, answer, "each has its own answer")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	require.ElementsMatch(t, []int{1, 1, 30, 15}, g.sizes)
}

// Callers that come and go lose no call, and no batch runs beside another.
func TestManyCallers(t *testing.T) {
	t.Parallel()
	var running, calls atomic.Int32
	c := gather.New(gather.Limits{Batches: 1, Calls: 8, Waiting: 1000}, func(_ context.Context, batch []*sum) {
		if running.Add(1) != 1 {
			t.Error("two batches run at once")
		}
		calls.Add(int32(len(batch)))
		for _, s := range batch {
			s.answer = s.n + 1
		}
		running.Add(-1)
	})
	var callers sync.WaitGroup
	for range 50 {
		callers.Go(func() {
			for n := range 200 {
				s := &sum{n: n}
				if err := c.Do(t.Context(), s); err != nil || s.answer != n+1 {
					t.Errorf("%+v: %v", s, err)
				}
			}
		})
	}
	callers.Wait()
	require.EqualValues(t, 50*200, calls.Load())
	require.Zero(t, c.Waiting())
}

func TestFull(t *testing.T) {
	t.Parallel()
	g := newGate()
	c := gather.New(gather.Limits{Batches: 1, Calls: 8, Waiting: 1}, g.run)
	var callers sync.WaitGroup
	g.hold(t, &callers, 1, c.Do)
	callers.Go(func() { _ = c.Do(t.Context(), &sum{}) })
	testkit.Eventually(t, "one waits", func() bool { return c.Waiting() == 1 })
	require.ErrorIs(t, c.Do(t.Context(), &sum{}), gather.ErrFull)
	close(g.open)
	callers.Wait()
	require.EqualValues(t, 2, g.begun.Load())
}

// A caller whose context ends before its batch has begun is not in it.
func TestACallerThatWaitsLeaves(t *testing.T) {
	t.Parallel()
	g := newGate()
	c := gather.New(gather.Limits{Batches: 1, Calls: 8, Waiting: 8}, g.run)
	var callers sync.WaitGroup
	g.hold(t, &callers, 1, c.Do)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := c.Do(ctx, &sum{})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, gather.ErrSent)
	require.Zero(t, c.Waiting())
	close(g.open)
	callers.Wait()
	require.EqualValues(t, 1, g.begun.Load())
	require.NoError(t, c.Do(t.Context(), &sum{}), "the place is free again")
}

// A caller whose context ends while its batch runs does not wait for it, and neither ends
// the batch nor the calls of others.
func TestACallerLeavesItsBatch(t *testing.T) {
	t.Parallel()
	first, second := newGate(), newGate()
	runs := 0 // one batch at a time
	c := gather.New(gather.Limits{Batches: 1, Calls: 8, Waiting: 8}, func(ctx context.Context, batch []*sum) {
		if runs++; runs == 1 {
			first.run(ctx, batch)
			return
		}
		second.run(ctx, batch)
	})
	var callers sync.WaitGroup
	first.hold(t, &callers, 1, c.Do)
	ctx, cancel := context.WithCancel(t.Context())
	left := make(chan error, 1)
	callers.Go(func() { left <- c.Do(ctx, &sum{}) })
	testkit.Eventually(t, "it is the first that waits", func() bool { return c.Waiting() == 1 })
	other := &sum{n: 6}
	callers.Go(func() { _ = c.Do(t.Context(), other) })
	testkit.Eventually(t, "another waits behind it", func() bool { return c.Waiting() == 2 })
	close(first.open)
	testkit.Eventually(t, "their batch runs", func() bool { return second.begun.Load() == 1 })
	cancel()
	err := <-left
	require.ErrorIs(t, err, gather.ErrSent)
	require.ErrorIs(t, err, context.Canceled)
	close(second.open)
	callers.Wait()
	require.Equal(t, 7, other.answer)
}

func TestKeysDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	g := newGate()
	k := gather.NewKeyed[string](gather.Limits{Batches: 1, Calls: 8, Waiting: 8}, g.run)
	var callers sync.WaitGroup
	callers.Go(func() { _ = k.Do(t.Context(), "a", &sum{}) })
	testkit.Eventually(t, "a runs", func() bool { return g.begun.Load() == 1 })
	callers.Go(func() { _ = k.Do(t.Context(), "b", &sum{}) })
	testkit.Eventually(t, "b runs beside it", func() bool { return g.begun.Load() == 2 })
	for range 3 {
		callers.Go(func() { _ = k.Do(t.Context(), "a", &sum{}) })
	}
	testkit.Eventually(t, "more of a wait", func() bool { return k.Waiting("a") == 3 })
	require.Zero(t, k.Waiting("b"))
	close(g.open)
	callers.Wait()
	require.EqualValues(t, 3, g.begun.Load())
	require.Zero(t, k.Waiting("a"))
}
