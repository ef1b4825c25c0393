package dashboard_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"html"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
)

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

// system is what the pages read, in a state that a test can set.
type system struct {
	health    inspect.Health
	redisErr  error // nothing answers
	checkErr  error // the check alone fails
	dbErr     error
	stats     map[string][]pending.Stats
	processes []fleet.Process
	queues    []queue.Size
	checks    atomic.Int64
}

func (s *system) Stats(_ context.Context, e *schema.Entity) ([]pending.Stats, error) {
	if s.redisErr != nil {
		return nil, s.redisErr
	}
	partitions := make([]pending.Stats, e.Partitions)
	for i := range partitions {
		partitions[i].Partition = i
	}
	copy(partitions, s.stats[e.Name])
	return partitions, nil
}
func (s *system) Alive(context.Context) ([]fleet.Process, error) { return s.processes, s.redisErr }
func (s *system) Check(context.Context) (inspect.Health, error) {
	s.checks.Add(1)
	return s.health, cmp.Or(s.redisErr, s.checkErr)
}
func (s *system) Ping(context.Context) error                  { return s.dbErr }
func (s *system) Dialect() string                             { return "sqlite" }
func (s *system) Sizes(context.Context) ([]queue.Size, error) { return s.queues, s.redisErr }

func healthy() *system {
	return &system{
		health: inspect.Health{Version: "7.0.15", Policy: "volatile-lfu", AOF: true, Fsync: "everysec",
			UsedMemory: 3 << 20, MaxMemory: 1 << 30, Latency: 300 * time.Microsecond, Clock: now},
		processes: []fleet.Process{{Kind: "worker", ID: "host-7", Info: map[string]string{"concurrency": "8"}}},
		queues:    []queue.Size{{Queue: "default"}},
		stats:     map[string][]pending.Stats{},
	}
}

func entities(t testing.TB) []*schema.Entity {
	t.Helper()
	var list []*schema.Entity
	for _, name := range []string{"user", "product"} {
		e := &schema.Entity{Name: name, Partitions: 4, Fields: []schema.Field{{Name: "name", Type: schema.String}}}
		require.NoError(t, e.Init())
		list = append(list, e)
	}
	return list
}

// nothing runs beside the requests of a test that changes what they read.
func nothing(func(context.Context)) {}

func pages(t testing.TB, s *system) http.Handler {
	t.Helper()
	h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Queues: s, Version: "v1.2.3",
		MaxAge: time.Nanosecond, Go: nothing})
	require.NoError(t, err)
	return h
}

func get(t testing.TB, h http.Handler, path string) (*http.Response, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Result(), w.Body.String()
}

var tags = regexp.MustCompile(`<[^>]*>|\s+`)

// text is what a reader of the page sees.
func text(html string) string {
	return strings.Join(strings.Fields(tags.ReplaceAllString(html, " ")), " ")
}

func heading(t testing.TB, html string) string {
	t.Helper()
	m := regexp.MustCompile(`(?s)<h1>(.*?)</h1>`).FindStringSubmatch(html)
	require.NotNil(t, m, "the page has a heading")
	return text(m[1])
}

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name  string
		state func(*system)
		want  string
		also  []string
	}{
		{"nothing yet", func(*system) {}, "✓ ok · Nothing has been written yet.", nil},
		{"at rest", func(s *system) { s.stats["user"] = []pending.Stats{{Accepted: 5, Persisted: 5}} },
			"✓ ok · All accepted writes are in the database.", nil},
		{"flowing", func(s *system) {
			s.stats["user"] = []pending.Stats{{Accepted: 5, Persisted: 3, Pending: 2,
				OldestPending: now.Add(-40 * time.Millisecond)}}
		}, "✓ ok · All writes are reaching the database, 40 ms behind.", nil},
		{"refused", func(s *system) {
			s.stats["user"] = []pending.Stats{{Accepted: 1204, Held: 1201}, {}, {},
				{Dead: 3}}
		},
			"! warning · user: 1,204 writes refused, 3 of them dead.", nil},
		{"slow", func(s *system) {
			s.stats["product"] = []pending.Stats{{Accepted: 1, Pending: 1, OldestPending: now.Add(-125 * time.Second)}}
		}, "✕ failure · product: 1 write pending in Redis, the oldest for 2 min 5 s.", nil},
		{"does not add up", func(s *system) {
			s.stats["user"] = []pending.Stats{{Accepted: 7, Persisted: 5, Held: 1, Lost: 1}}
		}, "✕ failure · user: 1 accepted write is unaccounted for.",
			[]string{"user: 1 write refused, 0 of them dead."}},
		{"no worker", func(s *system) {
			s.processes = nil
			s.stats["user"] = []pending.Stats{{Accepted: 2, Pending: 2, OldestPending: now.Add(-time.Hour)}}
		}, "✕ failure · No worker is running: 2 writes pending in Redis, the oldest for 1 h.",
			[]string{"No running process has reported itself."}},
		{"database down", func(s *system) {
			s.dbErr = errors.New("connection refused")
			s.stats["user"] = []pending.Stats{{Accepted: 1, Pending: 1,
				OldestPending: now.Add(-3200 * time.Millisecond)}}
		}, "✕ failure · The database is not responding: 1 write pending in Redis, the oldest for 3.2 s.",
			[]string{"connection refused"}},
		{"redis down", func(s *system) {
			s.redisErr, s.health = schema.ErrUnavailable, inspect.Health{}
		}, "✕ failure · Redis is not responding: writes are rejected, reads come from the database.",
			[]string{"Redis is not responding, so there are no statistics to show."}},
		{"both down", func(s *system) {
			s.redisErr, s.health, s.dbErr = schema.ErrUnavailable, inspect.Health{}, errors.New("down")
		}, "✕ failure · Neither Redis nor the database is responding: writes and reads are rejected.", nil},
		{"redis may evict", func(s *system) { s.checkErr = inspect.ErrEvictionPolicy },
			"✕ failure · Redis may evict accepted writes: its maxmemory-policy must be volatile-* or noeviction.",
			[]string{"✓ balanced"}},
		{"warned", func(s *system) {
			s.health.Warnings = []inspect.Warning{{Check: "redis persistence",
				Text: "Redis keeps no append-only file."}}
		}, "! warning · Redis keeps no append-only file.", nil},
		{"paused", func(s *system) { s.queues[0].Paused = true },
			"! warning · Queue default is paused: its entities are not flushed.", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := healthy()
			c.state(s)
			r, html := get(t, pages(t, s), "/")
			require.Equal(t, http.StatusOK, r.StatusCode)
			require.Equal(t, c.want, heading(t, html))
			for _, also := range c.also {
				require.Contains(t, text(html), also)
			}
		})
	}
}

