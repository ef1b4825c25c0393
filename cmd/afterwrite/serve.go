package main

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
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer/api"
)

// Time limits of every HTTP server. The write limit is longer than the longest wait
// that the API grants.
const (
	headerTimeout = 10 * time.Second
	readTimeout   = 2 * time.Minute
	writeTimeout  = 3 * time.Minute
	idleTimeout   = 2 * time.Minute
)

// listen takes an address. The error names the setting that gives it.
func listen(addr, setting string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another process: stop that one, or choose another %s (%s)",
			addr, setting, variableOf(setting))
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", addr, setting, err)
	}
	return l, nil
}

// serve answers requests until ctx ends, and then those in flight, for at most the grace.
func serve(ctx context.Context, l net.Listener, handler http.Handler, grace time.Duration, log *slog.Logger) error {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout,
		WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		// OPTIONS * is answered like any other request, with its id.
		DisableGeneralOptionsHandler: true,
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
			answerReady(w, redis, database)
			return
		}
		if redis == nil || r.URL.Path == "/healthz" || r.URL.Path == "/metrics" || r.URL.Path == "/openapi.json" {
			handler.ServeHTTP(w, r)
			return
		}
		api.Refuse(w, r, &problem.Problem{
			Name: "not-ready", Code: http.StatusServiceUnavailable, Title: "Not ready", RetryAfter: 1,
			Detail: "Redis has not passed the checks made at the start; nothing was written",
		})
	})
}

// answerReady answers /readyz in the form of the API's own. The reasons are for
// operators, so they are logged and not told here: they may hold addresses.
func answerReady(w http.ResponseWriter, redis, database error) {
	type check struct {
		OK bool `json:"ok"`
	}
	status, code := "ready", http.StatusOK
	if redis != nil || database != nil {
		status, code = "not ready", http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"status": status, "checks": map[string]check{"redis": {redis == nil}, "database": {database == nil}},
	})
}

// workerStatus serves what probes and Prometheus ask of a worker.
func (p *parts) workerStatus(g *gate) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"status":"ok"}` + "\n"))
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		redis, database := g.status()
		ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if redis == nil {
			redis = p.cache.Ping(ctx)
		}
		if database == nil {
			database = p.store.Ping(ctx)
		}
		answerReady(w, redis, database)
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(p.metrics, promhttp.HandlerOpts{}))
	return mux
}
