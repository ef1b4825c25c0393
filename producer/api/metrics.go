package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics counts requests by route, never by entity or id.
type metrics struct {
	duration *prometheus.HistogramVec
	unwaited prometheus.Counter
	slow     *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "afterwrite_http_request_duration_seconds",
			Help:    "Time to answer a request; a wait for persistence included. Its count is the number of requests.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method", "code"}),
		unwaited: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "afterwrite_http_waits_skipped_total",
			Help: "Writes answered immediately although the caller asked to wait, because too many were waiting.",
		}),
		slow: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "afterwrite_http_too_slow_total",
			Help: "Requests ended because a body came, or an answer was read, below the least rate; side is body or answer.",
		}, []string{"side"}),
	}
	for _, side := range []string{"body", "answer"} {
		m.slow.WithLabelValues(side)
	}
	if registerer == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.duration, m.unwaited, m.slow} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// begin has the series of errors of the server there from the start, or a rate would miss the first of them.
func (m *metrics) begin(ends ...*endpoint) {
	for _, end := range ends {
		for method := range end.methods {
			for _, code := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable} {
				m.duration.WithLabelValues(end.name, methodLabel(method), codeLabel(code))
			}
		}
	}
}

func (m *metrics) observe(route, method string, code int, elapsed time.Duration) {
	m.duration.WithLabelValues(route, methodLabel(method), codeLabel(code)).Observe(elapsed.Seconds())
}

// methodLabel keeps a caller from inventing label values.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return "other"
}

func codeLabel(code int) string {
	switch code {
	case http.StatusOK:
		return "200"
	case http.StatusAccepted:
		return "202"
	}
	return strconv.Itoa(code)
}

func metricsPage(gatherer prometheus.Gatherer) handler {
	page := promhttp.HandlerFor(gatherer, promhttp.HandlerOpts{})
	return func(_ context.Context, c *call) error {
		c.code = http.StatusOK
		page.ServeHTTP(c.w, c.r)
		return nil
	}
}
