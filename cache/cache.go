package cache

import (
	"context"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite"
)

// Config says how a [Cache] reaches Redis. Only URL is required.
type Config struct {
	URL        string                // redis://, rediss://, redis-sentinel:// or redis-cluster://
	Prefix     string                // first part of every key; "aw" if empty
	Loader     Loader                // reads what is not cached; nil: a miss is an error
	Lease      time.Duration         // life of the right to fill one record; 0: DefaultLease
	Timeout    time.Duration         // bound on one command; 0: DefaultTimeout
	PoolSize   int                   // connections a node; 0: the client's own default
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
	Hooks      []redis.Hook          // wrap every command; tests inject faults with them
}

// Loader reads rows from the database for records that are not cached. It must read
// the primary. Missing ids are absent from the answer.
type Loader interface {
	Load(ctx context.Context, e *afterwrite.Entity, ids []string) (map[string]afterwrite.Values, error)
}
