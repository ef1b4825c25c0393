package afterwrite

import (
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
	"gorm.io/gorm"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/process"
)

// Config says where a [DB] keeps records. Clients given are never closed.
type Config struct {
	Redis         redis.UniversalClient // a *redis.Client or a *redis.ClusterClient; or
	RedisURL      string                // redis://, rediss://, redis-sentinel:// or redis-cluster://
	QueueRedis    redis.UniversalClient // another Redis, for the asynq tasks alone; or
	QueueRedisURL string

	GORM        *gorm.DB // gives its pool, dialect and naming strategy; or
	SQL         *sql.DB  // by pgx, mattn's go-sqlite3 or go-sql-driver's mysql; with its
	Dialect     string   // "postgres", "sqlite" or "mysql"; or
	DatabaseURL string   // postgres://, mysql:// or sqlite://path

	Prefix         string                // of keys and queues, the same in each process of a program; "": "aw"
	Naming         gormschema.Namer      // of tables and columns; nil: that of GORM, or gorm's default
	Concurrency    int                   // sync tasks that Work runs at once; 0: 8
	PollInterval   time.Duration         // sleep of Work between looks at empty queues; 0: 50ms
	SweepInterval  time.Duration         // between Work's looks for lost sync tasks; 0: 1s
	Version        string                // of the program, as the dashboard shows it
	Logger         *slog.Logger          // nil: slog.Default()
	Registerer     prometheus.Registerer // nil: no metrics
	TracerProvider trace.TracerProvider  // of the spans of sampled writes, and their flushes; nil: otel's
}

// settings are the configuration of the command that runs the same, and the connections that
// it cannot name.
func (c Config) settings() (*config.Config, process.Over, error) {
	to, over := config.Default(), process.Over{Embedded: true, Redis: c.Redis, Queue: c.QueueRedis, SQL: c.SQL,
		Dialect: c.Dialect, Tracing: process.Tracing{Provider: c.TracerProvider}}
	if c.GORM != nil {
		pool, err := c.GORM.DB()
		if err != nil {
			return nil, over, fmt.Errorf("afterwrite: the pool of GORM: %w", err)
		}
		over.SQL, over.Dialect = pool, c.GORM.Name()
	}
	if err := c.check(); err != nil {
		return nil, over, fmt.Errorf("afterwrite: %w", err)
	}
	setIf(&to.Redis.URL, c.RedisURL)
	setIf(&to.Queue.RedisURL, c.QueueRedisURL)
	setIf(&to.Database.URL, c.DatabaseURL)
	setIf(&to.Redis.Prefix, c.Prefix)
	setIf(&to.Worker.Concurrency, c.Concurrency)
	setIf(&to.Worker.PollInterval, c.PollInterval)
	setIf(&to.Worker.SweepInterval, c.SweepInterval)
	return to, over, nil
}

func (c Config) check() error {
	for _, either := range []struct {
		names string
		given []bool
	}{
		{"Redis or RedisURL", []bool{c.Redis != nil, c.RedisURL != ""}},
		{"GORM, SQL or DatabaseURL", []bool{c.GORM != nil, c.SQL != nil, c.DatabaseURL != ""}},
	} {
		n := 0
		for _, given := range either.given {
			if given {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("Config needs %s, and one of them alone", either.names)
		}
	}
	if c.QueueRedis != nil && c.QueueRedisURL != "" {
		return errors.New("Config has QueueRedis and QueueRedisURL: one of them is enough")
	}
	if c.PollInterval < 0 || c.SweepInterval < 0 || c.Concurrency < 0 {
		return errors.New("PollInterval, SweepInterval and Concurrency cannot be negative")
	}
	return nil
}

// naming is the strategy for tables and columns.
func (c Config) naming() gormschema.Namer {
	switch {
	case c.Naming != nil:
		return c.Naming
	case c.GORM != nil && c.GORM.NamingStrategy != nil:
		return c.GORM.NamingStrategy
	}
	return gormschema.NamingStrategy{IdentifierMaxLength: 64}
}

func setIf[T comparable](at *T, value T) {
	var zero T
	if value != zero {
		*at = value
	}
}
