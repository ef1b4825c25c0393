package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cache/ticket"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/flush"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// rows joins the store to the API, as the command does.
type rows struct{ *ledger.Ledger }

func (r rows) List(ctx context.Context, e *schema.Entity, q api.Query) ([]schema.Row, error) {
	return r.Store.List(ctx, e, store.Query(q))
}

// bundle is an API on a real Redis, a real database and the real write path. There
// is no worker: a test flushes when it wants to.
type bundle struct {
	t        testing.TB
	url      string
	entities map[string]*schema.Entity
	redis    *testkit.RedisServer
	faults   *testkit.RedisFaults
	sql      *testkit.SQLFaults
	cache    *cache.Cache
	backlog  *pending.Backlog
	store    *ledger.Ledger
	config   api.Config
	handler  http.Handler
	log      *logged
	streams  bool   // serve events
	database string // its URL; "" is one of its own
	keys     int    // Idempotency-Keys kept for a partition; 0: the default
}

type option func(*bundle, *api.Config)

// ownRedis gives the test a server that it may stop.
func ownRedis(b *bundle, _ *api.Config) { b.redis = testkit.Redis(b.t) }

func configure(change func(*api.Config)) option {
	return func(_ *bundle, cfg *api.Config) { change(cfg) }
}

func setup(t testing.TB, options ...option) *bundle {
	t.Helper()
	entities := testkit.Entities(t)
	b := &bundle{t: t, entities: make(map[string]*schema.Entity), log: &logged{},
		faults: &testkit.RedisFaults{}, sql: &testkit.SQLFaults{}}
	for _, e := range entities {
		b.entities[e.Name] = e
	}
	registry := prometheus.NewRegistry()
	log := slog.New(slog.NewJSONHandler(b.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg := api.Config{Entities: entities, Version: "test", Log: log, Registerer: registry, Gatherer: registry}
	for _, o := range options {
		o(b, &cfg)
	}
	if b.redis == nil {
		b.redis = testkit.SharedRedis(t)
	}
	if b.database == "" {
		b.database = testkit.SQLite(t)
	}
	var err error
	b.store, err = ledger.Open(store.Config{URL: b.database, Log: log, Wrap: b.sql.Wrap}, entities)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.store.Close() })
	_, err = b.store.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.cache, err = cache.New(cache.Config{
		URL: b.redis.URL(), Prefix: testkit.Prefix(t), Loader: b.store, Log: log, Hooks: []redis.Hook{b.faults},
		KeptOps: b.keys})
	require.NoError(t, err)
	b.backlog = whole.Of(b.cache).Backlog
	t.Cleanup(func() { _ = b.cache.Close() })
	writer, err := producer.New(producer.Config{Entities: entities, Cache: b.cache, Loader: b.store, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { _ = writer.Close() })
	cfg.Producer, cfg.Cache, cfg.Store = writer, whole.Of(b.cache), rows{b.store}
	if b.streams {
		cfg.Events, cfg.Tickets = b.cache.Bus(), ticket.New(b.cache)
	}
	b.config = cfg
	b.handler, err = api.New(cfg)
	require.NoError(t, err)
	server := httptest.NewServer(b.handler)
	t.Cleanup(server.Close)
	b.url = server.URL
	return b
}

// logged keeps what was logged.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// answer is a response whose body was read.
type answer struct {
	*http.Response
	body string
}

// do sends a request. The headers are "Name: value"; a body is JSON unless they say
// otherwise.
func (b *bundle) do(method, path, body string, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, b.url+path, strings.NewReader(body))
	require.NoError(b.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if value == "" {
			r.Header.Del(name)
			continue
		}
		if name == "Content-Type" {
			r.Header.Set(name, value)
			continue
		}
		r.Header.Add(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	return answer{response, string(text)}
}

// want checks the status and returns the answer.
func (a answer) want(t testing.TB, code int) answer {
	t.Helper()
	require.Equal(t, code, a.StatusCode, "%s %s: %s", a.Request.Method, a.Request.URL, a.body)
	return a
}

// problem checks that the answer is a problem of that name, and returns it.
func (a answer) problem(t testing.TB, code int, name string) problem {
	t.Helper()
	a.want(t, code)
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
	var p problem
	require.NoError(t, json.Unmarshal([]byte(a.body), &p), a.body)
	require.Equal(t, api.ProblemPrefix+name, p.Type, a.body)
	require.Equal(t, code, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	require.Equal(t, a.Header.Get("X-Request-Id"), p.RequestID)
	return p
}

type problem struct {
	Type, Title, Detail string
	Status              int
	RequestID           string `json:"request_id"`
	Errors              []struct{ Field, Reason string }
	Refusal             *struct{ Kind, Column string }
	RecordStatus        string `json:"record_status"`
	Version             int64
}

func (p problem) fields() []string {
	var names []string
	for _, e := range p.Errors {
		names = append(names, e.Field)
	}
	return names
}

// version is the version that a write's answer names.
func (a answer) version(t testing.TB) string {
	t.Helper()
	var w struct{ Version json.Number }
	require.NoError(t, json.Unmarshal([]byte(a.body), &w), a.body)
	require.Equal(t, `"`+w.Version.String()+`"`, a.Header.Get("ETag"))
	return w.Version.String()
}

// flush persists what is pending, as a worker does, and holds what is refused.
func (b *bundle) flush() {
	b.t.Helper()
	for _, e := range b.entities {
		for partition := range e.Partitions {
			b.flushPartition(e, partition)
		}
	}
}

func (b *bundle) flushPartition(e *schema.Entity, partition int) {
	ctx := context.Background()
	var batch pending.Batch
	flushed, err := flush.Partition(ctx, b.store.Begin, e, partition,
		func(ctx context.Context) (changes []schema.Change, err error) {
			batch, err = b.backlog.Due(ctx, e, partition, 1000, 1<<20)
			for _, due := range batch.Due {
				changes = append(changes, due.Change)
			}
			return changes, err
		})
	require.NoError(b.t, err)
	_, err = b.backlog.Ack(ctx, e, partition, batch, flushed.Persisted)
	require.NoError(b.t, err)
	var refused []pending.Refused
	for _, r := range flushed.Refused {
		refused = append(refused, pending.Refused{Change: r.Change, Refusal: r.Refusal, Attempts: 1,
			Next: time.Now().Add(time.Minute)})
	}
	_, err = b.backlog.Hold(ctx, e, partition, refused)
	require.NoError(b.t, err)
}

// forget drops what the cache has of an entity.
func (b *bundle) forget(entity string, ids ...string) {
	b.t.Helper()
	_, err := b.cache.Invalidate(context.Background(), b.entities[entity], ids)
	require.NoError(b.t, err)
}

func segment(id string) string { return strings.ReplaceAll(url.PathEscape(id), "+", "%2B") }
