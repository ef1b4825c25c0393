package rdb_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A master that was frozen while another took over still thinks that it is the master, for some seconds. A connection
// that was opened to it before the others knew is not used: it would read what is old, and write what is lost.
func TestAFormerMasterIsNotUsed(t *testing.T) {
	t.Parallel()
	s := testkit.RedisSentinel(t)
	old := s.Nodes[0]
	require.NoError(t, old.Client(t).Set(t.Context(), "k", "old", 0).Err())
	require.EqualValues(t, 1, old.Client(t).Wait(t.Context(), 1, time.Minute).Val())
	old.Pause()
	c, err := rdb.Open(rdb.Config{URL: s.URL(), Timeout: time.Minute})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	read := make(chan string)
	go func() { // it dials the frozen one, and waits for its greeting
		defer close(read)
		text, err := c.Get(t.Context(), "k").Result()
		if err != nil {
			text = err.Error()
		}
		read <- text
	}()
	testkit.Eventually(t, "another is master", func() bool {
		now, err := s.Master(t.Context())
		return err == nil && now != old.Addr()
	})
	require.NoError(t, s.Nodes[1].Client(t).Set(t.Context(), "k", "new", 0).Err())
	old.Resume()
	require.Equal(t, "new", <-read)
}
