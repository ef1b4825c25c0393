package worker

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
)

// collectTimeout bounds how long one scrape waits for Redis.
const collectTimeout = 2 * time.Second

// Collector shows what Redis knows of every entity: the whole deployment's figures, the
// same in every process, read when they are scraped. Where several processes show them,
// take the largest and do not add them up.
type Collector struct {
	cache    Statser
	entities []*schema.Entity
	lagLimit func(*schema.Entity) time.Duration
}

// NewCollector returns a collector to register once a process. lagLimit is the lag of an
// entity from which its state is a failure.
func NewCollector(c Statser, entities []*schema.Entity, lagLimit func(*schema.Entity) time.Duration) *Collector {
	return &Collector{cache: c, entities: entities, lagLimit: lagLimit}
}

func figure(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("afterwrite_"+name, help, []string{"entity"}, nil)
}

var (
	pendingDesc = figure("pending_records", "Accepted records that are not yet in the database.")
	heldDesc    = figure("held_records", "Records that the database refused, waiting for their next attempt.")
	deadDesc    = figure("dead_records", "Records that the database refused, waiting for an operator.")
	oldestDesc  = figure("oldest_pending_timestamp_seconds",
		"When the oldest pending record was accepted; absent without one.")
	oldestHeldDesc = figure("next_attempt_timestamp_seconds", "When the next held record is due; absent without one.")
	acceptedDesc   = figure("ledger_accepted_total", "Writes accepted.")
	supersededDesc = figure("ledger_superseded_total", "Writes that a newer one replaced before they were persisted.")
	persistedDesc  = figure("ledger_persisted_total", "Writes persisted.")
	discardedDesc  = figure("ledger_discarded_total", "Refused writes that an operator discarded.")
	lostDesc       = figure("ledger_lost_total", "Writes whose record Redis lost before they were persisted.")
	conflictsDesc  = figure("conflicts_total", "Rows of watched tables that another program changed while their record was not persisted.")
	limitDesc      = figure("pending_records_limit",
		"Pending, held and dead records beyond which new records are rejected (flush.max_pending).")
	lagLimitDesc = figure("lag_limit_seconds",
		"Age of the oldest pending record from which it is a failure (a minute, and flush.delay).")
	pausedDesc   = figure("paused_partitions", "Partitions whose flushing an operator has paused.")
	readableDesc = prometheus.NewDesc("afterwrite_ledger_readable",
		"1 if the statistics of all entities could be read from Redis.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		pendingDesc, heldDesc, deadDesc, oldestDesc, oldestHeldDesc, acceptedDesc, supersededDesc,
		persistedDesc, discardedDesc, lostDesc, conflictsDesc, limitDesc, lagLimitDesc, pausedDesc, readableDesc,
	} {
		descs <- d
	}
}

// Collect implements [prometheus.Collector]. Metrics that cannot be read are absent.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	readable := 1.0
	for _, e := range c.entities {
		partitions, err := c.cache.Stats(ctx, e)
		if err != nil {
			readable = 0
			break
		}
		c.collect(out, e, partitions)
	}
	out <- prometheus.MustNewConstMetric(readableDesc, prometheus.GaugeValue, readable)
}

func (c *Collector) collect(out chan<- prometheus.Metric, e *schema.Entity, partitions []pending.Stats) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, v float64) {
		out <- prometheus.MustNewConstMetric(d, t, v, e.Name)
	}
	paused := 0
	for _, p := range partitions {
		if p.Paused {
			paused++
		}
	}
	send(limitDesc, prometheus.GaugeValue, float64(e.Flush.MaxPending))
	send(lagLimitDesc, prometheus.GaugeValue, c.lagLimit(e).Seconds())
	send(pausedDesc, prometheus.GaugeValue, float64(paused))
	s := pending.Total(partitions)
	send(pendingDesc, prometheus.GaugeValue, float64(s.Pending))
	send(heldDesc, prometheus.GaugeValue, float64(s.Held))
	send(deadDesc, prometheus.GaugeValue, float64(s.Dead))
	send(acceptedDesc, prometheus.CounterValue, float64(s.Accepted))
	send(supersededDesc, prometheus.CounterValue, float64(s.Superseded))
	send(persistedDesc, prometheus.CounterValue, float64(s.Persisted))
	send(discardedDesc, prometheus.CounterValue, float64(s.Discarded))
	send(lostDesc, prometheus.CounterValue, float64(s.Lost))
	send(conflictsDesc, prometheus.CounterValue, float64(s.Conflicts))
	if !s.OldestPending.IsZero() {
		send(oldestDesc, prometheus.GaugeValue, float64(s.OldestPending.UnixMilli())/1000)
	}
	if !s.OldestHeld.IsZero() {
		send(oldestHeldDesc, prometheus.GaugeValue, float64(s.OldestHeld.UnixMilli())/1000)
	}
}
