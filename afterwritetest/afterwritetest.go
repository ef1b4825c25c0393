// Package afterwritetest runs a program's models in memory: the real cache, producer and
// worker on a Redis inside the test's process and a SQLite file in its temporary directory.
// It opens in a few hundredths of a second and needs no server.
//
//	db := afterwritetest.New(t, afterwrite.Model[User]())
//	users := afterwrite.Table[User](db)
//	_, err := users.Put(ctx, &User{Name: "Ada"})
//	afterwritetest.Flush(t, db)                 // everything is in the database, or refused
//	afterwritetest.Refuse(t, db, User{}, id, "unique")
//	afterwritetest.Down(t, db, afterwritetest.Redis)
package afterwritetest

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/inside"
)

// flushTimeout bounds Flush. A test that passes never waits for it.
const flushTimeout = time.Minute

// fixture is what belongs to one DB of a test.
type fixture struct {
	redis  *miniredis.Miniredis
	sql    *sql.DB // beside the store's own connections
	gate   *gate
	offset atomic.Int64 // of the clock, ns
	moved  atomic.Bool  // the clock is the test's
}

// fixtures are those of the tests that run: *afterwrite.DB → *fixture.
var fixtures sync.Map

func of(t testing.TB, db *afterwrite.DB) *fixture {
	t.Helper()
	f, ok := fixtures.Load(db)
	if !ok {
		t.Fatal("afterwritetest: this DB was not made by New")
	}
	return f.(*fixture)
}

// New opens models in memory, creates their tables and works in the background until the test
// ends. What it logs goes to the test's log.
func New(t testing.TB, models ...afterwrite.Registration) *afterwrite.DB {
	t.Helper()
	f := &fixture{redis: miniredis.RunT(t), gate: &gate{}}
	file := filepath.Join(t.TempDir(), "afterwrite.db")
	ctx := inside.With(t.Context(), inside.Options{Clock: f.now, InProcess: true, Wrap: f.gate.wrap})
	db, err := afterwrite.Open(ctx, afterwrite.Config{
		RedisURL: "redis://" + f.redis.Addr() + "/0", DatabaseURL: "sqlite://" + file,
		PollInterval: 5 * time.Millisecond, SweepInterval: 50 * time.Millisecond, Logger: logTo(t),
	}, models...)
	if err != nil {
		t.Fatalf("afterwritetest: %v", err)
	}
	if err := db.Migrate(ctx); err != nil {
		t.Fatalf("afterwritetest: %v", err)
	}
	if f.sql, err = sql.Open("sqlite3", "file:"+file+"?_busy_timeout=5000&_foreign_keys=on"); err != nil {
		t.Fatalf("afterwritetest: %v", err)
	}
	fixtures.Store(db, f)
	work, stop := context.WithCancel(context.Background())
	var beside sync.WaitGroup
	beside.Go(func() { f.tick(work) })
	beside.Go(func() {
		if err := db.Work(work); err != nil {
			t.Errorf("afterwritetest: work: %v", err)
		}
	})
	t.Cleanup(func() {
		fixtures.Delete(db)
		f.up()
		stop()
		beside.Wait()
		if err := db.Close(); err != nil {
			t.Errorf("afterwritetest: close: %v", err)
		}
		_ = f.sql.Close() // the file goes with it
	})
	return db
}

// Flush returns when nothing is pending: every record is in the database, held or dead.
func Flush(t testing.TB, db *afterwrite.DB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := db.Flush(ctx); err != nil {
		t.Fatalf("afterwritetest: %v", err)
	}
}

// RequirePersisted fails the test unless a write is in the database, within a minute.
func RequirePersisted(t testing.TB, w afterwrite.Written) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := w.Wait(ctx); err != nil {
		t.Fatalf("afterwritetest: not persisted: %v", err)
	}
}

// SQL returns the database of a DB, to look at its rows.
func SQL(t testing.TB, db *afterwrite.DB) *sql.DB { return of(t, db).sql }

// logTo logs to the test's log what is worth a warning.
func logTo(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
}
