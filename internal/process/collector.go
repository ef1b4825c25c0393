package process

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/internal/certs"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/queue"
)

// collectTimeout bounds what one scrape may wait for Redis.
const collectTimeout = 2 * time.Second

func figure(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("afterwrite_"+name, help, labels, nil)
}

var (
	workersDesc = figure("live_workers",
		"Workers that said within the last 10 s that they live (40 s where they sweep seldom).")
	tasksDesc   = figure("queue_tasks", "Sync tasks by queue and state.", "queue", "state")
	latencyDesc = figure("queue_latency_seconds", "Age of the oldest sync task that waits for a worker; 0 without one.",
		"queue")
	pausedDesc  = figure("queue_paused", "1 while an operator of asynq's tools has paused the queue.", "queue")
	memoryDesc  = figure("redis_memory_bytes", "Memory that Redis uses.", "node")
	limitDesc   = figure("redis_memory_limit_bytes", "maxmemory of Redis; 0: none.", "node")
	evictedDesc = figure("redis_evicted_keys_total", "Keys that Redis has evicted.", "node")
	unsafeDesc  = figure("redis_unsafe", "1 where a setting of Redis may lose accepted writes, by reason.", "node",
		"reason")
	expiryDesc = figure("certificate_expiry_timestamp_seconds",
		"When the certificate of a server expires that this process reaches by TLS; absent without TLS.", "server")
)

// collector shows what Redis tells of the deployment and of itself: the same from every
// process, read when it is scraped. Where several processes show it, take the largest. What
// cannot be read is absent.
type collector struct {
	fleet   *fleet.Fleet
	inspect *inspect.Inspector
	queues  *queue.Inspector
	certs   map[string]*certs.Watch // by server
}

// Describe implements [prometheus.Collector].
func (collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		workersDesc, tasksDesc, latencyDesc, pausedDesc, memoryDesc, limitDesc, evictedDesc, unsafeDesc, expiryDesc,
	} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	var all sync.WaitGroup
	for _, collect := range []func(context.Context, chan<- prometheus.Metric){c.workers, c.tasks, c.nodes} {
		all.Go(func() { collect(ctx, out) })
	}
	for server, watch := range c.certs {
		if at, ok := watch.Expires(); ok {
			gauge(out, expiryDesc, float64(at.Unix()), server)
		}
	}
	all.Wait()
}

func gauge(out chan<- prometheus.Metric, d *prometheus.Desc, v float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (c collector) workers(ctx context.Context, out chan<- prometheus.Metric) {
	alive, err := c.fleet.Alive(ctx)
	if err != nil {
		return
	}
	n := 0
	for _, p := range alive {
		if p.Kind == "worker" {
			n++
		}
	}
	gauge(out, workersDesc, float64(n))
}

func (c collector) tasks(ctx context.Context, out chan<- prometheus.Metric) {
	sizes, err := c.queues.Sizes(ctx)
	if err != nil {
		return
	}
	for _, s := range sizes {
		for state, n := range map[string]int64{
			"pending": s.Pending, "active": s.Active, "scheduled": s.Scheduled, "retry": s.Retry,
			"archived": s.Archived,
		} {
			gauge(out, tasksDesc, float64(n), s.Queue, state)
		}
		gauge(out, latencyDesc, s.Latency.Seconds(), s.Queue)
		gauge(out, pausedDesc, truth(s.Paused), s.Queue)
	}
}

func (c collector) nodes(ctx context.Context, out chan<- prometheus.Metric) {
	nodes, err := c.inspect.Nodes(ctx)
	if err != nil {
		return
	}
	for _, n := range nodes {
		if !n.Health.Told {
			continue
		}
		gauge(out, memoryDesc, float64(n.Health.UsedMemory), n.Addr)
		gauge(out, limitDesc, float64(n.Health.MaxMemory), n.Addr)
		out <- prometheus.MustNewConstMetric(evictedDesc, prometheus.CounterValue, float64(n.Health.Evicted), n.Addr)
		for reason, set := range n.Unsafe {
			gauge(out, unsafeDesc, truth(set), n.Addr, reason)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
