package web_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// bundle is the admin API as it is mounted, on a real Redis and a real database. There is
// no worker.
type bundle struct {
	t        *testing.T
	url      string
	cache    *cache.Cache
	backlog  *pending.Backlog
	store    *ledger.Ledger
	producer *producer.Producer
	jobs     *operate.Jobs
	entities map[string]*schema.Entity
	document validator.Validator // nil: answers are not checked
}

type noQueue struct{}

func (noQueue) Enqueue(context.Context, schema.Order) error { return nil }

type rows struct{ *ledger.Ledger }

func (r rows) List(ctx context.Context, e *schema.Entity, q api.Query) ([]schema.Row, error) {
	return r.Store.List(ctx, e, store.Query(q))
}

func setup(t *testing.T, options ...func(*web.Config)) *bundle {
	t.Helper()
	entities := testkit.Entities(t)
	b := &bundle{t: t, entities: map[string]*schema.Entity{}}
	for _, e := range entities {
		b.entities[e.Name] = e
	}
	log := testkit.Logger(t)
	var err error
	b.store, err = ledger.Open(store.Config{URL: testkit.SQLite(t), Log: log}, entities)
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.store.Close() })
	_, err = b.store.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.cache, err = cache.New(cache.Config{URL: testkit.SharedRedis(t).URL(), Prefix: testkit.Prefix(t), Loader: b.store,
		Log: log})
	require.NoError(t, err)
	b.backlog = whole.Of(b.cache).Backlog
	t.Cleanup(func() { _ = b.cache.Close() })
	b.producer, err = producer.New(producer.Config{Entities: entities, Cache: b.cache, Loader: b.store, Log: log})
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.producer.Close() })
	cfg := web.Config{Cache: whole.Of(b.cache), Entities: entities, Log: log, LocalOnly: true}
	for _, o := range options {
		o(&cfg)
	}
	cfg.Operator, err = operate.New(operate.Config{Entities: cfg.Entities, Letters: b.store, Records: whole.Of(b.cache),
		Writes: b.producer, Queue: noQueue{}, Rate: 1_000_000, Log: log})
	require.NoError(t, err)
	b.jobs = operate.NewJobs(operate.JobsConfig{Operator: cfg.Operator, Board: whole.Of(b.cache).Fleet, Log: log})
	t.Cleanup(func() { require.NoError(t, b.jobs.Close()) })
	cfg.Jobs = b.jobs
	surface, err := web.New(cfg)
	require.NoError(t, err)
	handler, err := api.New(api.Config{Producer: b.producer, Cache: whole.Of(b.cache), Store: rows{b.store},
		Entities: entities, Events: b.cache.Bus(), Admin: surface, Log: log})
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	b.url = server.URL
	b.document = b.describe()
	return b
}

// describe reads the API's own description, which every answer is then checked against.
func (b *bundle) describe() validator.Validator {
	b.t.Helper()
	document, err := libopenapi.NewDocument([]byte(b.do("GET", "/openapi.json", "").want(200).body))
	require.NoError(b.t, err)
	v, errs := validator.NewValidator(document)
	require.Empty(b.t, errs)
	b.t.Cleanup(v.Release)
	valid, problems := v.ValidateDocument()
	for _, e := range problems {
		b.t.Errorf("%s: %s", e.Message, e.Reason)
	}
	require.True(b.t, valid)
	return v
}

type answer struct {
	*http.Response
	t    *testing.T
	body string
}

// do sends a request and checks its answer against the document. The headers are
// "Name: value"; Host is one of them.
func (b *bundle) do(method, path, body string, headers ...string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, b.url+path, strings.NewReader(body))
	require.NoError(b.t, err)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(b.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(b.t, err)
	require.NotEmpty(b.t, response.Header.Get("X-Request-Id"))
	if b.document != nil {
		b.check(r, body, response, text)
	}
	return answer{response, b.t, string(text)}
}

func (b *bundle) check(r *http.Request, body string, response *http.Response, text []byte) {
	b.t.Helper()
	again := r.Clone(context.Background())
	again.Body = io.NopCloser(strings.NewReader(body))
	response.Body = io.NopCloser(bytes.NewReader(text))
	if response.StatusCode == http.StatusNotFound && strings.Contains(string(text), "unknown-route") ||
		response.StatusCode == http.StatusMethodNotAllowed {
		return // the document has no such operation
	}
	_, errs := b.document.ValidateHttpResponse(again, response)
	if response.StatusCode < 400 {
		again.Body = io.NopCloser(strings.NewReader(body))
		_, more := b.document.ValidateHttpRequest(again)
		errs = append(errs, more...)
	}
	for _, e := range errs {
		b.t.Errorf("%s %s: %s: %s\n%s", r.Method, r.URL.Path, e.Message, e.Reason, text)
		for _, s := range e.SchemaValidationErrors {
			b.t.Errorf("  %s at %s", s.Reason, s.KeywordLocation)
		}
	}
}

func (a answer) want(code int) answer {
	a.t.Helper()
	require.Equal(a.t, code, a.StatusCode, "%s", a.body)
	return a
}

// problem checks that the answer is a problem of that name, and returns its detail and
// the fields that it names.
func (a answer) problem(code int, name string) string {
	a.t.Helper()
	a.want(code)
	require.Equal(a.t, "application/problem+json", a.Header.Get("Content-Type"))
	var p struct {
		Type, Detail string
		RequestID    string `json:"request_id"`
		Errors       []struct{ Field, Reason string }
	}
	require.NoError(a.t, json.Unmarshal([]byte(a.body), &p))
	require.Equal(a.t, api.ProblemPrefix+name, p.Type, a.body)
	require.Equal(a.t, a.Header.Get("X-Request-Id"), p.RequestID)
	for _, f := range p.Errors {
		p.Detail += "; " + f.Field + " " + f.Reason
	}
	return p.Detail
}

func (a answer) json() map[string]any {
	a.t.Helper()
	var v map[string]any
	require.NoError(a.t, json.Unmarshal([]byte(a.body), &v), a.body)
	return v
}

// put accepts a record.
func (b *bundle) put(entity, id string, fields schema.Fields) {
	b.t.Helper()
	_, err := b.producer.Put(b.t.Context(), entity, id, fields)
	require.NoError(b.t, err)
}

// kill gives everything pending of an entity a dead letter.
func (b *bundle) kill(entity string, why schema.Refusal) {
	b.t.Helper()
	e := b.entities[entity]
	for partition := range e.Partitions {
		batch, err := b.backlog.Due(b.t.Context(), e, partition, 10_000, 1<<26)
		require.NoError(b.t, err)
		for _, d := range batch.Due {
			now := time.Now()
			require.NoError(b.t, b.store.InsertDead(b.t.Context(),
				[]ledger.Letter{{Entity: entity, ID: d.ID, Version: d.Version,
					Payload: string(e.AppendFields(nil, d.Values)), Refusal: why, Attempts: 1, AcceptedAt: now,
					DiedAt: now,
					History: []schema.Attempt{{Number: 1, At: now, Kind: why.Kind, Message: why.Message,
						Worker: "w"}}}}))
			n, err := b.backlog.Die(b.t.Context(), e, partition,
				[]pending.Refused{{Change: d.Change, Refusal: why, Attempts: 1}})
			require.NoError(b.t, err)
			require.Equal(b.t, 1, n)
		}
	}
}