func TestOverviewIsExact(t *testing.T) {
	s := healthy()
	s.stats["user"] = []pending.Stats{{Accepted: math.MaxInt64, Persisted: math.MaxInt64 - 1, Superseded: 1,
		LastVersion: 1769860800123456}}
	_, html := get(t, pages(t, s), "/")
	seen := text(html)
	for _, want := range []string{
		"9,223,372,036,854,775,807", "9,223,372,036,854,775,806", "✓ balanced", "2026-01-31 12:00:00 UTC",
		"on, fsync everysec", "3.0 MiB of 1.0 GiB", "volatile-lfu", "under 1 ms", "sqlite",
		"worker host-7 concurrency 8", "v1.2.3", "every 5 s",
	} {
		require.Contains(t, seen, want)
	}
}

func TestEntityPage(t *testing.T) {
	s := healthy()
	s.stats["user"] = []pending.Stats{
		{Partition: 0, Accepted: 10, Persisted: 10, LastVersion: 1769860800123456, FlagUntil: now.Add(time.Second)},
		{Partition: 1, Accepted: 3, Held: 2, Dead: 1, Conflicts: 3},
	}
	h := pages(t, s)
	r, html := get(t, h, "/entities/user")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.Equal(t, "user ! warning", heading(t, html))
	for _, want := range []string{"3 writes refused, 1 of them dead.", "1769860800123456 ordered",
		"flush.max_pending 1,000,000", "All ! warning — 0 2 1 13 10 0 0 ✓ balanced 3 conflicts", "0 0 ✓ balanced 1"} {
		require.Contains(t, text(html), want)
	}

	r, html = get(t, h, "/entities/nobody")
	require.Equal(t, http.StatusNotFound, r.StatusCode)
	require.Equal(t, "Not found", heading(t, html))

	s.redisErr = schema.ErrUnavailable
	r, html = get(t, h, "/entities/user")
	require.Equal(t, http.StatusOK, r.StatusCode, "the page answers and says so")
	require.Contains(t, text(html), "Redis is not responding, so there are no statistics to show.")
}

// Errors and names are data, never markup.
func TestPagesEscape(t *testing.T) {
	s := healthy()
	s.dbErr = errors.New(`<script>alert("x")</script>` + strings.Repeat("long ", 200))
	_, html := get(t, pages(t, s), "/")
	require.NotContains(t, html, "<script>")
	require.Contains(t, html, "&lt;script&gt;")
	require.Less(t, strings.Count(html, "long "), 100, "an error is cut to what fits the page")
}

func TestNothingChangesAndNothingIsInline(t *testing.T) {
	h := pages(t, healthy())
	for _, path := range []string{"/", "/entities/user", "/entities/none", "/healthz", "/static/app.css", "/static/",
		"/nowhere/at/all"} {
		r, html := get(t, h, path)
		require.Contains(t, r.Header.Get("Content-Security-Policy"), "default-src 'none'", path)
		require.NotContains(t, r.Header.Get("Content-Security-Policy"), "unsafe", path)
		require.Equal(t, "nosniff", r.Header.Get("X-Content-Type-Options"), path)
		require.NotRegexp(t, `(?i)<script>|<script [^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:`, html, path)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, nil))
			require.Equal(t, http.StatusMethodNotAllowed, w.Code, "%s %s", method, path)
		}
	}
}

