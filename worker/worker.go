package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/span"
	"github.com/afterwrite/afterwrite/schema"
)

// Defaults of a [Config].
const (
	DefaultSlice         = 100 * time.Millisecond // there can be more busy partitions than concurrent tasks
	DefaultFlagTTL       = pending.DefaultFlagMargin
	DefaultSweepInterval = time.Second
	DefaultBatchBytes    = 8 << 20
	DefaultKeepLetters   = 90 * 24 * time.Hour
)

// finishTimeout bounds the steps after a commit and the end of a task. They are done even if the task's own time is
// over, because that saves doing the work again.
const finishTimeout = 10 * time.Second

// Config joins a [Worker] to its surroundings. Entities, Redis, Store, Queue and Server
// are required; the worker closes none of them but shuts the server down.
type Config struct {
	Entities []*schema.Entity
	Redis    Redis
	Store    Database
	Queue    Enqueuer
	Server   Server

	Slice         time.Duration // how long one task works on a busy partition; 0: DefaultSlice
	FlagTTL       time.Duration // how long the partition of a dead worker waits; 0: DefaultFlagTTL
	SweepInterval time.Duration // between searches for lost sync tasks; 0: DefaultSweepInterval
	BatchBytes    int           // approximate bytes of values read for one flush; 0: DefaultBatchBytes
	KeepLetters   time.Duration // how long resolved dead letters are kept; 0: DefaultKeepLetters
	KeepAudit     time.Duration // how long audit entries are kept; 0: for ever

	// Persisted runs, by entity name, after changes are committed and before they are acked. After a crash in between,
	// or an error, the changes are flushed again and it runs again.
	Persisted map[string]func(ctx context.Context, changes []schema.Change) error

	// Unpaired returns why Redis and the database do not belong together, or nil if they do. Until it returns nil
	// nothing is flushed. nil: they always belong together.
	Unpaired func() error

	// Older is called when a flush finds that Redis is an older copy of itself: until a process has repaired the
	// partition nothing of it is flushed. It must not block. nil: nothing is called.
	Older func()

	ID         string                // names this process; "": made from host, process number and a random part
	Version    string                // of the program, for the status page
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
	// Tracer has the spans of flushes that contain traced writes; nil: the one registered with package otel.
	Tracer trace.TracerProvider
}

// Worker runs sync tasks. Use [New], then [Worker.Run] once.
type Worker struct {
	entities map[string]*schema.Entity
	all      []*schema.Entity
	cache    Redis
	store    Database
	queue    Enqueuer
	server   Server

	slice, flagTTL, sweepInterval, keepLetters, keepAudit time.Duration
	batchBytes                                            int

	id, version  string
	log          *slog.Logger
	metrics      *metrics
	tracer       trace.Tracer
	gate         *gate
	persisted    map[string]func(context.Context, []schema.Change) error
	checkPairing func() error // Config.Unpaired
	older        func()       // Config.Older
	unpaired     atomic.Bool  // the last flush found a Redis and a database that do not belong together
	suspects     *suspects
	troubles     troubles
	unknowns     unknowns
	adopted      bool     // it has looked once for records that others had left; of one goroutine
	fields       string   // that it knows, as its heartbeat tells them
	backlogs     sync.Map // place → its last batch was full
	policies     *policies
	moved        moved
	moving       chan struct{} // a policy has changed: see move.go
	round        round
	leading      atomic.Bool // holds the sweeper's lease, as far as this process can tell

	started  time.Time
	busy     atomic.Int64 // running tasks
	lately   lately
	tasks    sync.WaitGroup // running tasks, including those that the queue has given up
	stopping chan struct{}  // closed when Run's context ends: tasks finish their batch and enqueue a successor
}

