package dashboard_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// The pages of a real system: a write that waits, Redis gone, Redis back.
func TestPagesOfARealSystem(t *testing.T) {
	t.Parallel()
	redis := testkit.Redis(t)
	list := entities(t)
	c, err := cache.New(cache.Config{URL: redis.URL()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	s, err := ledger.Open(store.Config{URL: testkit.SQLite(t)}, list)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	q, err := queue.Inspect(redis.URL(), "aw")
	require.NoError(t, err)
	t.Cleanup(func() { _ = q.Close() })
	h, err := dashboard.New(dashboard.Config{Entities: list, Cache: whole.Of(c), Store: s, Queues: q, MaxAge: 1,
		Timeout: time.Minute})
	require.NoError(t, err)

	user := list[0]
	values, err := user.Whole(schema.Fields{"name": "John"})
	require.NoError(t, err)
	group := &cache.Group{Entity: user, Partition: user.Partition("1"),
		Writes: []cache.Write{{Op: cache.OpPut, ID: "1", Values: values}}}
	c.Write(t.Context(), group)
	require.NoError(t, group.Results[0].Err)

	r, html := get(t, h, "/")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, text(html), "No worker is running: 1 write pending in Redis, the oldest for")
	require.Contains(t, text(html), "No sync task has been enqueued yet.")
	_, html = get(t, h, "/entities/user")
	require.Contains(t, text(html), group.Results[0].Version.String())

	redis.Kill()
	r, html = get(t, h, "/")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Contains(t, heading(t, html), "Redis is not responding")

	redis.Start()
	testkit.Eventually(t, "the page recovers", func() bool {
		_, html := get(t, h, "/")
		return !strings.Contains(html, "Redis is not responding")
	})
}
