package token

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var expiryDesc = prometheus.NewDesc("afterwrite_token_expiry_timestamp_seconds",
	"When a living API token expires; those that never do, and those that have, are absent.", []string{"name"}, nil)

// maxExpiries bounds the series of [expiry] to the tokens that expire first.
const maxExpiries = 100

// expiry collects the expiry times of a guard's tokens.
type expiry struct{ guard *Guard }

// Describe implements [prometheus.Collector].
func (expiry) Describe(descs chan<- *prometheus.Desc) { descs <- expiryDesc }

// Collect implements [prometheus.Collector].
func (c expiry) Collect(out chan<- prometheus.Metric) {
	for _, k := range c.guard.ring().expiring(time.Now(), maxExpiries) {
		out <- prometheus.MustNewConstMetric(expiryDesc, prometheus.GaugeValue, float64(k.expires.Unix()), k.who.Name)
	}
}

// expiring returns up to most tokens that expire after now, in the order of their expiry.
func (r *ring) expiring(now time.Time, most int) []key {
	var all []key
	for _, keys := range r.keys {
		for _, k := range keys {
			if k.expires.After(now) {
				all = append(all, k)
			}
		}
	}
	slices.SortFunc(all, func(a, b key) int { return a.expires.Compare(b.expires) })
	return all[:min(len(all), most)]
}
