package store

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/migrate"
	"github.com/afterwrite/afterwrite/store/internal/mysql"
	"github.com/afterwrite/afterwrite/store/internal/postgres"
	"github.com/afterwrite/afterwrite/store/internal/sqlite"
)

// Config says how a [Store] reaches its database. URL is required, or SQL with its Dialect.
type Config struct {
	// SQL is a pool of the caller's, by pgx, mattn/go-sqlite3 or go-sql-driver/mysql, used instead of URL and the
	// settings of connections. It is never closed and its sessions are left as they are. SQLite's should have
	// _busy_timeout, _journal_mode=WAL and _foreign_keys=on; what MySQL's DSN lacks is reported with [fault.ErrPool].
	SQL     *sql.DB
	Dialect string // of SQL: "postgres", "sqlite" or "mysql"

	URL               string        // sqlite://relative/path.db, sqlite:///absolute/path.db, postgres://… or mysql://…
	MaxOpen           int           // connections at most; on SQLite those that read, beside the one that writes
	MaxIdle           int           // connections kept while idle; 0: MaxOpen
	ConnLifetime      time.Duration // age at which a connection is replaced
	LockTimeout       time.Duration // wait for a lock (PostgreSQL), or for the one writing connection (SQLite)
	StatementTimeout  time.Duration // bound on one statement; on SQLite only contexts bound it
	IdleInTransaction time.Duration // PostgreSQL ends a transaction whose process says nothing for that long
	BusyTimeout       time.Duration // SQLite: wait for another process that writes
	Pair              string        // name of the pairing with a Redis, the prefix of its keys: see [Flush.Pairing]

	Hooks      map[string]Hook                         // by the name of the entity
	Log        *slog.Logger                            // nil: slog.Default()
	OnTLS      func(*tls.Config)                       // called with the settings of TLS that are used
	Registerer prometheus.Registerer                   // nil: no metrics
	Wrap       func(driver.Connector) driver.Connector // wraps every connection; tests inject faults with it
}

// Store keeps the records of entities in one SQL database. It is safe for concurrent use, by any number of processes.
type Store struct {
	db      *database.Database
	hooks   map[string]Hook
	inside  *migrate.Migration
	tables  map[string]*table
	entries []*table // in the order of the configuration
}

// Open prepares a store. It fails only on a configuration that cannot work.
func Open(cfg Config, entities []*schema.Entity) (*Store, error) {
	db, err := database.New(cfg.settings(), dialectOf)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, hooks: cfg.Hooks, inside: migrate.New(db), tables: make(map[string]*table, len(entities))}
	for _, e := range entities {
		if err := s.add(e); err != nil {
			return nil, err
		}
	}
	if err := db.Connect(); err != nil {
		return nil, err
	}
	return s, nil
}

// add maps an entity.
func (s *Store) add(e *schema.Entity) error {
	if err := e.Ready(); err != nil {
		return err
	}
	if s.tables[e.Name] != nil {
		return fmt.Errorf("entity %s is given twice", e.Name)
	}
	mapped, err := mapping.New(e, s.db.Dialect)
	if err != nil {
		return fmt.Errorf("entity %s: %w", e.Name, err)
	}
	for _, limit := range s.db.Dialect.Limits(e) {
		s.db.Settings.Log.Warn("the database cannot hold all that the entity allows; longer values will be refused",
			"entity", e.Name, "limit", limit)
	}
	t := &table{Table: mapped, store: s}
	s.tables[e.Name] = t
	s.entries = append(s.entries, t)
	s.inside.Add(mapped)
	return nil
}

func (c Config) settings() database.Settings {
	return database.Settings{SQL: c.SQL, Dialect: c.Dialect, URL: c.URL, MaxOpen: c.MaxOpen, MaxIdle: c.MaxIdle,
		ConnLifetime: c.ConnLifetime, LockTimeout: c.LockTimeout, StatementTimeout: c.StatementTimeout,
		IdleInTransaction: c.IdleInTransaction, BusyTimeout: c.BusyTimeout, Pair: c.Pair, Log: c.Log, OnTLS: c.OnTLS,
		Registerer: c.Registerer, Wrap: c.Wrap}
}

// dialectOf is the dialect of a URL, or of a pool of the caller's.
func dialectOf(cfg database.Settings) (database.Dialect, error) {
	if cfg.SQL != nil {
		return dialectNamed(cfg)
	}
	scheme, _, ok := strings.Cut(cfg.URL, "://")
	switch {
	case !ok:
		return nil, errors.New("database url: want sqlite://path, postgres://user@host/name or mysql://user@host/name")
	case scheme == "sqlite":
		return sqlite.New(cfg)
	case scheme == "postgres" || scheme == "postgresql":
		return postgres.New(cfg)
	case scheme == "mysql":
		return mysql.New(cfg)
	}
	return nil, fmt.Errorf("database url: scheme %q is not sqlite, postgres or mysql", scheme)
}

func dialectNamed(cfg database.Settings) (database.Dialect, error) {
	switch cfg.Dialect {
	case "postgres":
		return postgres.Over(cfg)
	case "sqlite":
		return sqlite.Over(), nil
	case "mysql":
		return mysql.Over(cfg), nil
	}
	return nil, fmt.Errorf("database: a pool of the dialect %q cannot be used, only of postgres, sqlite or mysql",
		cfg.Dialect)
}

// Close closes every connection, but those of the caller's pool.
func (s *Store) Close() error { return s.db.Close() }

// Dialect is the kind of database: "sqlite", "postgres" or "mysql".
func (s *Store) Dialect() string { return s.db.Dialect.Name() }

// Ping reports whether the database answers. A missing SQLite file is empty.
func (s *Store) Ping(ctx context.Context) error {
	defer s.db.Metrics.Time("ping")()
	var one int
	err := s.db.Reading.SQL.QueryRowContext(ctx, s.db.Dialect.Probe()).Scan(&one)
	if err != nil && s.db.Dialect.Missing(err) {
		return nil
	}
	return s.db.Unavailable("ping", err)
}

// Pooled reports whether a connection pooler was found in front of PostgreSQL.
func (s *Store) Pooled() bool {
	d, ok := s.db.Dialect.(database.Pooling)
	return ok && d.BehindPooler()
}

// CheckPool reports with [fault.ErrPool] what the caller's pool lacks.
func (s *Store) CheckPool(ctx context.Context) error {
	if s.db.Settings.SQL == nil || !s.db.Dialect.SingleStatements() {
		return nil
	}
	return s.Writable(ctx)
}

// Writable reports whether a transaction can write, by one that leaves nothing.
func (s *Store) Writable(ctx context.Context) error {
	tx, err := s.db.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	if _, err := tx.Lock("", 0); err != nil { // no entity is called that, so no flush waits for it
		return err
	}
	// It is committed, for a full disk shows then.
	if err := tx.DB.Exec("DELETE FROM afterwrite_fences WHERE entity = ''").Error; err != nil {
		return s.db.Unavailable("write", err)
	}
	return s.db.Unavailable("commit", tx.Commit())
}

// table returns the mapping of an entity, which must be one of those given to Open.
func (s *Store) table(e *schema.Entity) (*table, error) {
	if t, ok := s.tables[e.Name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("entity %s: %w", e.Name, schema.ErrUnknownEntity)
}

// Inside is the store's database and its tables, for the packages below store.
func (s *Store) Inside() *migrate.Migration { return s.inside }
