package store

import (
	"cmp"
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	drv "github.com/go-sql-driver/mysql"
	"github.com/prometheus/client_golang/prometheus"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/afterwrite/afterwrite/schema"
)

// Defaults of a [Config].
const (
	DefaultMaxOpen           = 16
	DefaultConnLifetime      = 30 * time.Minute
	DefaultLockTimeout       = 5 * time.Second
	DefaultStatementTimeout  = 30 * time.Second
	DefaultIdleInTransaction = 10 * time.Second
	DefaultBusyTimeout       = 5 * time.Second
)

// Config says how a [Store] reaches its database. URL is required, or SQL with its Dialect.
type Config struct {
	// SQL is a pool of the caller's, used instead of URL and the settings of connections, and
	// never closed: of PostgreSQL by the driver pgx, of SQLite by mattn's, of MySQL or MariaDB by
	// go-sql-driver's. Its sessions are left as they are: bounds are set in each transaction, and
	// what a session of MySQL needs is set while a connection is in use. On SQLite it should have
	// _busy_timeout, _journal_mode=WAL and _foreign_keys=on; what MySQL's DSN must have, the first
	// connection says, with [fault.ErrPool].
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

	Hooks map[string]Hook // by the name of the entity; see there

	Log *slog.Logger // nil: slog.Default()
	// is called with each settings of TLS, where it is used; nil: nothing is
	OnTLS      func(*tls.Config)
	Registerer prometheus.Registerer                   // nil: no metrics
	Wrap       func(driver.Connector) driver.Connector // wraps every connection; tests inject faults with it
}

func (c Config) withDefaults() (Config, error) {
	for _, d := range []time.Duration{c.ConnLifetime, c.LockTimeout, c.StatementTimeout, c.IdleInTransaction,
		c.BusyTimeout} {
		if d < 0 {
			return c, fmt.Errorf("database: a timeout of %s is negative", d)
		}
	}
	if c.MaxOpen < 0 || c.MaxIdle < 0 {
		return c, errors.New("database: a pool size is negative")
	}
	c.MaxOpen = cmp.Or(c.MaxOpen, DefaultMaxOpen)
	c.MaxIdle = min(cmp.Or(c.MaxIdle, c.MaxOpen), c.MaxOpen)
	c.ConnLifetime = cmp.Or(c.ConnLifetime, DefaultConnLifetime)
	c.LockTimeout = cmp.Or(c.LockTimeout, DefaultLockTimeout)
	c.StatementTimeout = cmp.Or(c.StatementTimeout, DefaultStatementTimeout)
	c.IdleInTransaction = cmp.Or(c.IdleInTransaction, DefaultIdleInTransaction)
	c.BusyTimeout = cmp.Or(c.BusyTimeout, DefaultBusyTimeout)
	c.Log = cmp.Or(c.Log, slog.Default())
	if c.Wrap == nil {
		c.Wrap = func(connector driver.Connector) driver.Connector { return connector }
	}
	return c, nil
}

// onTLS shows settings of TLS to whom the Config names, where there are both.
func (c *Config) onTLS(t *tls.Config) {
	if c.OnTLS != nil && t != nil {
		c.OnTLS(t)
	}
}

// Store keeps the records of a set of entities in one SQL database. It is safe for
// concurrent use, by any number of processes.
type Store struct {
	cfg     Config
	dialect dialect
	writing pool // on SQLite a single connection, so that writers of this process line up here and not in busy loops
	reading pool // on PostgreSQL the same as writing
	tables  map[string]*table
	entries []*table    // in the order of the configuration
	stale   atomic.Bool // a connection could not write; a new one may, so begin opens one
	metrics *metrics
}

// pool is a set of connections and gorm's view of it.
type pool struct {
	sql     *sql.DB
	orm     *gorm.DB
	theirs  bool   // it is the caller's
	idle    int    // connections kept while idle
	unwatch func() // takes its gauges off the registry
}

