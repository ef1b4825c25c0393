package producer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/internal/span"
	"github.com/afterwrite/afterwrite/schema"
)

// Defaults of [Config].
const (
	DefaultLanes      = 2
	DefaultMaxWaiting = 10_000
	DefaultTimeout    = 10 * time.Second
)

// MaxKey bounds the bytes of a request's idempotency key.
const MaxKey = 255

// Config configures a [Producer]. Entities, Cache and Loader are required, and Database if an entity's writes go to the
// database first.
type Config struct {
	Entities   []*schema.Entity
	Cache      Writer
	Queue      Enqueuer // nil: the sweeper of the workers orders every flush
	Loader     Loader
	Database   Database
	Sequences  Sequences             // nil: no id is made for entities with `id: {made: sequence}`
	Before     map[string]Before     // by the name of the entity; they need Reader
	Reader     Reader                // of records that a Before is to see
	Lanes      int                   // trips to Redis under way at once; 0: DefaultLanes
	MaxWaiting int                   // writes that wait for a trip; 0: DefaultMaxWaiting
	Timeout    time.Duration         // bound on one trip; 0: DefaultTimeout
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
	// Tracer has the spans of writes whose caller is traced; nil: the one registered with package otel.
	Tracer trace.TracerProvider
}

// Writer accepts writes: the cache.
type Writer interface {
	Write(ctx context.Context, groups ...*cache.Group)
	// Node names the node of a cluster that has a partition; "" where there is one node.
	Node(ctx context.Context, e *schema.Entity, partition int) string
	Reserve(ctx context.Context, e *schema.Entity, key, owner, fresh string) (string, error)
	barriers
}

// Loader reads rows that a write needs and the cache does not have: the store.
type Loader interface {
	Load(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error)
}

// Producer accepts writes. It is safe for concurrent use.
type Producer struct {
	entities map[string]*schema.Entity
	cache    Writer
	loader   Loader
	database Database
	numbers  map[string]*numbers // by the name of the entity; of those with ids that a sequence makes
	hooks    map[string]Before
	reader   Reader
	lanes    lanes
	nodes    sync.Map // node of a cluster → its lanes
	orders   *orders
	timeout  time.Duration
	scope    *rdb.Scope // of the metrics
	metrics  *metrics
	tracer   trace.Tracer
}

// New returns a producer, which must be closed.
func New(cfg Config) (*Producer, error) {
	if cfg.Cache == nil || cfg.Loader == nil {
		return nil, errors.New("producer: Cache and Loader are required")
	}
	if len(cfg.Before) > 0 && cfg.Reader == nil {
		return nil, errors.New("producer: Before needs a Reader")
	}
	if cfg.Lanes < 0 || cfg.MaxWaiting < 0 || cfg.Timeout < 0 {
		return nil, errors.New("producer: Lanes, MaxWaiting or Timeout is negative")
	}
	scope := rdb.NewScope(cfg.Registerer)
	m := newMetrics(scope)
	if err := scope.Err(); err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	p := &Producer{
		scope:    scope,
		entities: make(map[string]*schema.Entity, len(cfg.Entities)),
		cache:    cfg.Cache,
		loader:   cfg.Loader,
		database: cfg.Database,
		hooks:    cfg.Before,
		reader:   cfg.Reader,
		timeout:  cmp.Or(cfg.Timeout, DefaultTimeout),
		metrics:  m,
		tracer:   span.Tracer(cfg.Tracer),
		orders:   newOrders(cfg.Queue, cmp.Or(cfg.Log, slog.Default()), m),
		numbers:  map[string]*numbers{},
	}
	for _, e := range cfg.Entities {
		if err := p.add(e); err != nil {
			p.orders.close()
			scope.Drop()
			return nil, fmt.Errorf("producer: %w", err)
		}
		m.declare(e)
		if e.ID.Made == schema.MadeSequence && cfg.Sequences != nil {
			p.numbers[e.Name] = newNumbers(e, cfg.Sequences, cmp.Or(cfg.MaxWaiting, DefaultMaxWaiting), p.timeout,
				func(n int) { m.drawn.WithLabelValues(e.Name).Add(float64(n)) })
		}
	}
	p.lanes = newLanes(p, cmp.Or(cfg.Lanes, DefaultLanes), cmp.Or(cfg.MaxWaiting, DefaultMaxWaiting))
	return p, nil
}

// add adds an entity.
func (p *Producer) add(e *schema.Entity) error {
	if err := e.Ready(); err != nil {
		return err
	}
	if p.entities[e.Name] != nil {
		return fmt.Errorf("entity %s is given twice", e.Name)
	}
	if e.Write != schema.WriteBehind && p.database == nil {
		return fmt.Errorf("entity %s: write: %s needs a Database", e.Name, e.Write)
	}
	p.entities[e.Name] = e
	return nil
}

