package dashboard_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// BenchmarkPages loads each page of a system with 200 entities, 10,000 held records and
// many dead letters: LETTERS of them (100,000 unless given), of 50 errors, on SQLite.
func BenchmarkPages(b *testing.B) {
	count, _ := strconv.Atoi(os.Getenv("LETTERS"))
	if count == 0 {
		count = 100_000
	}
	h := crowded(b, count)
	for _, path := range []string{
		"/", "/entities/e000", "/refused", "/refused?entity=e007", "/refused?text=constraint+7",
		"/refused?text=nothing+like+it",
		fmt.Sprintf("/refused?before=%d", count/2), fmt.Sprintf("/refused/%d", count/2),
		"/refused/confirm?do=discard&all=1&entity=e007", "/policies", "/policies/e007", "/audit", "/queues",
		"/held", "/held?kind=unique", "/held?text=nothing+like+it", "/held/confirm?do=discard&all=1",
		"/refused?kind=unique", "/refused?state=retrying", "/refused?state=resolved&text=constraint+7",
		fmt.Sprintf("/refused?kind=check&before=%d", count/2), "/cache", "/record", "/record?entity=e007&id=7", "/help",
		"/series.json",
		"/export/entities?format=csv",
	} {
		b.Run(path, func(b *testing.B) {
			size := 0
			for b.Loop() {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), http.MethodGet, path, nil))
				require.Equal(b, http.StatusOK, w.Code, w.Body.String())
				size = w.Body.Len()
			}
			b.ReportMetric(float64(size), "page-bytes")
		})
	}
}

// crowded is a dashboard over so many dead letters.
func crowded(b *testing.B, count int) http.Handler {
	b.Helper()
	entities := make([]*schema.Entity, 200)
	for i := range entities {
		entities[i] = &schema.Entity{
			Name: fmt.Sprintf("e%03d", i), Partitions: 16,
			Fields: []schema.Field{{Name: "name", Type: schema.String}, {Name: "amount", Type: schema.Int}},
		}
		require.NoError(b, entities[i].Init())
	}
	redis, prefix := testkit.SharedRedis(b).URL(), testkit.Prefix(b)
	s, err := ledger.Open(store.Config{URL: testkit.SQLite(b)}, entities)
	require.NoError(b, err)
	b.Cleanup(func() { _ = s.Close() })
	_, err = s.Migrate(b.Context(), false)
	require.NoError(b, err)
	c, err := cache.New(cache.Config{URL: redis, Prefix: prefix, Loader: s})
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	orders, err := queue.NewClient(redis, prefix)
	require.NoError(b, err)
	b.Cleanup(func() { _ = orders.Close() })
	inspector, err := queue.Inspect(redis, prefix)
	require.NoError(b, err)
	b.Cleanup(func() { _ = inspector.Close() })
	writes, err := producer.New(producer.Config{Entities: entities, Cache: c, Loader: s})
	require.NoError(b, err)
	b.Cleanup(func() { _ = writes.Close() })
	m, err := operate.New(operate.Config{Entities: entities, Letters: s, Records: whole.Of(c), Writes: writes,
		Queue: orders})
	require.NoError(b, err)
	insertLetters(b, s, entities, count)
	holdSome(b, c, entities)
	h, err := dashboard.New(dashboard.Config{
		Entities: entities, Cache: whole.Of(c), Store: s, Queues: inspector, Letters: m,
		Jobs: operate.NewJobs(operate.JobsConfig{Operator: m, Board: whole.Of(c).Fleet}), Records: whole.Of(c), Rows: s,
		Series: whole.Of(c).Backlog,
		MaxAge: time.Nanosecond, Refresh: time.Hour,
	})
	require.NoError(b, err)
	return h
}

func insertLetters(b *testing.B, s *ledger.Ledger, entities []*schema.Entity, count int) {
	b.Helper()
	now := time.Now()
	some := make([]ledger.Letter, 0, 5000)
	for i := range count {
		n := i % 50
		some = append(some, ledger.Letter{
			Entity: entities[i%len(entities)].Name, ID: strconv.Itoa(i), Version: schema.Version(i + 1),
			Payload: `{"name":"x","amount":9223372036854775807}`,
			Refusal: schema.Refusal{Kind: schema.Kinds[n%len(schema.Kinds)], Constraint: fmt.Sprintf("c%d", n),
				Message: fmt.Sprintf("violates constraint %d", n)},
			Attempts: 10, AcceptedAt: now, DiedAt: now.Add(-time.Duration(count-i) * time.Millisecond),
		})
		if len(some) == cap(some) || i == count-1 {
			require.NoError(b, s.InsertDead(b.Context(), some))
			some = some[:0]
		}
	}
}

// holdSome holds 50 records of each entity.
func holdSome(b *testing.B, c *cache.Cache, entities []*schema.Entity) {
	b.Helper()
	for _, e := range entities {
		byPartition := map[int]*cache.Group{}
		for i := range 50 {
			id := strconv.Itoa(i)
			g := byPartition[e.Partition(id)]
			if g == nil {
				g = &cache.Group{Entity: e, Partition: e.Partition(id)}
				byPartition[g.Partition] = g
			}
			g.Writes = append(g.Writes, cache.Write{Op: cache.OpPut, ID: id, Values: schema.Values{`"x"`, "1"}})
		}
		for _, g := range byPartition {
			c.Write(b.Context(), g)
			refused := make([]pending.Refused, len(g.Writes))
			for i, w := range g.Writes {
				require.NoError(b, g.Results[i].Err)
				refused[i] = pending.Refused{
					Change: schema.Change{ID: w.ID, Version: g.Results[i].Version}, Attempts: 1,
					Next:    time.Now().Add(time.Hour),
					Refusal: schema.Refusal{Kind: schema.KindUnique, Constraint: "c", Message: "violates constraint c"},
				}
			}
			_, err := whole.Of(c).Hold(b.Context(), e, g.Partition, refused)
			require.NoError(b, err)
		}
	}
}
