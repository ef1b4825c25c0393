package health

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
	"github.com/afterwrite/afterwrite/store/survey"
)

// State is what is known of a deployment at about one moment. What could not be read has its
// error beside it.
type State struct {
	At       time.Time // by Redis's clock where it responds
	Redis    inspect.Health
	RedisErr error         // of inspect.Inspector.Check
	Database time.Duration // of one round trip
	// DatabaseErr is the error of that round trip.
	DatabaseErr  error
	Entities     []Entity // in the order of the configuration
	Processes    []fleet.Process
	ProcessesErr error
	Queues       []queue.Size
	QueuesErr    error
	Deep         *Deep // nil where it was not read
}

// Entity is the statistics of an entity.
type Entity struct {
	Entity     *schema.Entity
	Partitions []pending.Stats
	Total      pending.Stats
	Err        error
	Why        string // what most of its refused writes were refused for, as the end of a sentence; "" not known
}

// Lag is the age of the oldest write that the database has not seen.
func (e Entity) Lag(now time.Time) time.Duration {
	if e.Total.OldestPending.IsZero() {
		return 0
	}
	return max(now.Sub(e.Total.OldestPending), 0)
}

// Deep is what costs a write to Redis and to the database, or a look at the catalogue. It is
// read where Redis and the database respond.
type Deep struct {
	RedisWrites    error
	Tables         error          // the tables cannot be read, or do not fit the entities
	Outstanding    []string       // steps of the migration
	Watches        []survey.Watch // of tables that other programs write, too
	WatchesErr     error
	DatabaseWrites error
	Weaknesses     []survey.Weakness // of the database's settings
	WeaknessesErr  error
	Pairing        error
	Losses         []ledger.Loss // that no operator has acknowledged
	LossesErr      error
	Skew           time.Duration // of Redis's clock from this process's
}

// RedisDown reports whether Redis does not respond. One that responds, with a setting that is
// refused, still has statistics.
func (s *State) RedisDown() bool { return s.RedisErr != nil && !inspect.Unsafe(s.RedisErr) }

// Total is the statistics of all entities.
func (s *State) Total() pending.Stats {
	all := make([]pending.Stats, len(s.Entities))
	for i, e := range s.Entities {
		all[i] = e.Total
	}
	return pending.Total(all)
}

// Workers is the number of workers that are alive.
func (s *State) Workers() int {
	n := 0
	for _, p := range s.Processes {
		if p.Kind == "worker" {
			n++
		}
	}
	return n
}

// redis is what is read of Redis.
type redis interface {
	Stats(ctx context.Context, e *schema.Entity) ([]pending.Stats, error)
	Alive(ctx context.Context) ([]fleet.Process, error)
	Check(ctx context.Context) (inspect.Health, error)
	Ping(ctx context.Context) error
}

// database is what is asked of the database.
type database interface {
	Ping(ctx context.Context) error
}

// queues is what is read of the sync tasks.
type queues interface {
	Sizes(ctx context.Context) ([]queue.Size, error)
}

// Depths is what [State.Look] asks.
type Depths interface {
	RedisWritable(ctx context.Context) error
	Outstanding(ctx context.Context) ([]string, error)
	Watches(ctx context.Context) ([]survey.Watch, error)
	DatabaseWritable(ctx context.Context) error
	Weaknesses(ctx context.Context) ([]survey.Weakness, error)
	Paired(ctx context.Context) error
	Losses(ctx context.Context, entities []*schema.Entity) ([]ledger.Loss, error)
}

// Sources are what a state is read from. Queues and Depths may be nil.
type Sources struct {
	Entities []*schema.Entity
	Redis    redis
	Database database
	Queues   queues
	Depths   Depths
}

// statsAtOnce is the number of entities whose statistics are read side by side.
const statsAtOnce = 8

// Read reads a state, without its depths. It takes as long as the slowest part, which the
// context bounds.
func Read(ctx context.Context, from Sources) State {
	s := State{At: time.Now(), Entities: make([]Entity, len(from.Entities))}
	var parts sync.WaitGroup
	parts.Go(func() { s.Database, s.DatabaseErr = quick(ctx, SlowDatabase, from.Database.Ping) })
	parts.Go(func() { s.Processes, s.ProcessesErr = from.Redis.Alive(ctx) })
	parts.Go(func() {
		if s.Redis, s.RedisErr = from.Redis.Check(ctx); s.RedisErr == nil {
			s.Redis.Latency = median(ctx, s.Redis.Latency, SlowRedis, from.Redis.Ping)
		}
	})
	if from.Queues != nil {
		parts.Go(func() { s.Queues, s.QueuesErr = from.Queues.Sizes(ctx) })
	}
	for first := range min(statsAtOnce, len(from.Entities)) {
		parts.Go(func() {
			for i := first; i < len(from.Entities); i += statsAtOnce {
				e := Entity{Entity: from.Entities[i]}
				e.Partitions, e.Err = from.Redis.Stats(ctx, e.Entity)
				e.Total = pending.Total(e.Partitions)
				s.Entities[i] = e
			}
		})
	}
	parts.Wait()
	if !s.Redis.Clock.IsZero() {
		s.At = s.Redis.Clock
	}
	return s
}

// Look adds the depths, as far as Redis and the database respond.
func (s *State) Look(ctx context.Context, from Sources) {
	if from.Depths == nil || s.RedisDown() || s.DatabaseErr != nil {
		return
	}
	d := &Deep{RedisWrites: from.Depths.RedisWritable(ctx), Skew: s.Redis.Skew}
	d.Outstanding, d.Tables = from.Depths.Outstanding(ctx)
	if d.Tables == nil && len(d.Outstanding) > 0 {
		if err := from.Depths.Paired(ctx); errors.Is(err, schema.ErrUnpaired) {
			d.Pairing = err
		}
	}
	if d.Tables == nil && len(d.Outstanding) == 0 {
		d.Watches, d.WatchesErr = from.Depths.Watches(ctx)
		d.DatabaseWrites = from.Depths.DatabaseWritable(ctx)
		d.Weaknesses, d.WeaknessesErr = from.Depths.Weaknesses(ctx)
		d.Pairing = from.Depths.Paired(ctx)
		switch {
		case d.Pairing == nil:
			d.Losses, d.LossesErr = from.Depths.Losses(ctx, from.Entities)
		case !errors.Is(d.Pairing, schema.ErrUnpaired): // else neither side tells of losses of the other
			d.LossesErr, d.Pairing = d.Pairing, nil
		}
	}
	s.Deep = d
}

// pings is the number of round trips whose median counts where the first was slow: a
// connection was made for it, and a machine may have been busy for a moment.
const pings = 5

// quick is the time of a round trip: of the first one, or where that was slow the median of
// several.
func quick(ctx context.Context, slow time.Duration, ping func(context.Context) error) (time.Duration, error) {
	began := time.Now()
	err := ping(ctx)
	first := time.Since(began)
	if err != nil {
		return first, err
	}
	return median(ctx, first, slow, ping), nil
}

// median is quick after the first round trip.
func median(ctx context.Context, first, slow time.Duration, ping func(context.Context) error) time.Duration {
	if first <= slow {
		return first
	}
	took := []time.Duration{first}
	for len(took) < pings {
		began := time.Now()
		if ping(ctx) != nil {
			return first
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2]
}