// Close waits until the orders given so far are enqueued, at most a few seconds. A write during or after Close, for
// example by a request that outlives its server, is accepted like any other; the workers' sweeper enqueues its sync
// task. Close can be called several times and concurrently.
func (p *Producer) Close() error {
	p.orders.close()
	p.scope.Drop()
	return nil
}

// Entity returns the entity with that name, or ErrUnknownEntity.
func (p *Producer) Entity(name string) (*schema.Entity, error) {
	if e := p.entities[name]; e != nil {
		return e, nil
	}
	return nil, fmt.Errorf("%w: %q", schema.ErrUnknownEntity, name)
}

// Request is one write.
type Request struct {
	Op          cache.Op
	Entity, ID  string
	Fields      schema.Fields  // put and create: the record; patch: the changes; increment: the amounts
	IfMatch     schema.Version // 0: none; or cache.AnyVersion
	IfNoneMatch bool           // put only: the record must not exist
	// Key makes a repeat of the request safe: it is applied once, and the repeat gets the same answer. At most MaxKey
	// bytes; "" for no key.
	Key string
	// Owner is who sent the Key, such as the name of a token: of the keys that a partition keeps, one owner has at most
	// half, so that the others' are accepted. "": no owner.
	Owner string
	// Same identifies the request under its Key if its fields cannot, because they contain the time of the request; "":
	// the fields do.
	Same string
	// Seen says that the entity's [Before] has already run.
	Seen bool
	// ThoughFull says that the write is an operator's, which a Redis that is full accepts, too.
	ThoughFull bool
}

// Accepted is the answer to an accepted write.
type Accepted struct {
	Entity  *schema.Entity
	ID      string
	Version schema.Version
	Status  schema.Status // Pending, or Persisted if the database has it already
	Values  schema.Values // increment: the new values of the added fields, "" elsewhere
	Again   bool          // the request was accepted before, under its Key
}

// Do accepts one write.
//
// After these errors nothing was written: ErrUnknownEntity, an InvalidError, ErrExists, ErrNotFound,
// ErrVersionMismatch, ErrKeyReused; and ErrBacklogFull, ErrBusy, ErrUnavailable, ErrDatabaseUnavailable, ErrNoID,
// after which a later attempt may succeed. After ErrOutcomeUnknown the write may have been accepted: repeat it only
// with the same Key. For entities whose writes go to the database first, a [RefusedError] is the database's refusal of
// this write.
func (p *Producer) Do(ctx context.Context, r Request) (Accepted, error) {
	if span.Sampled(ctx) {
		return p.traced(ctx, r)
	}
	return p.do(ctx, r)
}

func (p *Producer) do(ctx context.Context, r Request) (Accepted, error) {
	e, a, err := p.once(ctx, r)
	for range maxTaken {
		if !p.taken(&r, err) {
			break
		}
		e, a, err = p.once(ctx, r)
	}
	if p.taken(&r, err) {
		err = fmt.Errorf("%w: rows of %s have its next numbers already: set it beyond the largest id", schema.ErrNoID,
			e.Table)
	}
	err = r.explain(err)
	p.metrics.write(e, r.Op, err)
	return a, err
}

func (p *Producer) once(ctx context.Context, r Request) (e *schema.Entity, a Accepted, err error) {
	e, w, err := p.prepare(ctx, r)
	if err == nil {
		a, err = p.accept(ctx, e, w, r.Seen)
	}
	if err != nil {
		a = Accepted{}
	}
	return e, a, err
}

// accept sends a write, after the hook of its entity.
func (p *Producer) accept(ctx context.Context, e *schema.Entity, w cache.Write, seen bool) (Accepted, error) {
	if hook := p.hooks[e.Name]; hook != nil && !seen {
		return p.before(ctx, e, hook, w)
	}
	return p.deliver(ctx, e, w)
}

// deliver sends a write to Redis or to the database first, as its entity is configured.
func (p *Producer) deliver(ctx context.Context, e *schema.Entity, w cache.Write) (Accepted, error) {
	if e.Write == schema.WriteBehind {
		written, err := p.submitOne(ctx, e, w)
		return accepted(e, w.ID, written), err
	}
	written, status, err := p.through(ctx, e, w)
	a := accepted(e, w.ID, written)
	a.Status = status
	return a, err
}

func accepted(e *schema.Entity, id string, w cache.Written) Accepted {
	return Accepted{Entity: e, ID: id, Version: w.Version, Status: schema.Pending, Values: w.Values, Again: w.Again}
}

// explain replaces the error of a condition by the error for the condition that the request used.
func (r *Request) explain(err error) error {
	if r.IfNoneMatch && errors.Is(err, schema.ErrExists) {
		return fmt.Errorf("%w: it exists", schema.ErrVersionMismatch)
	}
	return err
}
