// Package shop_test tries each step of the shop, and counts the lines that it took.
package shop_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
	"gorm.io/driver/postgres"
	"gorm.io/driver/sqlite"
	"gorm.io/gorm"

	s0 "github.com/afterwrite/afterwrite/examples/shop/0-before"
	s1 "github.com/afterwrite/afterwrite/examples/shop/1-read"
	s2 "github.com/afterwrite/afterwrite/examples/shop/2-count"
	s3 "github.com/afterwrite/afterwrite/examples/shop/3-write"
	s4 "github.com/afterwrite/afterwrite/examples/shop/4-worker"
	s5 "github.com/afterwrite/afterwrite/examples/shop/5-dashboard"
	s6 "github.com/afterwrite/afterwrite/examples/shop/6-tested"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

type service interface {
	Handler() http.Handler
	Mail(ctx context.Context, send func(product string) error) error
}

var steps = []struct {
	name string
	open func(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (service, error)
}{
	{"0-before", func(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (service, error) {
		return s0.New(ctx, db, rdb)
	}},
	{"1-read", func(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (service, error) {
		return s1.New(ctx, db, rdb)
	}},
	{"2-count", func(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (service, error) {
		return s2.New(ctx, db, rdb)
	}},
	{"3-write", func(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (service, error) {
		return s3.New(ctx, db, rdb)
	}},
	{"4-worker", func(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (service, error) {
		return s4.New(ctx, db, rdb)
	}},
	{"5-dashboard", func(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (service, error) {
		return s5.New(ctx, db, rdb)
	}},
	{"6-tested", func(ctx context.Context, db *gorm.DB, rdb redis.UniversalClient) (service, error) {
		return s6.New(ctx, db, rdb)
	}},
}

// TestEachStep serves the same shop, step after step on one database, as a deployment would.
func TestEachStep(t *testing.T) {
	for name, open := range map[string]func(*testing.T) gorm.Dialector{
		"sqlite": func(t *testing.T) gorm.Dialector {
			return sqlite.Open(strings.TrimPrefix(testkit.SQLite(t), "sqlite://") +
				"?_busy_timeout=5000&_journal_mode=WAL&_foreign_keys=on")
		},
		"postgres": func(t *testing.T) gorm.Dialector { return postgres.Open(testkit.Postgres(t).Database(t)) },
	} {
		t.Run(name, func(t *testing.T) { trySteps(t, open(t)) })
	}
}

func trySteps(t *testing.T, dialector gorm.Dialector) {
	db, err := gorm.Open(dialector, &gorm.Config{})
	require.NoError(t, err)
	pool, err := db.DB()
	require.NoError(t, err)
	t.Cleanup(func() { _ = pool.Close() })
	o, err := redis.ParseURL(testkit.Redis(t).URL())
	require.NoError(t, err)
	rdb := redis.NewClient(o)
	t.Cleanup(func() { _ = rdb.Close() })
	for _, step := range steps {
		ctx, stop := context.WithCancel(t.Context())
		var beside sync.WaitGroup
		s, err := step.open(ctx, db, rdb)
		require.NoError(t, err, step.name)
		if w, ok := s.(interface{ Work(context.Context) error }); ok {
			beside.Go(func() { _ = w.Work(ctx) })
		}
		try(t, ctx, s, step.name)
		testkit.Eventually(t, step.name+": both views are in the database", func() bool {
			var views int64
			return db.Raw("SELECT views FROM products WHERE id = ?", step.name).Scan(&views).Error == nil && views == 2
		})
		stop()
		beside.Wait()
	}
}

func try(t *testing.T, ctx context.Context, s service, id string) {
	t.Helper()
	handler := s.Handler()
	send := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(ctx, method, path, strings.NewReader(body))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	require.Equal(t, 404, send("GET", "/products/none", "").Code, id)
	require.Equal(t, 200, send("PUT", "/products/"+id, `{"Name":"Tea","Price":300}`).Code, id)
	for range 2 {
		got := send("GET", "/products/"+id, "")
		require.Equal(t, 200, got.Code, id)
		require.Contains(t, got.Body.String(), `"Price":300`, id)
	}
	sent := make(chan string, 1)
	mailing, done := context.WithCancel(ctx)
	var mails sync.WaitGroup
	defer mails.Wait()
	defer done()
	mails.Go(func() { _ = s.Mail(mailing, func(product string) error { sent <- product; return nil }) })
	require.Equal(t, 202, send("POST", "/products/"+id+"/buy", "").Code, id)
	require.Equal(t, id, <-sent)
	require.Contains(t, send("GET", "/metrics", "").Body.String(), "shop_sold_total 1", id)
	r := httptest.NewRequestWithContext(ctx, "POST", "/login", strings.NewReader(url.Values{"name": {"ada"}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	require.Equal(t, 204, w.Code)
}

// TestLinesOfEachStep holds docs/LIBRARY.md to the lines that each step adds and takes away.
func TestLinesOfEachStep(t *testing.T) {
	doc, err := os.ReadFile("../../docs/LIBRARY.md")
	require.NoError(t, err)
	for i := 1; i < len(steps); i++ {
		out, err := exec.Command("diff", "-r", "-N", "-U0", steps[i-1].name, steps[i].name).Output()
		var differ *exec.ExitError
		require.ErrorAs(t, err, &differ)
		added, removed := 0, 0
		for line := range bytes.Lines(out) {
			switch {
			case bytes.HasPrefix(line, []byte("+++")), bytes.HasPrefix(line, []byte("---")),
				bytes.Contains(line, []byte("examples/shop/")):
			case line[0] == '+':
				added++
			case line[0] == '-':
				removed++
			}
		}
		require.Contains(t, string(doc), fmt.Sprintf("| [`%s`](../examples/shop/%s) | +%d −%d |", steps[i].name,
			steps[i].name, added, removed))
	}
}
