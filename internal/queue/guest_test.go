package queue

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A task that comes shortly before a guest is started waits for it: deferred, asynq would look for it in five seconds.
// Where it is not started, tasks are deferred at once after these.
func TestATaskBeforeAGuestStarts(t *testing.T) {
	task := asynq.NewTask(TypeSync, []byte(`{"entity":"user","partition":0,"generation":1}`))
	handle := func(context.Context, Task) error { return nil }
	synctest.Test(t, func(t *testing.T) {
		g, began := NewGuest(testkit.Logger(t)), time.Now()
		ended := make(chan error, 1)
		go func() { ended <- g.ProcessTask(t.Context(), task) }()
		synctest.Wait()
		require.NoError(t, g.Start(handle))
		require.NoError(t, <-ended)
		require.Zero(t, time.Since(began))
		g.Shutdown()
		require.ErrorIs(t, g.ProcessTask(t.Context(), task), errNotWorking)
		require.Zero(t, time.Since(began))
		require.NoError(t, g.Start(handle))
		require.NoError(t, g.ProcessTask(t.Context(), task))
	})
	synctest.Test(t, func(t *testing.T) {
		g, began := NewGuest(testkit.Logger(t)), time.Now()
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, g.ProcessTask(ended, task), errNotWorking)
		require.Zero(t, time.Since(began))
		for range 2 {
			require.ErrorIs(t, g.ProcessTask(t.Context(), task), errNotWorking)
			require.Equal(t, startTime, time.Since(began))
		}
	})
}
