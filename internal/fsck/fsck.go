package fsck

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// Defaults of [Options].
const (
	DefaultPage           = 500
	DefaultStep           = 64
	DefaultConcurrency    = 4
	DefaultMaxDifferences = 1000
	DefaultRechecks       = 5
	DefaultPause          = 200 * time.Millisecond
)

// Options bound a check. The zero value uses the defaults.
type Options struct {
	Page           int               // records compared at a time
	Step           int               // records that Redis reads at a time; each keeps it for about 10 µs
	Concurrency    int               // partitions whose lists are read at a time
	MaxDifferences int               // kept in the report per entity; further differences are only counted
	Rechecks       int               // repeated reads of a record that differs before it is reported or counted as busy
	Pause          time.Duration     // between two reads
	Progress       func(records int) // called after each page with its number of records; may be nil
	Letters        Letters           // the dead letters; nil: it is not checked that each dead record has one
}

func (o Options) withDefaults() Options {
	o.Page = cmp.Or(o.Page, DefaultPage)
	o.Step = cmp.Or(o.Step, DefaultStep)
	o.Concurrency = cmp.Or(o.Concurrency, DefaultConcurrency)
	o.MaxDifferences = cmp.Or(o.MaxDifferences, DefaultMaxDifferences)
	o.Rechecks = cmp.Or(o.Rechecks, DefaultRechecks)
	o.Pause = cmp.Or(o.Pause, DefaultPause)
	return o
}

// Records is what fsck reads of the cache. None of it loads or changes a record.
type Records interface {
	Walk(ctx context.Context, e *schema.Entity, step int, fn func(schema.Cached) error) error
	Peek(ctx context.Context, e *schema.Entity, partition int, ids []string) ([]schema.Cached, error)
	Status(ctx context.Context, e *schema.Entity, id string) (cache.State, error)
}

// Lists is what fsck reads of the records that the database has not seen.
type Lists interface {
	Stats(ctx context.Context, e *schema.Entity) ([]pending.Stats, error)
	List(ctx context.Context, e *schema.Entity, partition int, status schema.Status, skip, limit int) ([]pending.Listed,
		error)
}

// Rows is what fsck reads of the database. An absent row is absent from the map.
type Rows interface {
	Load(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error)
}

// Letters is what fsck reads of the dead letters.
type Letters interface {
	Lettered(ctx context.Context, e *schema.Entity, some []schema.Versioned) ([]bool, error)
}

// Run checks the entities and reports what differs. An error means that the check
// itself could not be finished; differences are no error, see [Report.OK].
func Run(ctx context.Context, c Records, l Lists, db Rows, entities []*schema.Entity, o Options) (Report, error) {
	o = o.withDefaults()
	var report Report
	for _, e := range entities {
		k := &check{cache: c, pending: l, db: db, entity: e, options: o,
			found: Entity{Name: e.Name, Differences: []Difference{}}}
		if err := k.run(ctx); err != nil {
			return report, fmt.Errorf("check %s: %w", e.Name, err)
		}
		report.Entities = append(report.Entities, k.found)
	}
	return report, nil
}

// check is the check of one entity.
type check struct {
	cache   Records
	pending Lists
	db      Rows
	entity  *schema.Entity
	options Options

	mu    sync.Mutex // guards found
	found Entity
}

func (k *check) run(ctx context.Context) error {
	if err := k.sum(ctx); err != nil {
		return err
	}
	if err := k.walk(ctx); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(k.options.Concurrency)
	for p := range k.entity.Partitions {
		g.Go(func() error {
			if err := k.lists(ctx, p); err != nil {
				return fmt.Errorf("partition %d: %w", p, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	slices.SortFunc(k.found.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Reason, b.Reason))
	})
	return nil
}

// differ adds a difference to the report, or only counts it if the report is full.
func (k *check) differ(d Difference) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found.Different++
	if len(k.found.Differences) < k.options.MaxDifferences {
		k.found.Differences = append(k.found.Differences, d)
	}
}

// pause waits before the next read of a record.
func (k *check) pause(ctx context.Context) error {
	timer := time.NewTimer(k.options.Pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
