package process

import (
	"fmt"
	"net/http"

	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/otel/trace"
)

// Tracing is where the spans of a process go. The zero Tracing has those of writes and flushes alone, in the provider
// that the program has registered with package otel.
type Tracing struct {
	Provider trace.TracerProvider              // nil: the one registered with package otel
	HTTP     func(http.Handler) http.Handler   // gives the requests of the API spans; nil: nothing does
	Redis    func(redis.UniversalClient) error // gives the commands of a client spans; nil: nothing does
	Close    func() error                      // exports the last spans when all other parts are closed; can be nil
}

// traced begins what the parts have of tracing.
func (p *Parts) traced() error {
	if p.over.Tracing.Redis == nil {
		return nil
	}
	both := p.Cache.Redis()
	for _, client := range []redis.UniversalClient{both.UniversalClient, both.Once} {
		if err := p.over.Tracing.Redis(client); err != nil {
			return fmt.Errorf("tracing of redis: %w", err)
		}
	}
	return nil
}

// CountSpans counts spans in the metrics of the process; outcome is exported or failed.
func (p *Parts) CountSpans(outcome string, spans int) {
	p.metrics.spans.WithLabelValues(outcome).Add(float64(spans))
}
