// Package database holds the connections to a database, its transactions and fences, and says what a dialect has to do.
package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync/atomic"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
)

// Database is a database's connections and its dialect. It is safe for concurrent use.
type Database struct {
	Settings Settings
	Dialect  Dialect
	// Writing is on SQLite a single connection, so that writers of this process line up here and not in busy loops.
	Writing Pool
	Reading Pool        // on PostgreSQL the same as writing
	stale   atomic.Bool // a connection could not write; a new one may, so begin opens one
	Metrics *Metrics
}

// New prepares a database, whose dialect is found by the settings. It opens no connection: see connect.
func New(cfg Settings, find func(Settings) (Dialect, error)) (*Database, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Database{Settings: cfg}
	if s.Dialect, err = find(cfg); err != nil {
		return nil, err
	}
	if cfg.SQL != nil {
		if most, least := cfg.SQL.Stats().MaxOpenConnections, s.Dialect.Writers(0); most > 0 && most < least {
			return nil, fmt.Errorf("database: the pool has %d connections at most: a migration takes %d", most, least)
		}
	}
	return s, nil
}

// Pool is a set of connections and gorm's view of it.
type Pool struct {
	SQL     *sql.DB
	ORM     *gorm.DB
	theirs  bool   // it is the caller's
	idle    int    // connections kept while idle
	unwatch func() // takes its gauges off the registry
}

// renew closes the idle connections. A session keeps the defaults, and the server, that
// it began with: one that began read-only stays so when the database no longer is.
func (p Pool) renew() {
	p.SQL.SetMaxIdleConns(-1)
	p.SQL.SetMaxIdleConns(p.idle)
}

// renewing is a dialect whose connections of a process can write together or not at all: they are closed together.
type renewing interface {
	// Renew reports false if it was done a moment ago.
	Renew() bool
}

// renew has new connections find out whether they can write.
func (s *Database) renew() {
	if s.Writing.theirs {
		return
	}
	if d, ok := s.Dialect.(renewing); ok && !d.Renew() {
		return
	}
	s.Writing.renew()
	if s.Reading.SQL != s.Writing.SQL {
		s.Reading.renew()
	}
}

func (p Pool) close() error {
	if p.theirs {
		return nil
	}
	p.unwatch()
	return p.SQL.Close()
}

// bounding is a dialect whose sessions are bounded when they are opened, and so not where the
// pool is the caller's or a pooler is between: local is the statement that bounds a transaction
// instead, "" where its session is bounded.
type bounding interface{ Local(cfg Settings) string }

// Connect makes the pools of connections.
func (s *Database) Connect() (err error) {
	if s.Metrics, err = newMetrics(s.Settings.Registerer); err != nil {
		return fmt.Errorf("database metrics: %w", err)
	}
	if s.Settings.SQL != nil && !s.Dialect.SingleStatements() {
		orm, err := s.orm(s.Settings.SQL)
		s.Writing = Pool{s.Settings.SQL, orm, true, 0, func() {}}
		s.Reading = s.Writing
		return err
	}
	writing, reading := s.Dialect.Connectors()
	if s.Writing, err = s.open("write", writing, s.Dialect.Writers(s.Settings.MaxOpen)); err != nil {
		return err
	}
	s.Reading = s.Writing
	if reading == nil {
		return nil
	}
	if s.Reading, err = s.open("read", reading, s.Settings.MaxOpen); err != nil {
		return errors.Join(err, s.Writing.close())
	}
	return nil
}

func (s *Database) open(name string, connector driver.Connector, size int) (Pool, error) {
	db := sql.OpenDB(s.Settings.Wrap(connector))
	db.SetMaxOpenConns(size)
	idle := min(size, s.Settings.MaxIdle)
	if s.Settings.SQL != nil {
		idle = -1 // what is lent goes back as soon as it is not in use
	}
	db.SetMaxIdleConns(idle)
	db.SetConnMaxLifetime(s.Settings.ConnLifetime)
	orm, err := s.orm(db)
	if err != nil {
		return Pool{}, errors.Join(err, db.Close())
	}
	return Pool{db, orm, false, idle, watch(s.Settings.Registerer, "afterwrite_"+name, db)}, nil
}

func (s *Database) orm(db *sql.DB) (*gorm.DB, error) {
	// A configuration of its own for each: gorm keeps the dialect's state in it.
	orm, err := gorm.Open(s.Dialect.Dialector(db), &gorm.Config{
		SkipDefaultTransaction: true,
		DisableAutomaticPing:   true,
		Logger:                 logger.Discard,
	})
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", s.Dialect.Name(), err)
	}
	return orm, nil
}

// Close closes every connection, unless the pool is the caller's. Calls under way fail.
func (s *Database) Close() error {
	err := s.Writing.close()
	if s.Reading.SQL != s.Writing.SQL {
		err = errors.Join(err, s.Reading.close())
	}
	return err
}

// Read returns a session of gorm on the connections that read.
func (s *Database) Read(ctx context.Context) *gorm.DB { return s.Reading.ORM.WithContext(ctx) }

// Unavailable wraps an error of the database about op; nil stays nil.
func (s *Database) Unavailable(op string, err error) error {
	if err == nil {
		return nil
	}
	if s.Dialect.Missing(err) || errors.Is(err, schema.ErrSchema) && !s.Dialect.Denied(err) {
		err = fmt.Errorf("%w: %w", fault.ErrNotMigrated, err)
	}
	if s.Dialect.ReadOnly(err) {
		s.stale.Store(true)
	}
	return &fault.Error{
		Op: op, Err: err, Away: s.Dialect.Away(err), Conflict: s.Dialect.Conflict(err),
		Blocked: s.Dialect.Blocked(err), Late: s.late(err) || errors.Is(err, context.DeadlineExceeded),
		OfTable: errors.Is(err, fault.ErrUnfit) || s.Dialect.OfTable(err),
	}
}

// late reports whether err is of the time that a statement took, or of another transaction.
func (s *Database) late(err error) bool { return s.Dialect.Hung(err) || s.Dialect.Blocked(err) }

// Suspected is the kind of what is no refusal by its code, and taken for one.
func (s *Database) Suspected(err error) schema.Kind {
	if s.late(err) {
		return schema.KindTimeout
	}
	return schema.KindPoison
}

// Catalog reads what the database says about a table.
func (s *Database) Catalog(ctx context.Context, name string) (*catalog.Table, error) {
	at, err := s.Dialect.Catalog(ctx, s.Reading.SQL, name)
	return at, s.Unavailable("read the catalog of "+name, err)
}
