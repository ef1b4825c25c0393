package cache_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// TestCountersThroughEverything has 64 callers count on a few records while replies are
// lost, requests never arrive, a flusher persists and repeats its acks, and records are
// evicted. Each caller repeats what it does not know the outcome of under the same
// operation id, as it must; every increment counts once.
func TestCountersThroughEverything(t *testing.T) {
	const callers, each, records = 64, 25, 3
	b := setup(t)
	for i := range records {
		b.Table.Set(fmt.Sprint("c", i), whole.Row("n", "1", "1000"))
	}
	var stop atomic.Bool
	var around, counting sync.WaitGroup
	around.Go(func() {
		for !stop.Load() {
			b.Flush(t)
			b.Flush(t)
			for i := range records {
				b.Evict(t, fmt.Sprint("c", i))
			}
		}
	})
	write := testkit.Script(t, "write")
	var unknown atomic.Int64
	for caller := range callers {
		counting.Go(func() {
			for i := range each {
				if i%5 == 0 {
					b.Faults.Inject([]testkit.Mode{testkit.LoseReply, testkit.Vanish}[caller%2], write)
				}
				key := fmt.Sprint(caller, "/", i)
				for !b.countOnce(fmt.Sprint("c", (caller+i)%records), key) {
					unknown.Add(1)
				}
			}
		})
	}
	counting.Wait()
	stop.Store(true)
	around.Wait()
	b.Faults.Clear()
	b.Flush(t)
	sum := 0
	for id, v := range b.Table.Copy() {
		n, err := strconv.Atoi(v[2])
		require.NoError(t, err)
		sum += n - 1000
		require.Equal(t, v, b.Got(t, id).Values)
	}
	require.Equal(t, callers*each, sum)
	require.EqualValues(t, callers*each, b.Total(t).Accepted)
	t.Logf("%d attempts had no or an unknown outcome", unknown.Load())
	require.Positive(t, unknown.Load())
}

// countOnce adds 1 under an operation id, loading the record where that is asked for, and
// reports whether it is known to be counted.
func (b *bundle) countOnce(id, key string) bool {
	w := cache.Write{Op: cache.OpIncrement, ID: id, Key: key, KeyHash: "h", Deltas: []cache.Delta{{Field: 2, By: 1}}}
	for range 3 {
		g := &cache.Group{Entity: b.E, Partition: b.E.Partition(id), Writes: []cache.Write{w}}
		b.Write(context.Background(), g)
		got := g.Results[0]
		if got.Token == "" {
			return got.Err == nil
		}
		rows, _ := b.Table.Load(context.Background(), b.E, []string{id})
		v, ok := rows[id]
		w.Row, w.Token = &schema.Row{ID: id, Exists: ok, Values: v}, got.Token
	}
	return false
}
