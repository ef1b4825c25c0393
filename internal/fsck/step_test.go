package fsck_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/fsck"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// widest notes the most keys of a script.
type widest struct{ most, calls atomic.Int64 }

func (w *widest) DialHook(next redis.DialHook) redis.DialHook { return next }
func (w *widest) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (w *widest) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if keys, ok := cmd.Args()[min(2, len(cmd.Args())-1)].(int); ok && cmd.Name() == "evalsha" {
			w.calls.Add(1)
			w.most.Store(max(w.most.Load(), int64(keys)))
		}
		return next(ctx, cmd)
	}
}

// differEverywhere leaves n records whose rows another program has changed.
func (b *bundle) differEverywhere(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		require.NoError(t, b.write(t.Context(), cache.OpPut, fmt.Sprintf("d%04d", i), "n"))
	}
	for p := range b.entity.Partitions {
		require.NoError(t, b.flush(t.Context(), p))
	}
	for i := range n {
		values, err := b.entity.Whole(schema.Fields{"name": "other"})
		require.NoError(t, err)
		b.around(t, schema.Change{ID: fmt.Sprintf("d%04d", i), Version: 1, Values: values})
	}
}

// A script of the check reads few records: Redis does nothing else meanwhile. Records that differ are read again
// together, with one pause for each page.
func TestTheCheckGoesInSteps(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.SQLite(t))
	b.differEverywhere(t, 300)
	w := &widest{}
	c, err := cache.New(cache.Config{URL: testkit.SharedRedis(t).URL(), Prefix: b.prefix, Loader: b.store,
		Log: testkit.Logger(t), Hooks: []redis.Hook{w}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	const pause = 100 * time.Millisecond
	begun := time.Now()
	report, err := fsck.Run(t.Context(), c, whole.Of(c).Backlog, b.store, []*schema.Entity{b.entity},
		fsck.Options{Step: 10, Pause: pause})
	require.NoError(t, err)
	require.EqualValues(t, 300, report.Entities[0].Different)
	require.EqualValues(t, 3+10, w.most.Load(), "three lists and ten records")
	require.Greater(t, w.calls.Load(), int64(60))
	require.Less(t, time.Since(begun), 300*pause, "not a pause for each")
}
