package cache

import (
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
				if err != nil || g.Results[0].Err != nil || read.ID != id || read.Version != g.Results[0].Version ||
					read.Values[0] != strconv.Itoa(n) {
					t.Errorf("read %+v, %v after %+v", read, err, g.Results[0])
					return
				}
			}
		})
	}
	callers.Wait()
}
