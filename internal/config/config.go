package config

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Config is a complete, checked configuration with defaults.
type Config struct {
	File        string // where it was read from, or [Builtin]
	Redis       Redis
	Queue       Queue
	Database    Database
	API         API
	Worker      Worker
	Dashboard   Dashboard
	DeadLetters DeadLetters
	Audit       Audit
	Entities    []*schema.Entity // initialised, in the order of the file

	named  map[string]bool  // settings that the file or the environment contains
	places map[string]place // position of each of these settings
}

// Redis configures the Redis of the accepted state.
type Redis struct {
	URL      string
	Prefix   string        // first part of every key, so that deployments can share a Redis
	Timeout  time.Duration // bound on one command
	Retries  int           // of repeatable commands after a network error
	PoolSize int           // connections per node; 0: the client library's default
}

// Queue configures the Redis of asynq's tasks.
type Queue struct {
	RedisURL string // empty: the Redis of the accepted state
}

// Database configures the database of the records, and bounds what one process uses of it.
type Database struct {
	URL               string // sqlite://path, postgres://… or mysql://…
	MaxOpen, MaxIdle  int    // connections
	ConnLifetime      time.Duration
	LockTimeout       time.Duration // PostgreSQL: wait for a row lock
	StatementTimeout  time.Duration // PostgreSQL: one statement
	IdleInTransaction time.Duration // PostgreSQL: frees the locks of a frozen process
	BusyTimeout       time.Duration // SQLite: wait for the one writer
	Batch             int           // bound on the records of one transaction, beside the entity's own; 0: no bound
}

// API configures the api process and its limits.
type API struct {
	Addr            string
	MetricsAddr     string   // serves /metrics, without a token; "": Addr serves it
	MaxBody         int64    // bytes of one write
	MaxBatchBody    int64    // bytes of one batch
	CORS            []string // allowed origins, or "*"
	Insecure        bool     // requires no token on an address beyond loopback: a proxy in front checks access
	RequireTokens   bool     // requires a token on loopback too
	RateLimit       RateLimit
	Hosts           []string       // answered without a token, beside this machine's names
	TrustedProxies  []netip.Prefix // whose X-Forwarded-For or Forwarded is trusted
	Drain           time.Duration  // at shutdown, between becoming not ready and closing the listener
	KeepKeys        time.Duration  // how long an Idempotency-Key is honoured
	MaxKeys         int            // bound on the Idempotency-Keys of a partition
	MaxWait         time.Duration  // longest Prefer: wait
	ShutdownTimeout time.Duration  // for requests in flight
	PProf           bool           // serves /debug/pprof/
	IDsInPath       bool           // records can be named by a path; otherwise only by a query or a body
}

// RateLimit bounds the requests of a token or an address.
type RateLimit struct {
	Limit      int // requests per window; 0: no limit
	Window     time.Duration
	FailClosed bool // rejects requests while Redis does not respond; otherwise they pass
}

// Worker configures a worker process.
type Worker struct {
	Addr            string // of /healthz, /readyz and /metrics
	Concurrency     int    // sync tasks at once
	PollInterval    time.Duration
	Queues          map[string]int // weights; contains every queue that an entity names
	SweepInterval   time.Duration
	ShutdownTimeout time.Duration // for batches in flight
	PProf           bool          // serves /debug/pprof/
	Hosts           []string      // answered without a token, beside this machine's names
}

// Dashboard configures the dashboard process and its users.
type Dashboard struct {
	Addr           string
	MetricsAddr    string // serves /metrics; "": no metrics
	Environment    string // shown on every page; in "production" actions are confirmed by typing
	HTTPS          bool   // browsers use HTTPS
	Users          []User
	ProxyHeader    string         // contains the user name that a reverse proxy authenticated
	ProxyRole      string         // role of a proxy's user that is not among Users; empty rejects them
	TrustedProxies []netip.Prefix // whose ProxyHeader is trusted
	Drain          time.Duration  // at shutdown, between becoming not ready and closing the listener
	Hosts          []string       // beside this machine's names, without users or behind an authenticating proxy
}

// User is a person who is allowed to log in to the dashboard.
type User struct {
	Name, Role string
	Hash       string // of the password: argon2id or bcrypt
}

// DeadLetters says how long resolved dead letters are kept. Open ones are kept for ever.
type DeadLetters struct {
	Keep time.Duration
}

// Audit says how long audit entries are kept.
type Audit struct {
	Keep time.Duration // 0: for ever
}

// Default returns the configuration of an empty file: no entities, everything on this machine.
func Default() *Config {
	return &Config{
		Redis: Redis{URL: "redis://127.0.0.1:6379/0", Prefix: "aw", Timeout: 2 * time.Second, Retries: 3},
		Database: Database{
			URL:     "sqlite://afterwrite-data/afterwrite.db",
			MaxOpen: 16, MaxIdle: 16, ConnLifetime: 30 * time.Minute,
			LockTimeout: 5 * time.Second, StatementTimeout: 30 * time.Second,
			IdleInTransaction: 10 * time.Second, BusyTimeout: 5 * time.Second,
		},
		API: API{
			Addr: "127.0.0.1:8080", MaxBody: 1 << 20, MaxBatchBody: 64 << 20,
			RateLimit: RateLimit{Window: time.Minute}, Drain: 5 * time.Second,
			KeepKeys: 24 * time.Hour, MaxKeys: 20_000, MaxWait: 50 * time.Second, ShutdownTimeout: 15 * time.Second,
			IDsInPath: true,
		},
		Worker: Worker{
			Addr: "127.0.0.1:8081", Concurrency: 8, PollInterval: 50 * time.Millisecond,
			Queues:        map[string]int{"default": 1},
			SweepInterval: time.Second, ShutdownTimeout: 10 * time.Second,
		},
		Dashboard:   Dashboard{Addr: "127.0.0.1:8082", Drain: 5 * time.Second},
		DeadLetters: DeadLetters{Keep: 90 * 24 * time.Hour},
		named:       map[string]bool{},
		places:      map[string]place{},
	}
}

// QueueURL returns the URL of asynq's Redis.
func (c *Config) QueueURL() string { return cmp.Or(c.Queue.RedisURL, c.Redis.URL) }

// Named reports whether the file or the environment contains the setting, by its path such as "redis.url". The built-in
// example counts as containing none.
func (c *Config) Named(path string) bool { return c.named[path] }

// Fault returns an error, with its position, about a setting that is well formed but cannot be used.
func (c *Config) Fault(path string, err error) error {
	f := &Fault{Source: c.File, Path: path, Reason: err.Error()}
	if p, ok := c.places[path]; ok {
		f.Source, f.Line, f.Column = p.source, p.line, p.column
		if p.line == 0 {
			f.Path = "" // the variable's name says it
		}
	}
	return f
}

// Entity returns the entity of that name.
func (c *Config) Entity(name string) (*schema.Entity, bool) {
	for _, e := range c.Entities {
		if e.Name == name {
			return e, true
		}
	}
	return nil, false
}
