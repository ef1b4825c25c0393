package config

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Config is a whole configuration, defaults filled in and checked.
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

	named  map[string]bool  // settings that the file or the environment gave
	places map[string]place // where each of them stands
}

// Redis says where the accepted state lives.
type Redis struct {
	URL      string
	Prefix   string        // first part of every key, so that deployments can share a Redis
	Timeout  time.Duration // bound on one command
	Retries  int           // repeats of a command that may be repeated, after a network error
	PoolSize int           // connections a node; 0: the client's own default
}

// Queue says where asynq keeps its tasks.
type Queue struct {
	RedisURL string // empty: the Redis of the state
}

// Database says where records are persisted, and bounds what one process asks of it.
type Database struct {
	URL               string // sqlite://path, postgres://… or mysql://…
	MaxOpen, MaxIdle  int    // connections
	ConnLifetime      time.Duration
	LockTimeout       time.Duration // PostgreSQL: wait for a row lock
	StatementTimeout  time.Duration // PostgreSQL: one statement
	IdleInTransaction time.Duration // PostgreSQL: frees the locks of a frozen process
	BusyTimeout       time.Duration // SQLite: wait for the one writer
	Batch             int           // records of one transaction at most, whatever an entity has; 0: no bound
}

// API says what the api process listens on and how much it takes.
type API struct {
	Addr            string
	MetricsAddr     string   // serves /metrics, without a token; "": addr alone does
	MaxBody         int64    // bytes of one write
	MaxBatchBody    int64    // bytes of one batch
	CORS            []string // allowed origins, or "*"
	Insecure        bool     // asks for no token on an address beyond loopback: something in front does
	RequireTokens   bool     // asks for a token on loopback too
	RateLimit       RateLimit
	Hosts           []string       // beside this machine's names, that are answered without a token
	TrustedProxies  []netip.Prefix // whose X-Forwarded-For or Forwarded is believed
	Drain           time.Duration  // between not being ready and not listening, at the end
	KeepKeys        time.Duration  // how long an Idempotency-Key is honoured
	MaxKeys         int            // Idempotency-Keys that a partition of an entity keeps
	MaxWait         time.Duration  // longest Prefer: wait
	ShutdownTimeout time.Duration  // for requests in flight
	PProf           bool           // serves /debug/pprof/
	IDsInPath       bool           // records can be named by a path; else by a query or a body alone
}

// RateLimit bounds the requests of one token or address.
type RateLimit struct {
	Limit      int // requests a window; 0: no limit
	Window     time.Duration
	FailClosed bool // refuses requests while Redis does not answer; else they pass
}

// Worker says how a worker process takes sync tasks.
type Worker struct {
	Addr            string // of /healthz, /readyz and /metrics
	Concurrency     int    // sync tasks at once
	PollInterval    time.Duration
	Queues          map[string]int // weights; every queue that an entity names is in it
	SweepInterval   time.Duration
	ShutdownTimeout time.Duration // for batches in flight
	PProf           bool          // serves /debug/pprof/
	Hosts           []string      // beside this machine's names, that are answered without a token
}

// Dashboard says what the dashboard process listens on, and who may look.
type Dashboard struct {
	Addr           string
	MetricsAddr    string // serves /metrics; "": nothing does
	Environment    string // shown on every page; "production" asks for actions to be typed
	HTTPS          bool   // browsers come by HTTPS
	Users          []User
	ProxyHeader    string         // with the name of who comes through a reverse proxy
	ProxyRole      string         // of those who are not among the users; empty refuses them
	TrustedProxies []netip.Prefix // whose header is believed
	Drain          time.Duration  // between not being ready and not listening, at the end
	Hosts          []string       // beside this machine's names, without users or behind a proxy that names them
}

// User is somebody who may log in to the dashboard.
type User struct {
	Name, Role string
	Hash       string // of the password: argon2id or bcrypt
}

// DeadLetters says how long resolved dead letters are kept. Open ones are kept for ever.
type DeadLetters struct {
	Keep time.Duration
}

// Audit says how long its lines are kept.
type Audit struct {
	Keep time.Duration // 0: for ever
}

// Default returns the configuration of an empty file: no entities, everything on
// this machine.
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
			KeepKeys: 24 * time.Hour, MaxKeys: 20_000, MaxWait: 50 * time.Second, ShutdownTimeout: 15 * time.Second, IDsInPath: true,
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

// QueueURL is the Redis of asynq.
func (c *Config) QueueURL() string { return cmp.Or(c.Queue.RedisURL, c.Redis.URL) }

// Named reports whether the file or the environment gave the setting, by its path
// such as "redis.url". The built-in example names nothing.
func (c *Config) Named(path string) bool { return c.named[path] }

// Fault returns the fault of a setting that is well formed but cannot be used, with the
// place where it stands.
func (c *Config) Fault(path string, err error) error {
	f := &Fault{Source: c.File, Path: path, Reason: err.Error()}
	if p, ok := c.places[path]; ok {
		f.Source, f.Line, f.Column = p.source, p.line, p.column
		if p.line == 0 {
			f.Path = "" // the variable says it
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