// New returns a worker. It connects to nothing; the error names a missing or invalid setting.
func New(cfg Config) (*Worker, error) {
	for name, missing := range map[string]bool{
		"Redis": cfg.Redis == nil, "Store": cfg.Store == nil, "Queue": cfg.Queue == nil,
		"Server": cfg.Server == nil, "Entities": len(cfg.Entities) == 0,
	} {
		if missing {
			return nil, fmt.Errorf("worker: %s is required", name)
		}
	}
	if cfg.Slice < 0 || cfg.FlagTTL < 0 || cfg.SweepInterval < 0 || cfg.BatchBytes < 0 || cfg.KeepLetters < 0 ||
		cfg.KeepAudit < 0 {
		return nil, errors.New("worker: Slice, FlagTTL, SweepInterval, BatchBytes, KeepLetters and KeepAudit cannot be negative")
	}
	w := &Worker{
		entities: make(map[string]*schema.Entity, len(cfg.Entities)),
		all:      cfg.Entities, cache: cfg.Redis, store: cfg.Store, queue: cfg.Queue, server: cfg.Server,
		slice:         cmp.Or(cfg.Slice, DefaultSlice),
		flagTTL:       cmp.Or(cfg.FlagTTL, DefaultFlagTTL),
		sweepInterval: cmp.Or(cfg.SweepInterval, DefaultSweepInterval),
		keepLetters:   cmp.Or(cfg.KeepLetters, DefaultKeepLetters),
		keepAudit:     cfg.KeepAudit,
		batchBytes:    cmp.Or(cfg.BatchBytes, DefaultBatchBytes),
		id:            cmp.Or(cfg.ID, fleet.NewID()),
		version:       cfg.Version,
		checkPairing:  cfg.Unpaired,
		older:         cfg.Older,
		persisted:     cfg.Persisted,
		log:           cmp.Or(cfg.Log, slog.Default()),
		tracer:        span.Tracer(cfg.Tracer),
		suspects:      newSuspects(),
		policies:      newPolicies(cfg.Entities),
		moved:         moved{},
		moving:        make(chan struct{}, 1),
		round:         round{purge: time.Now().Add(purgeEvery)},
		stopping:      make(chan struct{}),
		fields:        fleet.Fields(cfg.Entities),
	}
	if w.checkPairing == nil {
		w.checkPairing = func() error { return nil }
	}
	for _, e := range cfg.Entities {
		w.entities[e.Name] = e
	}
	var err error
	if w.metrics, err = newMetrics(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("worker: register metrics: %w", err)
	}
	for name := range w.entities {
		w.metrics.declare(name)
	}
	w.gate = newGate(w.log, w.metrics.breaker)
	return w, nil
}

// Run takes and runs tasks until ctx ends. Then it takes no more, lets every running task finish its current batch and
// enqueue a successor, and returns when all of its goroutines have ended. The error says that it could not start; an
// unavailable Redis or database does not end it.
func (w *Worker) Run(ctx context.Context) error {
	w.started = time.Now()
	if err := w.server.Start(w.sync); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	w.log.Info("worker started", "worker", w.id, "entities", len(w.all))
	alive, die := context.WithCancel(context.WithoutCancel(ctx))
	defer die()
	var loops sync.WaitGroup
	loops.Go(func() { w.sweep(ctx) })
	hints := w.cache.Hinted(ctx, fleet.PolicyHint)
	loops.Go(func() { w.everyOr(ctx, policyEvery, hints, "follow retry policies", w.follow) })
	loops.Go(func() { w.everyOr(ctx, moveEvery, w.moving, "move waiting records", w.move) })
	loops.Go(func() { w.every(ctx, w.sweepInterval, "close dead letters", w.tidy) })
	loops.Go(func() { w.every(ctx, notesEvery, "drop what other programs changed", w.followNotes) })
	loops.Go(func() { w.beat(alive) })
	loops.Go(func() { w.probe(ctx) })
	left := w.cache.Hinted(ctx, fleet.UnknownHint)
	loops.Go(func() {
		w.everyOr(ctx, max(adoptEvery, w.sweepInterval), left, "flush what other workers left", w.adopt)
	})

	<-ctx.Done()
	w.log.Info("worker stopping", "worker", w.id, "busy", w.busy.Load())
	close(w.stopping)
	w.server.Shutdown()
	w.tasks.Wait()
	die()
	loops.Wait()
	w.log.Info("worker stopped", "worker", w.id)
	return nil
}

// ending reports whether Run's context has ended.
func (w *Worker) ending() bool {
	select {
	case <-w.stopping:
		return true
	default:
		return false
	}
}

// finish returns a context for work that must be done even if ctx has ended.
func finish(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
}

// every runs one of the worker's periodic tasks immediately and then at each tick, until ctx ends. It logs when the
// task begins to fail and when it succeeds again, not each time.
func (w *Worker) every(ctx context.Context, interval time.Duration, duty string, do func(context.Context) error) {
	w.everyOr(ctx, interval, nil, duty, do)
}

// everyOr also runs it at each hint.
func (w *Worker) everyOr(ctx context.Context, interval time.Duration, hints <-chan struct{}, duty string,
	do func(context.Context) error) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	failing := false
	for {
		err := do(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			w.log.Warn("periodic task failed; will retry", "task", duty, "error", err)
		}
		if err == nil && failing {
			w.log.Info("periodic task succeeds again", "task", duty)
		}
		failing = err != nil
		select {
		case <-tick.C:
		case <-hints:
		case <-ctx.Done():
			return
		}
	}
}
