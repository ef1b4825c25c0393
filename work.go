package afterwrite

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/migrations"
)

// MigrateOption changes what [DB.Migrate] does beside.
type MigrateOption func(*store.Watching)

// Watch has triggers note the rows that other programs write to the tables of
// these entities (none: all): a worker drops them from the cache within a second.
// See docs/DATABASES.md for the rights. Each Migrate renews them.
func Watch(entities ...string) MigrateOption {
	return func(w *store.Watching) { w.Watch = append(w.Watch, orAll(entities)...) }
}

// Unwatch removes the triggers that [Watch] made (none named: of all entities).
func Unwatch(entities ...string) MigrateOption {
	return func(w *store.Watching) { w.Unwatch = append(w.Unwatch, orAll(entities)...) }
}

func orAll(entities []string) []string {
	if len(entities) == 0 {
		return []string{store.WatchAll}
	}
	return entities
}

// Migrate creates missing tables, columns and unique indexes. It never alters or drops what
// exists, and any number of processes may migrate at once.
func (db *DB) Migrate(ctx context.Context, options ...MigrateOption) error {
	if db.closed.Load() {
		return ErrClosed
	}
	var want store.Watching
	for _, option := range options {
		option(&want)
	}
	done, err := db.parts.Store.Migrate(ctx, false, want)
	for _, line := range done {
		db.log.InfoContext(ctx, "migrated", "step", line)
	}
	if err != nil {
		return err
	}
	if err := db.parts.CheckDatabase(ctx); err != nil {
		return err
	}
	return db.parts.CheckPairing(ctx)
}

// Migrations has the SQL files of Afterwrite's own tables, a folder for each
// dialect, for a migration tool; see also `afterwrite migrate --sql`.
func Migrations() fs.FS { return migrations.Files() }

// Work runs what `afterwrite worker` runs, in any number of processes, until ctx
// ends. It waits for a database that is not ready.
func (db *DB) Work(ctx context.Context) error {
	db.working.Add(1)
	defer db.working.Done()
	if db.closed.Load() {
		return ErrClosed
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(db.ctx, cancel)()
	return db.parts.Work(ctx)
}

// flushTick is how often Flush looks whether anything is pending.
const flushTick = 20 * time.Millisecond

// Flush makes all records due now, and waits until none is pending.
func (db *DB) Flush(ctx context.Context) error {
	for _, e := range db.entities {
		if db.closed.Load() {
			return ErrClosed
		}
		now, err := db.parts.Pending.FlushNow(ctx, e)
		if err != nil {
			return err
		}
		for _, o := range now.Orders {
			if err := db.queue.Enqueue(ctx, o); err != nil {
				return err
			}
		}
	}
	tick := time.NewTicker(flushTick)
	defer tick.Stop()
	for {
		pending, err := db.pending(ctx)
		if err != nil || pending == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("flush: %d records are pending: %w", pending, ctx.Err())
		case <-tick.C:
		}
	}
}

func (db *DB) pending(ctx context.Context) (int64, error) {
	total := int64(0)
	for _, e := range db.entities {
		if db.closed.Load() {
			return 0, ErrClosed
		}
		stats, err := db.parts.Pending.Stats(ctx, e)
		if err != nil {
			return 0, err
		}
		total += pending.Total(stats).Pending
	}
	return total, nil
}

// APIConfig says what the HTTP API takes.
type APIConfig struct {
	Tokens       bool     // asks for API tokens; without, the program's own log-in belongs before it
	MaxBody      int64    // bytes of one write; 0: 1 MiB
	MaxBatchBody int64    // bytes of one batch; 0: 64 MiB
	CORS         []string // origins that browsers may call from, or "*"
}

// API is the HTTP API of docs/API.md, at /v1/ and /openapi.json. Call it once.
func (db *DB) API(cfg APIConfig) http.Handler {
	c := &db.parts.Config.API
	c.RequireTokens, c.Insecure, c.CORS = cfg.Tokens, !cfg.Tokens, cfg.CORS
	setIf(&c.MaxBody, cfg.MaxBody)
	setIf(&c.MaxBatchBody, cfg.MaxBatchBody)
	handler, err := db.parts.NewAPI(db.ctx.Done())
	go db.parts.KeepJobs(db.ctx)
	return db.served("API", handler, err)
}

// DashboardConfig says who may see the pages.
type DashboardConfig struct {
	// Who names the person of a request, "" for none; nil: loopback addresses alone, as an admin.
	Who         func(*http.Request) (name string, role dashboard.Role)
	Environment string // shown on every page; "production" has actions typed to confirm them
}

// Dashboard returns the status pages, for a path that ends with a slash.
func (db *DB) Dashboard(cfg DashboardConfig) http.Handler {
	db.parts.Config.Dashboard.Environment = cfg.Environment
	handler, err := db.parts.NewDashboard(db.ctx, cfg.Who)
	return db.served("Dashboard", below(handler), err)
}

// below takes off a request's path that of the pattern which it matched: links of the pages
// are relative.
func below(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern, _ := strings.Cut(r.Pattern, "/")
		if prefix := strings.TrimSuffix("/"+pattern, "/"); prefix != "" && strings.HasSuffix(pattern, "/") {
			http.StripPrefix(prefix, handler).ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

func (db *DB) served(what string, handler http.Handler, err error) http.Handler {
	if err == nil {
		return handler
	}
	db.log.Error("afterwrite: "+what+" cannot serve", "error", err)
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "afterwrite: the configuration of this handler is at fault: see the log",
			http.StatusInternalServerError)
	})
}