// renew closes the idle connections. A session keeps the defaults, and the server, that
// it began with: one that began read-only stays so when the database no longer is.
func (p pool) renew() {
	p.sql.SetMaxIdleConns(-1)
	p.sql.SetMaxIdleConns(p.idle)
}

// renewing is a dialect whose connections of a process can write together or not at all: they are closed together.
type renewing interface {
	// renew reports false if it was done a moment ago.
	renew() bool
}

// renew has new connections find out whether they can write.
func (s *Store) renew() {
	if s.writing.theirs {
		return
	}
	if d, ok := s.dialect.(renewing); ok && !d.renew() {
		return
	}
	s.writing.renew()
	if s.reading.sql != s.writing.sql {
		s.reading.renew()
	}
}

func (p pool) close() error {
	if p.theirs {
		return nil
	}
	p.unwatch()
	return p.sql.Close()
}

// Open prepares a store for the entities. It touches no table, and fails only on a
// configuration that cannot work; [Store.Ping] says whether the database answers.
func Open(cfg Config, entities []*schema.Entity) (*Store, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	d, err := dialectOf(cfg)
	if err != nil {
		return nil, err
	}
	s := &Store{cfg: cfg, dialect: d, tables: make(map[string]*table, len(entities))}
	for _, e := range entities {
		if err := e.Ready(); err != nil {
			return nil, err
		}
		if s.tables[e.Name] != nil {
			return nil, fmt.Errorf("entity %s is given twice", e.Name)
		}
		t, err := newTable(e, d)
		if err != nil {
			return nil, fmt.Errorf("entity %s: %w", e.Name, err)
		}
		for _, limit := range d.limits(e) {
			cfg.Log.Warn("the database cannot hold all that the entity allows; longer values will be refused",
				"entity", e.Name, "limit", limit)
		}
		s.tables[e.Name] = t
		s.entries = append(s.entries, t)
	}
	if s.metrics, err = newMetrics(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("database metrics: %w", err)
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	return s, nil
}

func dialectOf(cfg Config) (dialect, error) {
	if cfg.SQL != nil {
		return dialectOver(cfg)
	}
	scheme, _, ok := strings.Cut(cfg.URL, "://")
	switch {
	case !ok:
		return nil, errors.New("database url: want sqlite://path, postgres://user@host/name or mysql://user@host/name")
	case scheme == "sqlite":
		return newSQLite(cfg)
	case scheme == "postgres" || scheme == "postgresql":
		return newPostgres(cfg)
	case scheme == "mysql":
		return newMySQL(cfg)
	}
	return nil, fmt.Errorf("database url: scheme %q is not sqlite, postgres or mysql", scheme)
}

// dialectOver is that of a pool of the caller's, which must have connections enough.
func dialectOver(cfg Config) (dialect, error) {
	d, err := dialectNamed(cfg)
	if err != nil {
		return nil, err
	}
	if most, least := cfg.SQL.Stats().MaxOpenConnections, d.writers(0); most > 0 && most < least {
		return nil, fmt.Errorf("database: the pool has %d connections at most: a migration takes %d", most, least)
	}
	return d, nil
}

func dialectNamed(cfg Config) (dialect, error) {
	switch cfg.Dialect {
	case "postgres":
		if name := fmt.Sprintf("%T", cfg.SQL.Driver()); name == "*pq.Driver" {
			return nil, errors.New("database: a pool of the driver lib/pq cannot be used, its errors are others: open it with pgx")
		}
		return &postgres{limit: cfg.StatementTimeout}, nil
	case "sqlite":
		return &sqlite{}, nil
	case "mysql":
		return &mysql{config: &drv.Config{}, cfg: cfg, pool: cfg.SQL}, nil
	}
	return nil, fmt.Errorf("database: a pool of the dialect %q cannot be used, only of postgres, sqlite or mysql",
		cfg.Dialect)
}

// bounding is a dialect whose sessions are bounded when they are opened, and so not where the
// pool is the caller's or a pooler is between: local is the statement that bounds a transaction
// instead, "" where its session is bounded.
type bounding interface{ local(cfg Config) string }

func (s *Store) connect() error {
	if s.cfg.SQL != nil && !s.dialect.apart() {
		orm, err := s.orm(s.cfg.SQL)
		s.writing = pool{s.cfg.SQL, orm, true, 0, func() {}}
		s.reading = s.writing
		return err
	}
	writing, reading := s.dialect.connectors()
	var err error
	if s.writing, err = s.open("write", writing, s.dialect.writers(s.cfg.MaxOpen)); err != nil {
		return err
	}
	s.reading = s.writing
	if reading == nil {
		return nil
	}
	if s.reading, err = s.open("read", reading, s.cfg.MaxOpen); err != nil {
		return errors.Join(err, s.writing.close())
	}
	return nil
}

func (s *Store) open(name string, connector driver.Connector, size int) (pool, error) {
	db := sql.OpenDB(s.cfg.Wrap(connector))
	db.SetMaxOpenConns(size)
	idle := min(size, s.cfg.MaxIdle)
	if s.cfg.SQL != nil {
		idle = -1 // what is lent goes back as soon as it is not in use
	}
	db.SetMaxIdleConns(idle)
	db.SetConnMaxLifetime(s.cfg.ConnLifetime)
	orm, err := s.orm(db)
	if err != nil {
		return pool{}, errors.Join(err, db.Close())
	}
	return pool{db, orm, false, idle, watch(s.cfg.Registerer, "afterwrite_"+name, db)}, nil
}

func (s *Store) orm(db *sql.DB) (*gorm.DB, error) {
	// A configuration of its own for each: gorm keeps the dialect's state in it.
	orm, err := gorm.Open(s.dialect.dialector(db), &gorm.Config{
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.dialect.name(), err)
	}
	return orm, nil
}

// Close closes every connection, unless the pool is the caller's. Calls under way fail.
func (s *Store) Close() error {
	err := s.writing.close()
	if s.reading.sql != s.writing.sql {
		err = errors.Join(err, s.reading.close())
	}
	return err
}

// Dialect is the kind of database: "sqlite", "postgres" or "mysql".
func (s *Store) Dialect() string { return s.dialect.name() }

// Ping reports whether the database answers a query. A SQLite file that no migration has
// made yet is an empty database.
func (s *Store) Ping(ctx context.Context) error {
	defer s.metrics.time("ping")()
	var one int
	err := s.reading.sql.QueryRowContext(ctx, s.dialect.probe()).Scan(&one)
	if err != nil && s.dialect.missing(err) {
		return nil
	}
	return s.unavailable("ping", err)
}

// CheckPool reports with [fault.ErrPool] what connections of the caller's pool lack that no statement gives them, and
// that needs the tables to be found out. The first flush would say so, too.
func (s *Store) CheckPool(ctx context.Context) error {
	if s.cfg.SQL == nil || !s.dialect.apart() {
		return nil
	}
	return s.Writable(ctx)
}

// Writable reports whether the database lets a transaction write, by one that leaves
// nothing behind. It is committed, for a full disk may be noticed only then.
func (s *Store) Writable(ctx context.Context) error {
	tx, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer tx.rollback()
	if _, err := tx.lock("", 0); err != nil { // no entity is called that, so no flush waits for it
		return err
	}
	if err := tx.db.Exec("DELETE FROM afterwrite_fences WHERE entity = ''").Error; err != nil {
		return s.unavailable("write", err)
	}
	return s.unavailable("commit", tx.commit())
}

// read returns a session of gorm on the connections that read.
func (s *Store) read(ctx context.Context) *gorm.DB { return s.reading.orm.WithContext(ctx) }

// table returns the mapping of an entity, which must be one of those given to Open.
func (s *Store) table(e *schema.Entity) (*table, error) {
	if t, ok := s.tables[e.Name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("entity %s: %w", e.Name, schema.ErrUnknownEntity)
}
