package dashboard_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
	"github.com/afterwrite/afterwrite/worker"
)

// deployment is a real one: an API, a worker, a dashboard, a Redis and a database.
type deployment struct {
	t        testing.TB
	entities []*schema.Entity
	cache    *cache.Cache
	backlog  *pending.Backlog
	store    *ledger.Ledger
	operator *operate.Operator
	jobs     *operate.Jobs
	api      *httptest.Server
	pages    *httptest.Server
}

// deploy starts one on SQLite. A change alters the dashboard's options.
func deploy(t testing.TB, change ...func(*dashboard.Config)) *deployment {
	t.Helper()
	return deployOn(t, testkit.SQLite(t), change...)
}

// onEach runs a journey on each database.
func onEach(t *testing.T, journey func(t *testing.T, d *deployment), change ...func(*dashboard.Config)) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		journey(t, deployOn(t, url, change...))
	})
}

func deployOn(t testing.TB, url string, change ...func(*dashboard.Config)) *deployment {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	d := &deployment{t: t, entities: shop(t)}
	redis, prefix := testkit.SharedRedis(t).URL(), testkit.Prefix(t)
	var err error
	d.store, err = ledger.Open(store.Config{URL: url}, d.entities)
	require.NoError(t, err)
	_, err = d.store.Migrate(ctx, false)
	require.NoError(t, err)
	d.cache, err = cache.New(cache.Config{URL: redis, Prefix: prefix, Loader: d.store, Log: testkit.Logger(t)})
	require.NoError(t, err)
	d.backlog = whole.Of(d.cache).Backlog
	orders, err := queue.NewClient(redis, prefix)
	require.NoError(t, err)
	inspector, err := queue.Inspect(redis, prefix)
	require.NoError(t, err)
	writes, err := producer.New(producer.Config{Entities: d.entities, Cache: d.cache, Queue: orders, Loader: d.store,
		Log: testkit.Logger(t)})
	require.NoError(t, err)
	d.operator, err = operate.New(operate.Config{Entities: d.entities, Letters: d.store, Records: whole.Of(d.cache),
		Writes: writes, Queue: orders, Log: testkit.Logger(t)})
	require.NoError(t, err)
	front, err := api.New(api.Config{
		Producer: writes, Cache: whole.Of(d.cache), Store: lister{d.store}, Entities: d.entities,
		Log:     testkit.Logger(t),
		MaxBody: 1 << 20, MaxBatchBody: 1 << 20, Registerer: prometheus.NewRegistry(),
		Gatherer: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	d.api = httptest.NewServer(front)

	server, err := queue.NewServer(queue.ServerConfig{RedisURL: redis, Prefix: prefix, Concurrency: 2,
		PollInterval: 20 * time.Millisecond, Queues: map[string]int{"default": 1}, Log: testkit.Logger(t)})
	require.NoError(t, err)
	flusher, err := worker.New(worker.Config{
		Entities: d.entities, Redis: whole.Of(d.cache), Store: d.store, Queue: orders, Server: server,
		SweepInterval: 100 * time.Millisecond, Log: testkit.Logger(t), Registerer: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	running.Go(func() { _ = flusher.Run(ctx) })

	d.jobs = operate.NewJobs(operate.JobsConfig{Operator: d.operator, Board: whole.Of(d.cache).Fleet,
		Log: testkit.Logger(t)})
	o := dashboard.Config{
		Entities: d.entities, Cache: whole.Of(d.cache), Store: d.store, Queues: inspector, Letters: d.operator,
		Jobs:    d.jobs,
		Records: whole.Of(d.cache), Rows: d.store,
		Series: whole.Of(d.cache).Backlog, Audit: d.store, Tokens: d.store, Version: "v1.2.3",
		Refresh: 300 * time.Millisecond, MaxAge: 100 * time.Millisecond, Timeout: time.Minute,
		Log: testkit.Logger(t), Go: func(run func(context.Context)) { running.Go(func() { run(ctx) }) },
	}
	for _, c := range change {
		c(&o)
	}
	handler, err := dashboard.New(o)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/", handler)
	mux.Handle("/deep/admin/", http.StripPrefix("/deep/admin", handler))
	d.pages = httptest.NewServer(mux)
	t.Cleanup(func() {
		stop()
		_ = d.jobs.Close()
		running.Wait()
		d.pages.CloseClientConnections()
		d.pages.Close()
		d.api.Close()
		_ = writes.Close()
		_, _, _, _ = orders.Close(), inspector.Close(), d.cache.Close(), d.store.Close()
	})
	return d
}

type lister struct{ *ledger.Ledger }

func (l lister) List(ctx context.Context, e *schema.Entity, q api.Query) ([]schema.Row, error) {
	return l.Store.List(ctx, e, store.Query(q))
}

// shop is a set of entities with a unique field and a hidden one, refused records tried
// once more after an hour.
func shop(t testing.TB) []*schema.Entity {
	t.Helper()
	slow := schema.RetryPolicy{MaxAttempts: 8, Base: time.Hour, Factor: 2, Cap: 12 * time.Hour,
		Jitter: schema.JitterEqual, Timeout: 30 * time.Second}
	list := []*schema.Entity{
		{
			Name: "user", Table: "users", ID: schema.ID{Type: schema.String, Max: 64}, Partitions: 8, Retry: slow,
			Fields: []schema.Field{
				{Name: "name", Type: schema.String, MaxLength: 200, Required: true},
				{Name: "email", Type: schema.String, MaxLength: 320, Unique: true},
				{Name: "age", Type: schema.Int},
				{Name: "profile", Type: schema.JSON},
				{Name: "secret", Type: schema.String, Redact: true},
			},
		},
		{
			Name: "product", Table: "products", ID: schema.ID{Type: schema.String, Max: 64}, Partitions: 4, Retry: slow,
			Fields: []schema.Field{
				{Name: "sku", Type: schema.String, MaxLength: 40, Unique: true},
				{Name: "price", Type: schema.Decimal, Precision: 12, Scale: 2},
				{Name: "stock", Type: schema.Int, Default: "0"},
			},
		},
	}
	for _, e := range list {
		require.NoError(t, e.Init())
	}
	return list
}

func (d *deployment) entity(name string) *schema.Entity {
	for _, e := range d.entities {
		if e.Name == name {
			return e
		}
	}
	d.t.Fatalf("no entity %q", name)
	return nil
}

// put writes a record through the API.
func (d *deployment) put(entity, id string, fields map[string]any) {
	d.t.Helper()
	body, err := json.Marshal(fields)
	require.NoError(d.t, err)
	r, err := http.NewRequestWithContext(d.t.Context(), http.MethodPut, d.api.URL+"/v1/"+entity+"/-?id="+
		url.QueryEscape(id), strings.NewReader(string(body)))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(d.t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(d.t, err)
	require.Equal(d.t, http.StatusAccepted, answer.StatusCode, string(text))
}

// await waits until a record has a status.
func (d *deployment) await(entity, id string, want schema.Status) cache.State {
	d.t.Helper()
	var s cache.State
	testkit.Eventually(d.t, fmt.Sprintf("%s %s is %s", entity, id, want), func() bool {
		var err error
		s, err = d.cache.Status(d.t.Context(), d.entity(entity), id)
		require.NoError(d.t, err)
		return s.Record.Status == want
	})
	return s
}

// die lets records that the database has refused die at once, as if their policies were
// exhausted.
func (d *deployment) die(entity string, ids ...string) {
	d.t.Helper()
	e := d.entity(entity)
	for _, id := range ids {
		s := d.await(entity, id, schema.Held)
		now := time.Now()
		require.NoError(d.t, d.store.InsertDead(d.t.Context(), []ledger.Letter{{
			Entity: entity, ID: id, Version: s.Record.Version, Payload: string(e.AppendFields(nil, s.Record.Values)),
			Refusal: *s.Refusal, Attempts: 8, AcceptedAt: now.Add(-time.Hour), DiedAt: now,
			History: []schema.Attempt{
				{Number: 1, At: now.Add(-time.Hour), Kind: s.Refusal.Kind, Message: s.Refusal.Message,
					Worker: "host-1"},
				{Number: 8, At: now, Kind: s.Refusal.Kind, Message: s.Refusal.Message, Worker: "host-2"},
			},
		}}))
		n, err := d.backlog.Die(d.t.Context(), e, e.Partition(id), []pending.Refused{{
			Change: schema.Change{ID: id, Version: s.Record.Version}, Refusal: *s.Refusal, Attempts: 8,
		}})
		require.NoError(d.t, err)
		require.Equal(d.t, 1, n)
	}
}

// refuse writes users whose email another one has, and waits until they are held.
func (d *deployment) refuse(ids ...string) {
	d.t.Helper()
	d.put("user", "ada", map[string]any{"name": "Ada Lovelace", "email": "ada@example.com", "age": 36,
		"secret": "s3cret"})
	d.await("user", "ada", schema.Persisted)
	for i, id := range ids {
		d.put("user", id, map[string]any{"name": "<script>alert(1)</script>", "email": "ada@example.com",
			"age": int64(9223372036854775800) + int64(i%7), "secret": "hush",
			"profile": json.RawMessage(`{"b":1,"a":[1.0]}`)})
	}
	for _, id := range ids {
		d.await("user", id, schema.Held)
	}
}

// letters are the numbers of the dead letters that wait, the newest first.
func (d *deployment) letters() []ledger.Letter {
	d.t.Helper()
	list, err := d.store.Letters(d.t.Context(), ledger.LetterFilter{State: ledger.StateWaiting}, 0, 0)
	require.NoError(d.t, err)
	return list
}

func (d *deployment) eventually(what string, ok func() bool) {
	d.t.Helper()
	testkit.Eventually(d.t, what, ok)
}

// lastJob is the id of the bulk action that was begun last.
func (d *deployment) lastJob() string {
	d.t.Helper()
	var list []operate.Job
	testkit.Eventually(d.t, "a bulk action is begun", func() bool {
		list, _ = d.jobs.List(context.Background())
		return len(list) > 0
	})
	return list[0].ID
}
