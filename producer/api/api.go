package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/producer/api/internal/openapi"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/producer/api/internal/share"
	"github.com/afterwrite/afterwrite/producer/api/internal/stream"
	"github.com/afterwrite/afterwrite/schema"
)

// Bounds and their defaults.
const (
	DefaultMaxBody      = 1 << 20               // bytes of a body
	DefaultMaxBatchBody = 64 << 20              // bytes of a batch
	DefaultMaxBatches   = 8                     // batches that are executed at once
	DefaultMaxWaits     = 1000                  // requests that wait for persistence at once
	DefaultMaxMemory    = 128 << 20             // bytes of the bodies and answers of all requests but batches
	DefaultMaxAnswer    = 16 << 20              // bytes of the records of one answer
	DefaultTimeout      = 15 * time.Second      // of one operation, without a wait
	DefaultMaxWait      = 50 * time.Second      // longest "Prefer: wait" that is granted: nginx times out after 60
	MaxBatchItems       = request.MaxBatchItems // items of one batch
	MaxIDs              = request.MaxIDs        // ids of one multi-get
	MaxLimit            = request.MaxLimit      // records of one page
	DefaultLimit        = request.DefaultLimit  // records of a page if the request sets no limit
)

// Config configures an API. Producer, Cache, Store and Entities are required.
type Config struct {
	Producer Writes           // accepts the writes
	Cache    Reads            // answers the reads
	Store    Lists            // lists the persisted rows
	Entities []*schema.Entity // what is served; each after Init
	Events   EventSource      // tells what becomes of writes; nil: no /v1/events
	Admin    AdminSurface     // serves /v1/admin/; nil: no admin API

	MaxBody       int64 // bytes of a body; 0: DefaultMaxBody
	MaxBatchBody  int64 // bytes of a batch; 0: DefaultMaxBatchBody
	MaxMemory     int64 // bytes of bodies and answers of all requests but batches; 0: DefaultMaxMemory
	MaxAnswer     int   // bytes of the records of one answer; 0: DefaultMaxAnswer
	MaxBatchBytes int64 // bytes of all batches' bodies; 0: twice MaxBatchBody, half of it for one caller
	MaxBatches    int   // batches that are executed at once; 0: DefaultMaxBatches
	// requests that wait for persistence at once, others are answered 202 at once; 0: DefaultMaxWaits
	MaxWaits int
	Timeout  time.Duration // of one operation; 0: DefaultTimeout
	// longest wait granted; 0: DefaultMaxWait. The server's write timeout must be longer than both
	MaxWait       time.Duration
	MaxStreams    int             // event streams at once; 0: DefaultMaxStreams
	StreamTimeout time.Duration   // longest write to an event stream before it is dropped; 0: DefaultStreamTimeout
	SlowGrace     time.Duration   // for which a large body or answer can stall; 0: DefaultSlowGrace
	Stopping      <-chan struct{} // closed when the process begins to stop: event streams and waits end; nil: never
	NoIDsInPath   bool            // records are named by a query or a body only: for proxies that rewrite paths
	CORS          []string        // origins that browsers may call from, or "*"; empty: none

	Proxies []netip.Prefix // trusted to report a client's address

	Tickets    Tickets               // opens event streams without a header; nil: no /v1/events/ticket
	Tokens     Guard                 // identifies requests; nil: every request is allowed everything
	RateLimit  Limits                // bounds the requests of a caller; nil: nothing does
	Version    string                // of the program, for /openapi.json
	Log        *slog.Logger          // nil: slog.Default()
	Registerer prometheus.Registerer // nil: no metrics
	Gatherer   prometheus.Gatherer   // metrics that /metrics serves; nil: no such route
}

// API is the HTTP handler. It is safe for concurrent use, and needs no Close.
type API struct {
	producer Writes
	cache    Reads
	store    Lists
	source   EventSource
	tickets  Tickets
	admin    AdminSurface
	entities map[string]*schema.Entity

	maxBody      int64
	maxBatchBody int64
	maxAnswer    int
	sizes        sizes
	timeout      time.Duration
	maxWait      time.Duration
	shares       *share.Shares
	proxies      []netip.Prefix
	streams      *stream.Streams
	slowGrace    time.Duration
	stopping     <-chan struct{}

	noIDs    bool // records are named by a query or a body only
	cors     cors
	guard    Guard  // nil: none
	limits   Limits // nil: none
	routes   routes
	metrics  *metrics
	log      *slog.Logger
	document []byte // /openapi.json
}

