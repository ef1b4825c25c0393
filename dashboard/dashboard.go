package dashboard

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/queue"
)

// figures is what the pages read of Redis. A cache.Cache is one.
type figures interface {
	Stats(ctx context.Context, e *afterwrite.Entity) ([]cache.Stats, error)
	Alive(ctx context.Context) ([]cache.Process, error)
	Check(ctx context.Context) (cache.Health, error)
}

// database is what the pages ask of the database. A store.Store is one.
type database interface {
	Ping(ctx context.Context) error
	Dialect() string
}

// queues is what the pages read of the sync tasks. A queue.Inspector is one.
type queues interface {
	Sizes(ctx context.Context) ([]queue.Size, error)
}

// Defaults of [Options].
const (
	DefaultRefresh = 5 * time.Second // between two loads of an open page
	DefaultTimeout = 2 * time.Second // of reading the figures
	DefaultMaxAge  = time.Second     // of figures that are shown again
)

// Options say what the pages show. Entities, Cache and Store are required.
type Options struct {
	Entities []*afterwrite.Entity
	Cache    figures
	Store    database
	Queues   queues        // nil: the pages say nothing of queues
	Version  string        // of the program, shown at the foot
	Refresh  time.Duration // between two loads of an open page; 0: DefaultRefresh
	Timeout  time.Duration // bound on reading the figures; 0: DefaultTimeout
	MaxAge   time.Duration // figures so old are read anew; 0: DefaultMaxAge
	Log      *slog.Logger  // nil: slog.Default()
}

type dashboard struct {
	Options
	templates templates
	assets    map[string]asset
	reading   reading
}

// New returns the handler of the pages. It connects to nothing: the figures are read
// when a page is asked for.
func New(o Options) (http.Handler, error) {
	if len(o.Entities) == 0 || o.Cache == nil || o.Store == nil {
		return nil, errors.New("dashboard: entities, cache and store are required")
	}
	o.Refresh = cmp.Or(o.Refresh, DefaultRefresh)
	o.Timeout = cmp.Or(o.Timeout, DefaultTimeout)
	o.MaxAge = cmp.Or(o.MaxAge, DefaultMaxAge)
	o.Log = cmp.Or(o.Log, slog.Default())
	d := &dashboard{Options: o}
	var err error
	if d.assets, err = loadAssets(); err != nil {
		return nil, err
	}
	if d.templates, err = parseTemplates(); err != nil {
		return nil, err
	}
	return guarded(d.routes()), nil
}

func (d *dashboard) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.overview)
	mux.HandleFunc("GET /entities/{entity}", d.entity)
	mux.HandleFunc("GET /static/{file}", d.static)
	mux.HandleFunc("GET /healthz", alive)
	mux.HandleFunc("GET /", d.notFound)
	return mux
}

// alive answers that this process runs. It asks nothing of Redis or the database, whose
// state is the pages' to show.
func alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
}

// policy admits the package's own files and nothing else. Pico draws its marks as
// data: images.
const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// guarded sets what every answer carries, and gives the bare prefix under which the
// handler is mounted its slash, on which the relative links rest.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		if r.URL.Path == "" {
			mounted, _, _ := strings.Cut(r.RequestURI, "?")
			h.Set("Location", "./"+path.Base(mounted)+"/")
			w.WriteHeader(http.StatusPermanentRedirect)
			return
		}
		next.ServeHTTP(w, r)
	})
}
