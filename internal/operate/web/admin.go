// Package web is the HTTP face of what operators do: dead letters, retry policies,
// invalidation, figures and the audit, under /v1/admin/. The commands do the same through
// package operate, and print the same views.
//
//	admin.go   routes, and who may call them      read.go    bodies and parameters
//	dead.go    dead letters                       jobs.go    bulk work that outlives its request
//	held.go    held records
//	policy.go  retry policies                     others.go  invalidation, figures, audit
//	view.go    what the answers look like; view_letter.go of letters, view_policy.go of policies
//	form.go    how they write the values of a record
//	openapi.go their description
//
// Who may call is asked by the API that mounts the handler. Without tokens it is served
// only to this machine, or where the configuration says that something in front asks who
// is there.
package web

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"path"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Bounds and their defaults.
const (
	DefaultMaxBody   = 1 << 20
	DefaultSyncLimit = 10_000 // letters of a bulk action that its request waits for
	MaxNumbers       = 10_000 // letters that one request may name
	MaxIDs           = 10_000 // ids of one invalidation
	MaxLimit         = 1000   // items of one page
	DefaultLimit     = 50     // items of a page that names no limit
)

// Records is what the faces ask of Redis beside the operator: the cache.
type Records interface {
	Invalidate(ctx context.Context, e *schema.Entity, ids []string) (int, error)
	InvalidateMatch(ctx context.Context, e *schema.Entity, pattern string, progress func(dropped int)) (int, error)
	Stats(ctx context.Context, e *schema.Entity) ([]pending.Stats, error)
	Pause(ctx context.Context, e *schema.Entity, partitions ...int) (int, error)
	Resume(ctx context.Context, e *schema.Entity, partitions ...int) (int, error)
}

// Config says what an [Admin] works with. Operator, Jobs, Cache and Entities are required.
type Config struct {
	Operator *operate.Operator
	Jobs     *operate.Jobs
	Cache    Records
	Entities []*schema.Entity
	// LocalOnly rejects requests that a proxy has passed on, and those whose Host is neither
	// this machine nor one of Hosts: a page in a browser may have its own name resolve to
	// 127.0.0.1.
	LocalOnly bool
	Hosts     peer.Hosts
	Proxies   []netip.Prefix // whose word about a client's address the audit takes
	MaxBody   int64          // bytes of a body; 0: DefaultMaxBody
	SyncLimit int            // letters of a bulk action without a job; 0: DefaultSyncLimit
	Log       *slog.Logger   // nil: slog.Default()
}

// Admin is the handler. It is safe for concurrent use.
type Admin struct {
	operator  *operate.Operator
	cache     Records
	entities  []*schema.Entity
	localOnly bool
	hosts     peer.Hosts
	proxies   []netip.Prefix
	maxBody   int64
	syncLimit int
	jobs      *operate.Jobs
	mux       *http.ServeMux
	origins   *http.CrossOriginProtection
	log       *slog.Logger
}

// New returns the handler.
func New(cfg Config) (*Admin, error) {
	if cfg.Operator == nil || cfg.Jobs == nil || cfg.Cache == nil || len(cfg.Entities) == 0 {
		return nil, errors.New("admin: Operator, Jobs, Cache and Entities are required")
	}
	a := &Admin{
		operator: cfg.Operator, cache: cfg.Cache, entities: cfg.Entities, localOnly: cfg.LocalOnly,
		hosts: cfg.Hosts, proxies: cfg.Proxies,
		maxBody: cmp.Or(cfg.MaxBody, DefaultMaxBody), syncLimit: cmp.Or(cfg.SyncLimit, DefaultSyncLimit),
		jobs: cfg.Jobs, mux: http.NewServeMux(), origins: http.NewCrossOriginProtection(),
		log: cmp.Or(cfg.Log, slog.Default()),
	}
	a.route()
	return a, nil
}

// handler answers one request with a status and a body to be marshalled, or with an error.
type handler func(r *http.Request, by ledger.Actor, h http.Header) (code int, body any, err error)

func (a *Admin) route() {
	type methods map[string]handler
	const get, post = http.MethodGet, http.MethodPost
	for at, m := range map[string]methods{
		"dead":                             {get: a.letters},
		"dead/groups":                      {get: a.groups},
		"dead/retry":                       {post: a.retry},
		"dead/discard":                     {post: a.discard},
		"dead/{number}":                    {get: a.letter},
		"dead/{number}/edit":               {post: a.edit},
		"held":                             {get: a.held},
		"held/retry":                       {post: a.retryHeld},
		"held/discard":                     {post: a.discardHeld},
		"held/edit":                        {post: a.editHeld},
		"jobs":                             {get: a.listJobs},
		"jobs/{id}":                        {get: a.job},
		"jobs/{id}/stop":                   {post: a.stopJob},
		"retry-policies":                   {get: a.policies},
		"retry-policies/{entity}":          {get: a.policy, http.MethodPatch: a.setPolicy},
		"retry-policies/{entity}/preview":  {post: a.preview},
		"retry-policies/{entity}/history":  {get: a.history},
		"retry-policies/{entity}/rollback": {post: a.rollback},
		"invalidate":                       {post: a.invalidate},
		"pause":                            {post: a.pause},
		"resume":                           {post: a.resume},
		"flush":                            {post: a.flushNow},
		"audit":                            {get: a.audit},
		"stats":                            {get: a.stats},
	} {
		a.mux.HandleFunc("/v1/admin/"+at, a.serve(m))
	}
	a.mux.HandleFunc("/", a.serve(nil))
}

// ServeHTTP answers one request. Where the answer's header has an X-Request-Id already,
// problems repeat it.
func (a *Admin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if unclean(r.URL.EscapedPath()) {
		a.serve(nil)(w, r)
		return
	}
	a.mux.ServeHTTP(w, r)
}

// unclean reports a path with an empty or a dot segment. The mux would redirect it to the
// clean one, out of the admin API even, and not every client would follow.
func unclean(p string) bool { return path.Clean(p) != strings.TrimSuffix(p, "/") }

// allowed lists methods for the Allow header.
func allowed(m map[string]handler) string {
	var list []string
	for method := range m {
		list = append(list, method)
		if method == http.MethodGet {
			list = append(list, http.MethodHead)
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// actor is what the audit names: the token that the request was made with, and the
// address of its client.
func (a *Admin) actor(r *http.Request) ledger.Actor {
	name := "api"
	if who, ok := token.FromContext(r.Context()); ok {
		name = who.Name
	}
	origin := r.RemoteAddr
	if address := peer.Address(r, a.proxies); address.IsValid() {
		origin = address.String()
	}
	return ledger.Actor{Name: name, Origin: origin}
}

func (a *Admin) entity(name string) (*schema.Entity, error) {
	for _, e := range a.entities {
		if e.Name == name {
			return e, nil
		}
	}
	return nil, errUnknownEntity(name)
}

// known names the entity of a filter that selects nothing, where there is no such entity
// and never was: else a misspelt name would look like nothing to do.
func (a *Admin) known(ctx context.Context, name string) error {
	if name == "" {
		return nil
	}
	err := a.operator.Known(ctx, name)
	if errors.Is(err, schema.ErrUnknownEntity) {
		return errUnknownEntity(name)
	}
	return err
}
