package dashboard

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard/internal/groups"
	"github.com/afterwrite/afterwrite/dashboard/internal/pulse"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/peer"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
)

// Figures is what the pages read of Redis. A cache.Cache is one.
type Figures interface {
	Stats(ctx context.Context, e *schema.Entity) ([]pending.Stats, error)
	Alive(ctx context.Context) ([]fleet.Process, error)
	Check(ctx context.Context) (inspect.Health, error)
	Ping(ctx context.Context) error
}

// Database is what the pages ask of the database. A store.Store is one.
type Database interface {
	Ping(ctx context.Context) error
	Dialect() string
}

// Queues is what the pages read of the sync tasks. A queue.Inspector is one.
type Queues interface {
	Sizes(ctx context.Context) ([]queue.Size, error)
}

// Defaults of [Config].
const (
	DefaultRefresh = 5 * time.Second // between two readings for open pages
	DefaultTimeout = 2 * time.Second // of reading the figures
	DefaultMaxAge  = time.Second     // of figures that are shown again
)

// maxForm bounds the bytes of a form, and maxEdit those of an edit: a value of json is escaped to up to three times
// its bytes.
const (
	maxForm = 1 << 20
	maxEdit = 4 << 20
)

// Config says what the pages show and who may see them. Entities, Cache and Store are
// required; what is nil has no pages.
type Config struct {
	Entities []*schema.Entity
	Cache    Figures
	Store    Database
	Depths   health.Depths // what is asked beside for the overview; nil: nothing
	Queues   Queues        // the queues' sizes; their tasks and a pause too where it is a queue.Inspector
	Losses   Losses        // acknowledges losses of accepted writes
	Letters  Letters       // dead letters, retry policies and the audit
	Jobs     Jobs          // bulk actions; required with Letters
	Records  Records       // look-up, held records, invalidation
	Rows     Rows          // the database's side of a look-up; nil: Redis's alone
	Series   Series        // keeps the figures of the charts; nil: no charts
	Audit    Auditor       // is told of invalidations and pauses; nil: the log alone
	Tokens   TokenKeeper   // API tokens

	Who      Who    // says who makes a request; nil: Users and Proxy do
	Users    []User // who may log in
	Proxy    Proxy  // or who comes through it
	Insecure bool   // no users, and yet served to other machines: something in front asks
	// Hosts are the names under which it answers without users, and through the proxy,
	// beside those of this machine: the page of a browser can have its own name resolve here.
	Hosts peer.Hosts
	HTTPS bool // browsers come by HTTPS, so cookies are sent over nothing else
	// Sessions keeps log-ins; tokens reach it hashed. nil: the memory of the process.
	Sessions scs.Store
	// SessionsToo keeps them as well, in the database, for when Sessions cannot; nil: the memory
	// of the process alone does.
	SessionsToo scs.Store
	Deployment  string // distinguishes the cookie of dashboards on one host, which share cookies whatever their port
	Environment string // shown on every page; "production" asks for actions to be typed

	Version string        // of the program, shown at the foot
	Refresh time.Duration // between two readings for open pages; 0: DefaultRefresh
	Timeout time.Duration // bound on reading the figures; 0: DefaultTimeout
	MaxAge  time.Duration // figures so old are read again; 0: DefaultMaxAge
	Log     *slog.Logger  // nil: slog.Default()
	// Registerer takes the metrics of the pages; nil: none.
	Registerer prometheus.Registerer
	// Go runs what goes on beside the requests, such as the sampler, in a goroutine under a
	// context that ends it, so that the caller can wait for it. nil: it ends with the process.
	Go func(run func(ctx context.Context))
}

type dashboard struct {
	Config
	templates templates
	assets    map[string]asset
	reading   reading
	depths    depths
	people    *people
	pulse     *pulse.Pulse
	groupings *groups.Counts
	usage     usage
	metrics   *metrics
	tasks     tasks // nil where Queues is none
}

// New returns the handler of the pages. It connects to nothing: the figures are read
// by the sampler, and when a page is asked for. An error says what is wrong with cfg.
func New(cfg Config) (http.Handler, error) {
	if len(cfg.Entities) == 0 || cfg.Cache == nil || cfg.Store == nil {
		return nil, errors.New("dashboard: entities, cache and store are required")
	}
	if (cfg.Letters == nil) != (cfg.Jobs == nil) {
		return nil, errors.New("dashboard: letters and jobs go together")
	}
	cfg.Refresh = cmp.Or(cfg.Refresh, DefaultRefresh)
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, DefaultMaxAge)
	cfg.Log = cmp.Or(cfg.Log, slog.Default())
	if cfg.Go == nil {
		cfg.Go = func(run func(context.Context)) { go run(context.Background()) }
	}
	d := &dashboard{Config: cfg, pulse: pulse.New()}
	d.groupings = groups.New(d.count, d.Go, d.pulse.Tell)
	d.tasks, _ = cfg.Queues.(tasks)
	var err error
	if d.metrics, err = newMetrics(cfg.Registerer); err != nil {
		return nil, err
	}
	if d.people, err = newPeople(cfg); err != nil {
		return nil, err
	}
	if d.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if d.templates, err = parseTemplates(); err != nil {
		return nil, err
	}
	d.Go(d.sample)
	return d.guarded(d.routes()), nil
}

// production reports whether actions ask to be typed.
func (d *dashboard) production() bool { return d.Environment == "production" }

