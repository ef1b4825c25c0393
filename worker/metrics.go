package worker

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// resolutions are the resolutions that the sweeper gives to dead letters.
var resolutions = []ledger.Resolution{ledger.Persisted, ledger.Superseded}

// deferrals are the reasons for which sync tasks are deferred.
var deferrals = []string{"batch", "closed", "database", "older", "pairing", "partitions", "redis", "stopping", "table"}

// metrics counts what this process did.
type metrics struct {
	records   *prometheus.HistogramVec
	seconds   *prometheus.HistogramVec
	lag       *prometheus.HistogramVec
	persisted *prometheus.CounterVec
	refused   *prometheus.CounterVec
	retried   *prometheus.CounterVec
	dead      *prometheus.CounterVec
	attempts  *prometheus.HistogramVec
	closed    *prometheus.CounterVec
	moved     *prometheus.CounterVec
	isolated  *prometheus.CounterVec
	policy    *prometheus.GaugeVec
	trouble   *prometheus.GaugeVec
	unknown   *prometheus.GaugeVec
	left      *prometheus.CounterVec
	swept     *prometheus.CounterVec
	putOff    *prometheus.CounterVec
	stale     prometheus.Counter
	breaker   prometheus.Gauge
	leading   prometheus.Gauge
	flushed   *prometheus.GaugeVec
	noted     *prometheus.CounterVec
	exchanged *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	histogram := func(name, help string, buckets []float64) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets},
			[]string{"entity"})
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &metrics{
		records: histogram("afterwrite_flush_records", "Records of one flush.",
			prometheus.ExponentialBuckets(1, 2, 14)),
		seconds: histogram("afterwrite_flush_duration_seconds", "Time of one flush: lock, read, write, commit and ack.",
			prometheus.ExponentialBuckets(0.001, 2, 16)),
		lag: histogram("afterwrite_persist_lag_seconds", "Time from the acceptance of a record to its ack.",
			[]float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200}),
		persisted: counter("afterwrite_records_persisted_total", "Records that this worker persisted and acked.",
			"entity"),
		refused: counter("afterwrite_records_refused_total", "Refusals by the database, one an attempt.", "entity",
			"kind"),
		retried: counter("afterwrite_records_retried_total",
			"Held records that were tried again, by the kind of their last refusal.", "entity", "kind"),
		dead: counter("afterwrite_dead_letters_total", "Refused records that became dead letters.", "entity",
			"kind"),
		attempts: histogram("afterwrite_record_attempts", "Attempts of a refused record when it was persisted or died.",
			[]float64{1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 1000}),
		closed: counter("afterwrite_dead_letters_resolved_total", "Dead letters that the sweeper closed.", "entity",
			"resolution"),
		moved: counter("afterwrite_records_rescheduled_total",
			"Held records that got a new time after a change of policy.", "entity"),
		isolated: counter("afterwrite_records_isolated_total", "Records isolated because a statement timed out for them.",
			"entity"),
		policy: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "afterwrite_retry_policy_version",
			Help: "Version of the live retry policy that this worker goes by; absent for that of the configuration."},
			[]string{"entity"}),
		trouble: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "afterwrite_table_trouble_partitions",
			Help: "Partitions whose table accepted no records, as this worker found within 30 s."}, []string{"entity"}),
		unknown: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "afterwrite_unknown_fields",
			Help: "Fields that were written and that this worker's configuration lacks, met within 90 s."},
			[]string{"entity"}),
		left: counter("afterwrite_records_left_total", "Records left to workers that know their fields, one a time.",
			"entity"),
		noted: counter("afterwrite_changed_rows_total",
			"Changes of rows by other programs that this worker followed, one a record and poll.", "entity"),
		exchanged: counter("afterwrite_unique_exchanges_total",
			"Refused records for which others were searched that exchange unique values with them, by result.", "entity",
			"result"),
		swept: counter("afterwrite_sweeper_enqueued_total", "Lost sync tasks that the sweeper enqueued again.",
			"entity"),
		putOff: counter("afterwrite_sync_tasks_deferred_total", "Sync tasks deferred, by reason.", "reason"),
		stale: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "afterwrite_sync_tasks_stale_total", Help: "Sync tasks that were not their partition's live one."}),
		breaker: gauge("afterwrite_database_breaker_state",
			"Circuit breaker before the database: 0 closed, 1 half-open, 2 open."),
		leading: gauge("afterwrite_sweeper_leading", "1 in the worker that holds the sweeper's lease."),
		flushed: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "afterwrite_last_flush_timestamp_seconds",
			Help: "When this worker last persisted records of an entity; 0: not since it started."},
			[]string{"entity"}),
	}
	for _, reason := range deferrals {
		m.putOff.WithLabelValues(reason)
	}
	if r == nil {
		return m, nil
	}
	var err error
	for _, c := range []prometheus.Collector{
		m.records, m.seconds, m.lag, m.persisted, m.refused, m.retried, m.dead, m.attempts, m.closed,
		m.moved, m.isolated,
		m.policy,
		m.trouble, m.unknown, m.left, m.noted, m.exchanged,
		m.swept, m.putOff, m.stale, m.breaker, m.leading, m.flushed,
	} {
		err = errors.Join(err, r.Register(c))
	}
	return m, err
}

