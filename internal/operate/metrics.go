package operate

import "github.com/prometheus/client_golang/prometheus"

// metrics count what the bulk actions of this process have done.
type metrics struct {
	ended   *prometheus.CounterVec
	records *prometheus.CounterVec
}

// newMetrics registers them with all their series; nil: nowhere.
func newMetrics(r prometheus.Registerer) metrics {
	m := metrics{
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "afterwrite_bulk_actions_total",
			Help: "Bulk actions that ended in this process, by action and state: done, stopped by an operator, or failed."},
			[]string{"action", "state"}),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "afterwrite_bulk_action_records_total",
			Help: "Dead letters and held records that bulk actions of this process tried, by action and outcome: done, " +
				"stale (no longer as they were selected), or failed."}, []string{"action", "outcome"}),
	}
	for _, action := range []Action{ActRetry, ActDiscard, ActRetryHeld, ActDiscardHeld} {
		for _, state := range []JobState{JobDone, JobStopped, JobFailed} {
			m.ended.WithLabelValues(string(action), string(state))
		}
		m.tried(action, Report{}, Report{})
	}
	if r != nil {
		r.MustRegister(m.ended, m.records)
	}
	return m
}

// tried counts what an action did between two of its reports.
func (m metrics) tried(a Action, before, after Report) {
	m.records.WithLabelValues(string(a), "done").Add(float64(after.Done - before.Done))
	m.records.WithLabelValues(string(a), "stale").Add(float64(after.Stale - before.Stale))
	m.records.WithLabelValues(string(a), "failed").Add(float64(after.Failed - before.Failed))
}
