package cache

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// Callers who share a trip each get their own record, and none older than what was
// accepted before it asked.
func TestLooksShareTrips(t *testing.T) {
	t.Parallel()
	e := &schema.Entity{Name: "looked", Fields: []schema.Field{{Name: "n", Type: schema.Int}}}
	require.NoError(t, e.Init())
	c, err := New(Config{URL: testkit.Redis(t).URL()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	var callers sync.WaitGroup
	for caller := range 30 {
		callers.Go(func() {
			id := "u" + strconv.Itoa(caller)
			for n := range 100 {
				g := &Group{Entity: e, Partition: e.Partition(id), Writes: []Write{
					{Op: OpPut, ID: id, Values: schema.Values{strconv.Itoa(n)}}}}
				c.Write(t.Context(), g)
				read, err := c.Get(t.Context(), e, id)
				if err != nil || g.Results[0].Err != nil || read.ID != id || read.Version != g.Results[0].Version || read.Values[0] != strconv.Itoa(n) {
					t.Errorf("read %+v, %v after %+v", read, err, g.Results[0])
					return
				}
			}
		})
	}
	callers.Wait()
	testkit.Eventually(t, "the last trip, too, is given back", func() bool {
		c.looks.mu.Lock()
		defer c.looks.mu.Unlock()
		return c.looks.away == 0 && len(c.looks.waiting) == 0
	})
}

// A caller whose context ends does not wait for the trip that its look is on.
func TestLookIsLeft(t *testing.T) {
	t.Parallel()
	s := &looks{away: lookTrips} // others are under way
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.do(ctx, &look{})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, s.waiting, 1)
	require.Len(t, s.next(), 1)
	require.Nil(t, s.next())
	require.Equal(t, lookTrips-1, s.away)
}