// left is a series that the viewer does not wait for.
type left struct{}

func (left) Sample(context.Context, string, time.Time, time.Duration, int, string) error { return nil }
func (left) Series(context.Context, string, time.Time, time.Duration, int) ([]pending.Point, error) {
	return nil, context.Canceled
}

// A viewer who leaves during a request gets an answer all the same.
func TestViewerLeaves(t *testing.T) {
	s := healthy()
	h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, Queues: s, Series: left{},
		Go: nothing})
	require.NoError(t, err)
	r, html := get(t, h, "/series.json")
	require.Equal(t, problem.ClientGone, r.StatusCode)
	require.Contains(t, text(html), "The connection was closed before the answer")
}

func TestHealthz(t *testing.T) {
	s := healthy()
	s.redisErr, s.dbErr = schema.ErrUnavailable, errors.New("down")
	r, body := get(t, pages(t, s), "/healthz")
	require.Equal(t, http.StatusOK, r.StatusCode)
	require.JSONEq(t, `{"status":"ok"}`, body)
}

func TestRefreshCanBeStopped(t *testing.T) {
	h := pages(t, healthy())
	_, html := get(t, h, "/")
	require.Contains(t, html, `<meta http-equiv="refresh" content="5">`)
	_, html = get(t, h, "/?refresh=off")
	require.NotContains(t, html, "http-equiv")
}

// A page under any prefix finds its styles and its neighbours.
func TestMountedUnderAPrefix(t *testing.T) {
	for _, prefix := range []string{"", "/admin", "/deep/er/path"} {
		mux := http.NewServeMux()
		mux.Handle(prefix+"/", http.StripPrefix(prefix, pages(t, healthy())))
		if prefix != "" {
			mux.Handle(prefix, http.StripPrefix(prefix, pages(t, healthy())))
		}
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		for _, path := range []string{"", "/", "/entities/user"} {
			page := server.URL + prefix + path
			r := fetch(t, page)
			require.Equal(t, http.StatusOK, r.StatusCode, page)
			links := regexp.MustCompile(`(?:href|src)="([^"]*)"`).FindAllStringSubmatch(body(t, r), -1)
			require.NotEmpty(t, links)
			for _, link := range links {
				to, err := r.Request.URL.Parse(html.UnescapeString(link[1]))
				require.NoError(t, err)
				require.Equal(t, http.StatusOK, fetch(t, to.String()).StatusCode, "%s links to %s", page, to)
				require.True(t, strings.HasPrefix(to.Path, prefix), "%s leaves %s", to, prefix)
			}
		}
	}
}

func fetch(t testing.TB, url string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	r, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Body.Close() })
	return r
}

func body(t testing.TB, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	require.NoError(t, err)
	return string(b)
}

func TestStaticFilesAreKeptByBrowsers(t *testing.T) {
	h := pages(t, healthy())
	r, css := get(t, h, "/static/app.css")
	require.Equal(t, "text/css; charset=utf-8", r.Header.Get("Content-Type"))
	require.NotEmpty(t, css)
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/static/app.css", nil)
	req.Header.Set("If-None-Match", r.Header.Get("ETag"))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, req)
	require.Equal(t, http.StatusNotModified, w.Code)
}

// Many viewers cost one reading.
func TestViewersShareAReading(t *testing.T) {
	s := healthy()
	h, err := dashboard.New(dashboard.Config{Entities: entities(t), Cache: s, Store: s, MaxAge: time.Hour, Go: nothing})
	require.NoError(t, err)
	var viewers sync.WaitGroup
	for range 50 {
		viewers.Go(func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
		})
	}
	viewers.Wait()
	require.EqualValues(t, 1, s.checks.Load())
	_, html := get(t, h, "/")
	require.NotContains(t, html, "Queues", "nothing is said of queues that were not given")
}

func TestNewNeedsWhatItShows(t *testing.T) {
	_, err := dashboard.New(dashboard.Config{})
	require.ErrorContains(t, err, "required")
}

// What is vendored is what was published, and VENDORED.md says so.
func TestVendoredFiles(t *testing.T) {
	table, err := os.ReadFile("static/VENDORED.md")
	require.NoError(t, err)
	rows := regexp.MustCompile(`(?m)^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$`).FindAllStringSubmatch(string(table), -1)
	require.Len(t, rows, 6)
	for _, row := range rows {
		content, err := os.ReadFile("static/" + row[1])
		require.NoError(t, err)
		sum := sha256.Sum256(content)
		require.Equal(t, row[2], hex.EncodeToString(sum[:]), row[1])
	}
}