// ownWords are the second path segments that are not entities.
var ownWords = []string{"batch", "events", "admin"}

// New returns the handler, or an error that names the invalid field of cfg.
func New(cfg Config) (*API, error) {
	if cfg.Producer == nil || cfg.Cache == nil || cfg.Store == nil {
		return nil, errors.New("api: Producer, Cache and Store are required")
	}
	a := &API{
		producer:     cfg.Producer,
		cache:        cfg.Cache,
		store:        cfg.Store,
		source:       cfg.Events,
		admin:        cfg.Admin,
		entities:     make(map[string]*schema.Entity, len(cfg.Entities)),
		maxBody:      cmp.Or(cfg.MaxBody, DefaultMaxBody),
		maxBatchBody: cmp.Or(cfg.MaxBatchBody, DefaultMaxBatchBody),
		maxAnswer:    cmp.Or(cfg.MaxAnswer, DefaultMaxAnswer),
		timeout:      cmp.Or(cfg.Timeout, DefaultTimeout),
		maxWait:      cmp.Or(cfg.MaxWait, DefaultMaxWait),
		slowGrace:    cmp.Or(cfg.SlowGrace, DefaultSlowGrace),
		stopping:     cfg.Stopping,
		noIDs:        cfg.NoIDsInPath,
		guard:        cfg.Tokens,
		tickets:      cfg.Tickets,
		proxies:      cfg.Proxies,
		limits:       cfg.RateLimit,
		log:          cmp.Or(cfg.Log, slog.Default()),
	}
	for _, e := range cfg.Entities {
		if slices.Contains(ownWords, e.Name) {
			return nil, fmt.Errorf("api: Entities: %q is a word of the HTTP API, name the entity otherwise", e.Name)
		}
		a.entities[e.Name] = e
	}
	var err error
	if a.cors, err = newCORS(cfg.CORS); err != nil {
		return nil, fmt.Errorf("api: CORS: %w", err)
	}
	if a.metrics, err = newMetrics(cfg.Registerer); err != nil {
		return nil, fmt.Errorf("api: Registerer: %w", err)
	}
	if a.shares, err = share.New(share.Limits{
		Memory:      cmp.Or(cfg.MaxMemory, DefaultMaxMemory),
		BatchMemory: cmp.Or(cfg.MaxBatchBytes, 2*a.maxBatchBody),
		BatchBody:   a.maxBatchBody,
		Batches:     cmp.Or(cfg.MaxBatches, DefaultMaxBatches),
		Waits:       cmp.Or(cfg.MaxWaits, DefaultMaxWaits),
		Streams:     cmp.Or(cfg.MaxStreams, DefaultMaxStreams),
	}, cfg.Registerer); err != nil {
		return nil, fmt.Errorf("api: Registerer: %w", err)
	}
	if a.streams, err = stream.New(stream.Config{
		Source: cfg.Events, States: cfg.Cache, Timeout: a.timeout,
		WriteTimeout: cmp.Or(cfg.StreamTimeout, DefaultStreamTimeout),
		Stopping:     cfg.Stopping, Log: a.log, Registerer: cfg.Registerer,
	}); err != nil {
		return nil, fmt.Errorf("api: Registerer: %w", err)
	}
	if a.document, err = openapi.Document(described(cfg)); err != nil {
		return nil, fmt.Errorf("api: openapi: %w", err)
	}
	a.routes = a.newRoutes(cfg.Gatherer)
	a.metrics.begin(a.routes.collection, a.routes.record, a.routes.under["increment"], a.routes.fixed["/v1/batch"])
	return a, nil
}

// described is what the OpenAPI document says of the API.
func described(cfg Config) openapi.API {
	d := openapi.API{Entities: cfg.Entities, Events: cfg.Events != nil, Tickets: cfg.Tickets != nil,
		Tokens: cfg.Tokens != nil, Version: cfg.Version}
	if cfg.Admin != nil {
		d.Admin = cfg.Admin.OpenAPI
	}
	if cfg.Tokens != nil {
		d.Required = cfg.Tokens.Required()
	}
	return d
}

// openapi answers the description of the API, generated from the entities.
func (a *API) openapi(_ context.Context, c *call) error {
	c.send(http.StatusOK, a.document)
	return nil
}

var _ http.Handler = (*API)(nil)
