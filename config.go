package afterwrite

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/internal/config"
)

// Config says where a [DB] keeps records. A Redis and a database are required.
type Config struct {
	// RedisURL is redis://, rediss://, redis-sentinel:// or redis-cluster://.
	RedisURL string
	// QueueRedisURL is a Redis of their own for the asynq tasks; empty: the same Redis.
	QueueRedisURL string

	// DatabaseURL is postgres:// or sqlite://path.
	DatabaseURL string

	// Prefix begins every key in Redis and every queue name, so that programs can share a
	// Redis. Every process of one program has the same one. Empty: "aw".
	Prefix string
	// Naming turns names of Go into names of tables and columns; nil: gorm's default.
	Naming gormschema.Namer

	Concurrency   int           // sync tasks that Work runs at once; 0: 8
	PollInterval  time.Duration // sleep of Work between looks at empty queues; 0: 50ms
	SweepInterval time.Duration // between Work's looks for lost sync tasks; 0: 1s

	Version    string                // of the program, as the dashboard shows it
	Logger     *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
}

// settings are the configuration of the command that runs the same.
func (c Config) settings() (*config.Config, error) {
	to := config.Default()
	if c.RedisURL == "" {
		return nil, errors.New("afterwrite: Config needs RedisURL")
	}
	if c.DatabaseURL == "" {
		return nil, errors.New("afterwrite: Config needs DatabaseURL")
	}
	for name, d := range map[string]time.Duration{"PollInterval": c.PollInterval, "SweepInterval": c.SweepInterval} {
		if d < 0 {
			return nil, fmt.Errorf("afterwrite: %s is negative", name)
		}
	}
	if c.Concurrency < 0 {
		return nil, errors.New("afterwrite: Concurrency is negative")
	}
	to.Redis.URL, to.Queue.RedisURL, to.Database.URL = c.RedisURL, c.QueueRedisURL, c.DatabaseURL
	setIf(&to.Redis.Prefix, c.Prefix)
	setIf(&to.Worker.Concurrency, c.Concurrency)
	setIf(&to.Worker.PollInterval, c.PollInterval)
	setIf(&to.Worker.SweepInterval, c.SweepInterval)
	return to, nil
}

func setIf[T comparable](at *T, value T) {
	var zero T
	if value != zero {
		*at = value
	}
}
