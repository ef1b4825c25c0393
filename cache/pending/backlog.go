package pending

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// DefaultFlagMargin is how long the scheduled flag outlives its last renewal.
const DefaultFlagMargin = layout.DefaultFlagMargin

// Config configures a [Backlog]. Changed is required.
type Config struct {
	Changed    Changed
	FlagMargin time.Duration         // 0: DefaultFlagMargin
	OpAge      time.Duration         // how long operation ids are kept; 0: layout.DefaultOpAge
	KeptOps    int                   // kept per partition, as the cache is told; 0: layout.DefaultKeptOps
	Registerer prometheus.Registerer // nil: no metrics
}

// Changed invalidates what depends on records. A cache.Cache implements it.
type Changed interface {
	// Committed is called after the database has committed records, before they are acked. It can be called again for
	// the same records.
	Committed(ctx context.Context, e *schema.Entity, partition int, ids []string) error
	// InvalidateTags is Committed where it is known what depends on the records: "w" values of any record of the
	// entity, "x" of single ones, "wx" both.
	InvalidateTags(ctx context.Context, e *schema.Entity, watched string, ids []string) error
}

// Backlog is the unpersisted records of all entities in one Redis. It is safe for concurrent use.
type Backlog struct {
	redis      *rdb.Client
	prefix     layout.Prefix
	changed    Changed
	flagMargin time.Duration
	opAge      time.Duration
	keptOps    int64
	lost       *prometheus.CounterVec
}

// New returns the backlog under a prefix of a Redis. It connects on first use.
func New(client *rdb.Client, prefix layout.Prefix, cfg Config) *Backlog {
	b := &Backlog{
		redis: client, prefix: prefix, changed: cfg.Changed,
		flagMargin: cmp.Or(cfg.FlagMargin, DefaultFlagMargin), opAge: cmp.Or(cfg.OpAge, layout.DefaultOpAge),
		keptOps: int64(cmp.Or(cfg.KeptOps, layout.DefaultKeptOps)),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "afterwrite_lost_records_total", Help: "Listed records whose data Redis no longer had.",
		}, []string{"entity"}),
	}
	if cfg.Registerer != nil {
		// Of two in one registry both count into the metric of the first.
		var there prometheus.AlreadyRegisteredError
		if errors.As(cfg.Registerer.Register(b.lost), &there) {
			b.lost = there.ExistingCollector.(*prometheus.CounterVec)
		}
	}
	return b
}

// Declare creates the series of an entity before its first event: the rate of a series that begins with its first event
// misses that event.
func (b *Backlog) Declare(e *schema.Entity) { b.lost.WithLabelValues(e.Name) }
