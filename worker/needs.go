package worker

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Redis is what a worker needs of Redis: what the database has not seen (a pending.Backlog),
// the cached records of which it must know (a cache.Cache), and its peers (a fleet.Fleet).
type Redis interface {
	// A task may work on a partition while it has the partition's flag.
	Begin(ctx context.Context, o schema.Order, life time.Duration) (schema.Order, error)
	End(ctx context.Context, o schema.Order, handOver bool) (pending.Ending, error)
	Sweep(ctx context.Context, entities []*schema.Entity) ([]schema.Order, error)

	// The steps of a flush.
	DueNoted(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int,
		turns pending.Turns) (pending.Batch, error)
	DueAhead(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int) (pending.Batch, error)
	DueAlone(ctx context.Context, e *schema.Entity, partition int) (pending.Batch, error)
	These(ctx context.Context, e *schema.Entity, partition int, ids []string, lock bool) (pending.Batch, error)
	Note(ctx context.Context, e *schema.Entity, partition int, b *pending.Batch, before,
		turn string) error
	Ack(ctx context.Context, e *schema.Entity, partition int, b pending.Batch, flushed []schema.Change) (int, error)
	Hold(ctx context.Context, e *schema.Entity, partition int, refused []pending.Refused) (int, error)
	Remember(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) ([]bool, error)
	Die(ctx context.Context, e *schema.Entity, partition int, refused []pending.Refused) (int, error)
	Drop(ctx context.Context, e *schema.Entity, partition int, ids []string) (int, error)

	// Held records, and dead letters.
	Stats(ctx context.Context, e *schema.Entity) ([]pending.Stats, error)
	Waiting(ctx context.Context, e *schema.Entity, partition, skip, limit int) ([]pending.Waiting, error)
	Reschedule(ctx context.Context, e *schema.Entity, partition int, moves []pending.Move) (int, error)
	Fates(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) ([]pending.Told, error)
	Forget(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) error
	Tell(ctx context.Context, e *schema.Entity, partition int, what string, records []schema.Versioned) error

	// Cached records.
	Peek(ctx context.Context, e *schema.Entity, partition int, ids []string) ([]schema.Cached, error)
	Invalidate(ctx context.Context, e *schema.Entity, ids []string) (int, error)
	InvalidateMatch(ctx context.Context, e *schema.Entity, pattern string, progress func(dropped int)) (int, error)
	BarAll(ctx context.Context, e *schema.Entity, ids []string, life time.Duration) (token string, err error)
	UnbarAll(ctx context.Context, e *schema.Entity, ids []string, token string) error
	RowsChanged(ctx context.Context, e *schema.Entity, ids []string) (conflicts []string, err error)
	AnyRowChanged(ctx context.Context, e *schema.Entity) error
	Agrees(ctx context.Context, e *schema.Entity) (bool, error)

	// The other processes.
	Lead(ctx context.Context, name, holder string, life time.Duration) (bool, error)
	Resign(ctx context.Context, name, holder string) error
	Beat(ctx context.Context, kind, id string, info map[string]string, life time.Duration) error
	Leave(ctx context.Context, kind, id string) error
	Alive(ctx context.Context) ([]fleet.Process, error)
	Hint(ctx context.Context, what string) error
	Hinted(ctx context.Context, what string) <-chan struct{}
}

// Database is where records are persisted, and dead letters and retry policies are kept. A
// ledger.Ledger is one.
type Database interface {
	Look(ctx context.Context, e *schema.Entity, partition int) (store.Look, error)
	Begin(ctx context.Context, e *schema.Entity, partition int) (*store.Flush, error)
	Isolate(ctx context.Context, e *schema.Entity, partition int) (*store.Flush, error)
	Owners(ctx context.Context, e *schema.Entity, refusal schema.Refusal,
		changes []schema.Change) (owners []store.Owner, known bool, err error)
	Together(ctx context.Context, e *schema.Entity, partitions []int) (*store.Flush, error)
	Ping(ctx context.Context) error
	Notes(ctx context.Context, after store.Note, limit int) ([]store.Note, error)
	ForgetNotes(ctx context.Context, e *schema.Entity, notes []store.Note) error
	Writable(ctx context.Context) error

	InsertDead(ctx context.Context, letters []ledger.Letter) error
	OpenLetters(ctx context.Context, e *schema.Entity, after int64, limit int) ([]ledger.OpenLetter, error)
	Resolve(ctx context.Context, numbers []int64, as ledger.Resolution, by ledger.Actor) (int, error)
	PurgeLetters(ctx context.Context, before time.Time, limit int) (int, error)
	PurgeAudit(ctx context.Context, before time.Time, limit int) (int, error)
	CurrentPolicies(ctx context.Context) (map[string]ledger.Policy, error)
}

// Enqueuer gives orders to a worker that is free. A queue.Client is one.
type Enqueuer interface {
	Enqueue(ctx context.Context, o schema.Order) error
	// Wake has the deferred tasks of a queue run immediately.
	Wake(ctx context.Context, queue string) (int, error)
}

// Server takes orders. A queue.Server is one.
type Server interface {
	Start(handle func(ctx context.Context, t queue.Task) error) error
	Shutdown()
}

// Statser reads the counters of an entity's partitions. A pending.Backlog is one.
type Statser interface {
	Stats(ctx context.Context, e *schema.Entity) ([]pending.Stats, error)
}
