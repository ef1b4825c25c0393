package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
)

// Time limits of every HTTP server. The write limit is longer than the longest wait
// that the API grants.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 2 * time.Minute
	writeTimeout  = 3 * time.Minute
	idleTimeout   = 2 * time.Minute
)

// Listen takes an address. The error names the setting that gives it.
func Listen(addr, setting string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another process: stop that one, or choose another %s (%s)",
			addr, setting, config.VariableOf(setting))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", addr, setting, err)
	}
	return l, nil
}

// Serve answers requests until ctx ends, and then those in flight, for at most the grace.
func Serve(ctx context.Context, l net.Listener, handler http.Handler, grace time.Duration, log *slog.Logger) error {
	server := &http.Server{
		Handler:           oneAnswer(handler),
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// OPTIONS * is answered like any other request, with its id.
		DisableGeneralOptionsHandler: true,
		ConnContext:                  api.ConnContext,
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(end); err != nil {
		log.Warn("requests were cut off", "addr", l.Addr().String(), "after", grace)
		return server.Close()
	}
	return nil
}

// oneAnswer closes a connection behind a request that came in chunks. Such a request may
// have had a Content-Length as well, which net/http drops without a word, and a proxy that
// went by it has taken the request's end for elsewhere: what follows on the connection may
// be another caller's that was hidden in it (RFC 9112, 6.1). Of a request in HTTP/1.0
// net/http drops the Transfer-Encoding instead, so that each of those is the last.
func oneAnswer(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TransferEncoding) > 0 || !r.ProtoAtLeast(1, 1) {
			w.Header().Set("Connection", "close")
		}
		handler.ServeHTTP(w, r)
	})
}

// profiled adds /debug/pprof/ to a handler. Every other path goes to the handler as it
// is: a mux would clean it, and ids may look like anything.
func profiled(handler, profiles http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/debug/pprof/") {
			profiles.ServeHTTP(w, r)
			return
		}
		handler.ServeHTTP(w, r)
	})
}

// profiles serves /debug/pprof/.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// gated answers 503 until Redis has passed the start checks: before that, a write
// could go to a Redis that evicts it. The database may still be away; the API says so
// itself where it needs it.
func gated(g *gate, handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		redis, database := g.status()
		if r.URL.Path == "/readyz" && (redis != nil || database != nil) {
			answerReady(w, map[string]error{"redis": redis, "database": database})
			return
		}
		if redis == nil || r.URL.Path == "/healthz" || r.URL.Path == "/metrics" || r.URL.Path == "/openapi.json" {
			handler.ServeHTTP(w, r)
			return
		}
		detail := "Redis has not passed the checks made at the start; nothing was written"
		if errors.Is(redis, schema.ErrUnpaired) {
			detail = "Redis and the database do not belong together; nothing was written"
		}
		api.Refuse(w, r, &problem.Problem{
			Name: "not-ready", Code: http.StatusServiceUnavailable, Title: "Not ready", RetryAfter: 1, Detail: detail,
		})
	})
}

// answerReady answers /readyz in the form of the API's own, by the checks' errors. The
// reasons are for operators, so they are logged and not told here: they may hold addresses.
func answerReady(w http.ResponseWriter, checks map[string]error) {
	type check struct {
		OK bool `json:"ok"`
	}
	status, code, outcomes := "ready", http.StatusOK, map[string]check{}
	for name, err := range checks {
		outcomes[name] = check{err == nil}
		if err != nil {
			status, code = "unready", http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"status": status, "checks": outcomes})
}

// workerStatus serves what probes and Prometheus ask of a worker. A Redis that the queue
// has of its own is asked for, too: without it no sync task comes.
func (p *Parts) workerStatus(g *gate) (http.Handler, error) {
	var q *queue.Client
	if p.Config.Queue.RedisURL != "" {
		var err error
		if q, err = p.QueueClient(); err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		checks := p.workerChecks(r.Context(), g, q)
		for name, err := range checks {
			if err != nil {
				p.Log.Warn("not ready", "check", name, "error", err)
			}
		}
		answerReady(w, checks)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.Metrics, promhttp.HandlerOpts{}))
	return mux, nil
}

// workerChecks asks all at once, so that one that does not answer takes no time from the
// others; q is nil where the queue has no Redis of its own.
func (p *Parts) workerChecks(ctx context.Context, g *gate, q *queue.Client) map[string]error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	redis, database := g.status()
	var tasks error
	var all sync.WaitGroup
	ask := func(outcome *error, ping func(context.Context) error) {
		if *outcome == nil { // the start checks have passed
			all.Go(func() { *outcome = ping(ctx) })
		}
	}
	ask(&redis, p.Cache.Ping)
	ask(&database, p.Store.Ping)
	if q != nil {
		ask(&tasks, q.Ping)
	}
	all.Wait()
	checks := map[string]error{"redis": redis, "database": database}
	if q != nil {
		checks["queue"] = tasks
	}
	return checks
}
