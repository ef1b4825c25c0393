package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// probeTimeout bounds one probe of /readyz.
const probeTimeout = 2 * time.Second

// healthz answers that the process is alive.
func (a *API) healthz(_ context.Context, c *call) error {
	c.out = append(c.out[:0], "{\"status\":\"alive\"}\n"...)
	c.send(http.StatusOK, c.out)
	return nil
}

// probe is how a server behind the API responded.
type probe struct {
	name    string
	latency time.Duration
	err     error
	figures inspect.Health // of Redis, if it reports them
}

// readyz reports whether this process should get requests. It is "ready"; or "degraded" (200) while the database is
// down and writes and cached reads continue, while Redis may evict accepted writes, or while Redis accepts no writes
// and reads continue; or "unready" (503) while Redis is down. With for=read it reports whether the process should get
// reads: while only Redis is down they come from the database, so it is "degraded" (200).
func (a *API) readyz(ctx context.Context, c *call) error {
	purpose := c.r.URL.Query().Get("for")
	if purpose != "" && purpose != "read" && purpose != "write" {
		return problem.BadParameter("for", "is read or write")
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	redis, database := probe{name: "redis"}, probe{name: "database"}
	var both sync.WaitGroup
	both.Go(func() {
		redis.run(ctx, func(ctx context.Context) (err error) {
			if redis.figures, err = a.cache.Check(ctx); err == nil {
				err = a.cache.Writable(ctx)
			}
			return err
		})
	})
	both.Go(func() { database.run(ctx, a.store.Ping) })
	both.Wait()

	status, code := "ready", http.StatusOK
	switch {
	case inspect.Unsafe(redis.err), errors.Is(redis.err, schema.ErrRedisFull),
		errors.Is(redis.err, schema.ErrRedisReadOnly):
		status = "degraded"
	case redis.err != nil && purpose == "read" && database.err == nil:
		status = "degraded"
	case redis.err != nil:
		status, code = "unready", http.StatusServiceUnavailable
		c.header["Retry-After"] = []string{"1"}
	case database.err != nil:
		status = "degraded"
	}
	out := append(c.out[:0], `{"status":"`...)
	out = append(out, status...)
	out = append(out, `","checks":{`...)
	out = append(redis.appendTo(out), ',')
	c.out = append(database.appendTo(out), "}}\n"...)
	for _, p := range []probe{redis, database} {
		if p.err != nil {
			a.log.WarnContext(ctx, "not ready", "request_id", c.requestID, "check", p.name, "error", p.err)
		}
	}
	c.send(code, c.out)
	return nil
}

func (p *probe) run(ctx context.Context, ping func(context.Context) error) {
	began := time.Now()
	p.err = ping(ctx)
	p.latency = time.Since(began)
}

// appendTo appends the probe without its error, which can name hosts and users: the error is in the log.
func (p *probe) appendTo(dst []byte) []byte {
	dst = append(dst, '"')
	dst = append(dst, p.name...)
	dst = append(dst, `":{"ok":`...)
	dst = strconv.AppendBool(dst, p.err == nil)
	dst = append(dst, `,"latency_seconds":`...)
	dst = strconv.AppendFloat(dst, p.latency.Seconds(), 'f', 6, 64)
	if p.figures.Told {
		dst = appendFigures(dst, &p.figures)
	}
	return append(dst, '}')
}

// appendFigures appends what Redis reports about its memory and persistence.
func appendFigures(dst []byte, h *inspect.Health) []byte {
	whole := func(name string, n int64) {
		dst = append(append(append(dst, `,"`...), name...), `":`...)
		dst = strconv.AppendInt(dst, n, 10)
	}
	part := func(name string, x float64) {
		dst = append(append(append(dst, `,"`...), name...), `":`...)
		dst = strconv.AppendFloat(dst, x, 'f', 4, 64)
	}
	if rate, ok := h.HitRate(); ok {
		part("hit_rate", rate)
	}
	whole("used_memory_bytes", h.UsedMemory)
	whole("max_memory_bytes", h.MaxMemory)
	whole("evicted_keys", h.Evicted)
	part("fragmentation", h.Fragmentation)
	return append(append(append(dst, `,"persistence":"`...), h.Persistence()...), '"')
}
