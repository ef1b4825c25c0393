package producer

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// counter is a sequence in memory.
type counter struct {
	mu    sync.Mutex
	last  int
	draws []int
	err   error
	gate  chan struct{} // a draw receives from it first; nil: it does not
}

func (c *counter) Draw(ctx context.Context, _ *schema.Entity, n int) ([]string, error) {
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draws = append(c.draws, n)
	ids := make([]string, n)
	for i := range ids {
		c.last++
		ids[i] = strconv.Itoa(c.last)
	}
	return ids, c.err
}

func numbersFrom(t *testing.T, c *counter, waiting int) *numbers {
	t.Helper()
	e := &schema.Entity{Name: "ticket", ID: schema.ID{Made: schema.MadeSequence},
		Fields: []schema.Field{{Name: "label", Type: schema.Text}}}
	require.NoError(t, e.Init())
	s := newNumbers(e, c, waiting, time.Minute, func(int) {})
	s.now = func() time.Time { return time.Unix(1e9, 0) }
	return s
}

func next(t *testing.T, s *numbers) string {
	t.Helper()
	id, err := s.next(t.Context())
	require.NoError(t, err)
	return id
}

// Blocks grow while they are used up quickly, up to a bound, shrink with the use, and an old rest is dropped.
func TestBlocksFollowTheUse(t *testing.T) {
	c := &counter{}
	s := numbersFrom(t, c, 10)
	at := time.Unix(1e9, 0)
	s.now = func() time.Time { return at }
	for i := range 3000 {
		require.Equal(t, strconv.Itoa(i+1), next(t, s))
	}
	require.Equal(t, []int{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1000, 1000}, c.draws)
	at = at.Add(5 * time.Second)
	for range 23 { // the rest
		next(t, s)
	}
	next(t, s)
	require.Equal(t, 500, c.draws[len(c.draws)-1])
	at = at.Add(11 * time.Second)
	require.Equal(t, "3524", next(t, s), "the rest of 499 is a gap")
}

// Callers that come while a draw is under way share the next one.
func TestConcurrentCreatesShareADraw(t *testing.T) {
	c := &counter{gate: make(chan struct{})}
	s := numbersFrom(t, c, 50)
	ids := make(chan string, 51)
	ask := func() {
		id, err := s.next(t.Context())
		if err != nil {
			t.Error(err)
		}
		ids <- id
	}
	go ask()
	c.gate <- struct{}{} // the first is under way, or done
	first := <-ids
	go ask() // is under way until the gate lets it through
	require.Eventually(t, func() bool { return s.trips.Waiting() == 0 }, time.Minute, time.Millisecond)
	for range 49 {
		go ask()
	}
	seen := map[string]bool{first: true}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			seen[<-ids] = true
		}
	}()
	for open := true; open; {
		select {
		case c.gate <- struct{}{}:
		case <-done:
			open = false
		}
	}
	require.Len(t, seen, 51)
	require.Less(t, len(c.draws), 12)
}

// A full queue is a named refusal; a caller who leaves takes nothing from the others.
func TestWaitingForIDsIsBounded(t *testing.T) {
	c := &counter{gate: make(chan struct{})}
	s := numbersFrom(t, c, 1)
	results := make(chan error, 2)
	ask := func(ctx context.Context) { _, err := s.next(ctx); results <- err }
	go ask(t.Context())
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.next(ctx) // waits where the first is under way, and leaves at once
		return errors.Is(err, context.Canceled) && s.trips.Waiting() == 0
	}, time.Minute, time.Millisecond)
	go ask(t.Context())
	require.Eventually(t, func() bool { return s.trips.Waiting() == 1 }, time.Minute, time.Millisecond)
	_, err := s.next(t.Context())
	require.ErrorIs(t, err, schema.ErrBusy)
	c.gate <- struct{}{}
	require.NoError(t, <-results)
	c.gate <- struct{}{}
	require.NoError(t, <-results)
}

// What is wrong is named: the database, or the sequence.
func TestADrawThatFails(t *testing.T) {
	c := &counter{err: errors.New("down")}
	s := numbersFrom(t, c, 10)
	_, err := s.next(t.Context())
	require.ErrorIs(t, err, schema.ErrDatabaseUnavailable)
	c.err = fmt.Errorf("at its end: %w", schema.ErrNoID)
	_, err = s.next(t.Context())
	require.ErrorIs(t, err, schema.ErrNoID)
	require.NotErrorIs(t, err, schema.ErrDatabaseUnavailable)
	c.err = nil
	require.NotEmpty(t, next(t, s))
}
