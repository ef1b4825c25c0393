package dashboard

import (
	"errors"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics count what the pages answer, by route and never by entity or record.
type metrics struct {
	duration *prometheus.HistogramVec
	logins   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "afterwrite_dashboard_request_duration_seconds",
			Help:    "Time to answer a request of the dashboard, its live updates aside. Its count is the number of requests.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method", "code"}),
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "afterwrite_dashboard_logins_total",
			Help: "Tries to log in to the dashboard: ok, wrong, or throttled.",
		}, []string{"outcome"}),
	}
	for _, outcome := range []string{"ok", "wrong", "throttled"} {
		m.logins.WithLabelValues(outcome)
	}
	if r == nil {
		return m, nil
	}
	return m, errors.Join(r.Register(m.duration), r.Register(m.logins))
}

// measure measures the requests of a route. A stream of live updates lasts as long as a
// page is open, so it is none.
func (m *metrics) measure(pattern string, next http.Handler) http.Handler {
	_, route, _ := strings.Cut(pattern, " ")
	if route == "/events" {
		return next
	}
	return promhttp.InstrumentHandlerDuration(m.duration.MustCurryWith(prometheus.Labels{"route": route}), next)
}