// declare creates the series of an entity before the first flush: the rate of a series that begins with its first event
// misses that event.
func (m *metrics) declare(entity string) {
	for _, h := range []*prometheus.HistogramVec{m.records, m.seconds, m.lag, m.attempts} {
		h.WithLabelValues(entity)
	}
	for _, c := range []*prometheus.CounterVec{m.persisted, m.moved, m.isolated, m.left, m.swept, m.noted} {
		c.WithLabelValues(entity)
	}
	m.trouble.WithLabelValues(entity)
	m.unknown.WithLabelValues(entity)
	m.flushed.WithLabelValues(entity)
	for _, resolution := range resolutions {
		m.closed.WithLabelValues(entity, string(resolution))
	}
	for _, result := range exchangeResults {
		m.exchanged.WithLabelValues(entity, result)
	}
	for _, kind := range schema.Kinds {
		for _, c := range []*prometheus.CounterVec{m.refused, m.retried, m.dead} {
			c.WithLabelValues(entity, string(kind))
		}
	}
}

// measure logs a batch and counts it. An empty batch does not count.
func (w *Worker) measure(f *flushing, outcome store.Outcome, took time.Duration) {
	if len(f.last.Due) == 0 {
		return
	}
	name := f.order.Entity.Name
	w.metrics.records.WithLabelValues(name).Observe(float64(len(f.last.Due)))
	w.metrics.seconds.WithLabelValues(name).Observe(took.Seconds())
	lag := w.metrics.lag.WithLabelValues(name)
	now := f.now()
	var lags pending.Lags
	for _, c := range outcome.Persisted {
		d := f.due[c.ID]
		if !d.PendingSince.IsZero() {
			lag.Observe(now.Sub(d.PendingSince).Seconds())
			lags.Add(now.Sub(d.PendingSince))
		}
		if d.Held {
			w.metrics.attempts.WithLabelValues(name).Observe(float64(d.Attempts + 1))
		}
	}
	w.lately.add(&lags, time.Now())
	if len(outcome.Persisted) > 0 {
		w.metrics.flushed.WithLabelValues(name).Set(float64(now.UnixMilli()) / 1000)
	}
	for _, d := range f.last.Due {
		if d.Held && len(d.History) > 0 {
			w.metrics.retried.WithLabelValues(name, string(d.History[len(d.History)-1].Kind)).Inc()
		}
	}
	w.log.Debug("flushed", "entity", name, "partition", f.order.Partition, "read", len(f.last.Due),
		"persisted", len(outcome.Persisted), "refused", len(outcome.Refused), "slow", len(outcome.Slow), "more",
		f.last.More, "elapsed", took.Round(time.Microsecond))
}