func (d *dashboard) routes() http.Handler {
	mux := http.NewServeMux()
	open := func(pattern string, h http.HandlerFunc) { mux.Handle(pattern, d.metrics.measure(pattern, h)) }
	page := func(pattern string, role Role, h http.HandlerFunc) {
		max := int64(maxForm)
		if strings.HasSuffix(pattern, "/edit") {
			max = maxEdit
		}
		mux.Handle(pattern, d.metrics.measure(pattern, d.need(role, d.form(max, h))))
	}
	open("GET /static/{file}", d.static)
	open("GET /healthz", alive)
	open("GET /readyz", alive)
	open("GET /login", d.loginPage)
	open("POST /login", d.form(maxLogin, d.login))
	open("POST /logout", d.form(maxLogin, d.logout))
	page("POST /view", Viewer, d.setView)
	page("GET /{$}", Viewer, d.overview)
	page("GET /entities/{entity}", Viewer, d.entity)
	page("POST /entities/{entity}/pause", Admin, d.pauseEntity)
	page("GET /events", Viewer, d.events)
	page("GET /help", Viewer, d.help)
	page("GET /export/{list}", Viewer, d.exportNamed)
	page("GET /", Viewer, d.notFound)
	if d.Series != nil {
		page("GET /series.json", Viewer, d.seriesJSON)
	}
	if d.Letters != nil {
		d.letterRoutes(page)
	}
	if d.Losses != nil {
		page("POST /losses/acknowledge", Operator, d.acknowledge)
	}
	if d.Records != nil {
		page("GET /held", Viewer, d.held)
		page("GET /held/export", Viewer, d.exportHeld)
		page("GET /record", Viewer, d.record)
		page("POST /record/invalidate", Operator, d.invalidate)
		page("GET /cache", Viewer, d.cachePage)
		page("POST /cache/invalidate", Admin, d.invalidateMany)
		page("GET /cache/export", Viewer, d.exportKeys)
	}
	if d.Records != nil && d.Letters != nil {
		page("GET /held/confirm", Operator, d.confirmHeld)
		page("POST /held/act", Operator, d.actHeld)
		page("GET /record/edit", Operator, d.editPage)
		page("POST /record/edit", Operator, d.editHeld)
		page("POST /record/retry", Operator, d.retryHeld)
	}
	if d.Queues != nil {
		page("GET /queues", Viewer, d.queuesPage)
	}
	if d.Tokens != nil {
		page("GET /tokens", Admin, d.tokensPage)
		page("POST /tokens", Admin, d.newToken)
		page("GET /tokens/revoke", Admin, d.confirmRevoke)
		page("POST /tokens/revoke", Admin, d.revokeToken)
		page("GET /tokens/export", Admin, d.exportTokens)
	}
	if d.tasks != nil {
		page("GET /queues/{queue}", Viewer, d.queuePage)
		page("POST /queues/{queue}/pause", Admin, d.pauseQueue)
	}
	return mux
}

func (d *dashboard) letterRoutes(page func(string, Role, http.HandlerFunc)) {
	page("GET /refused", Viewer, d.refused)
	page("GET /refused/export", Viewer, d.exportLetters)
	page("GET /refused/confirm", Operator, d.confirm)
	page("POST /refused/act", Operator, d.act)
	page("GET /refused/{number}", Viewer, d.letter)
	page("POST /refused/{number}/edit", Operator, d.edit)
	page("GET /jobs/{id}", Viewer, d.job)
	page("POST /jobs/{id}/stop", Operator, d.stopJob)
	page("GET /policies", Viewer, d.policies)
	page("GET /policies/{entity}", Viewer, d.policy)
	page("POST /policies/{entity}", Admin, d.setPolicy)
	page("POST /policies/{entity}/rollback", Admin, d.rollback)
	page("POST /entities/{entity}/flush", Operator, d.flushNow)
	page("GET /audit", Viewer, d.audit)
	page("GET /audit/export", Viewer, d.exportAudit)
}

// maxLogin bounds the form of a log-in, which is read from anybody.
const maxLogin = 8 << 10

// form reads the form of a request before its handler, at most max bytes. A caller that has no
// role has been turned away before: forms that are half sent hold memory.
func (d *dashboard) form(max int64, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, max)
		if r.Method == http.MethodPost && r.ParseForm() != nil {
			d.fail(w, r, http.StatusBadRequest, fmt.Sprintf("The form cannot be read, or is larger than %d KiB.",
				max>>10))
			return
		}
		next(w, r)
	}
}

// alive answers that this process runs. It asks nothing of Redis or the database, whose
// state is the pages' to show.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
}

// policy admits the package's own files and nothing else. Pico draws its marks as
// data: images.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guarded sets what every answer carries, refuses changes that another site's page asks
// for, and gives the bare prefix under which the handler is mounted its slash, on which
// the relative links rest.
func (d *dashboard) guarded(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.fail(w, r, http.StatusForbidden, "This request comes from another site's page.")
	}))
	next = origin.Handler(d.people.sessions.LoadAndSave(next))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		// With no-referrer a browser that sends no Sec-Fetch-Site, as over plain HTTP under a
		// name, would post the origin null, which another site's page can do, too.
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if d.HTTPS {
			h.Set("Strict-Transport-Security", "max-age=31536000")
		}
		if r.URL.Path == "" {
			mounted, _, _ := strings.Cut(r.RequestURI, "?")
			h.Set("Location", "./"+path.Base(mounted)+"/")
			w.WriteHeader(http.StatusPermanentRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}
