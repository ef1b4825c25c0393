// Package otlp has the command's tracing: the OpenTelemetry SDK, its exporter over OTLP, and the instrumentation of
// HTTP, Redis and database/sql, all set by the usual OTEL_ variables of the environment. docs/TRACING.md lists them.
// Other packages make spans through the interfaces of OpenTelemetry alone, see internal/span.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// ErrSettings marks variables of the environment that cannot be used.
var ErrSettings = errors.New("tracing")

// closeTimeout bounds the export of the last spans when a process ends.
const closeTimeout = 5 * time.Second

// Tracing is the tracing of a process. Its methods are safe for concurrent use.
type Tracing struct {
	provider   *sdk.TracerProvider
	propagator propagation.TextMapPropagator
	count      func(outcome string, spans int)
}

// Start begins tracing, if the environment asks for it: else it returns nil. It connects to nothing. An error names the
// variable at fault and matches ErrSettings. count is called with each export, outcome being exported or failed.
func Start(ctx context.Context, service, version string, log *slog.Logger, count func(outcome string, spans int)) (
	*Tracing, error) {
	on, err := wanted()
	if err != nil || !on {
		return nil, err
	}
	propagator, err := propagators(os.Getenv("OTEL_PROPAGATORS"))
	if err != nil {
		return nil, err
	}
	// What the environment says comes last, and wins.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(), resource.WithAttributes(
		attribute.String("service.name", service), attribute.String("service.version", version),
		attribute.String("service.instance.id", uuid.NewString())), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("%w: OTEL_RESOURCE_ATTRIBUTES: %w", ErrSettings, err)
	}
	otel.SetErrorHandler(&faults{log: log})
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSettings, err)
	}
	provider := sdk.NewTracerProvider(sdk.WithResource(about), sdk.WithBatcher(counted{exporter, count}))
	log.Info("tracing is on", "endpoint", Endpoint())
	return &Tracing{provider: provider, propagator: propagator, count: count}, nil
}

// Provider makes the spans.
func (t *Tracing) Provider() trace.TracerProvider { return t.provider }

// Close exports what has not been exported, for at most five seconds.
func (t *Tracing) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return t.provider.Shutdown(ctx)
}

// Endpoint is where spans are sent.
func Endpoint() string {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if url := os.Getenv(name); url != "" {
			return withoutUser(url)
		}
	}
	return "http://localhost:4318"
}

// wanted reports whether the environment turns tracing on.
func wanted() (bool, error) {
	exporter := os.Getenv("OTEL_TRACES_EXPORTER")
	named := os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") + os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
	switch {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"), exporter == "none",
		exporter == "" && named == "":
		return false, nil
	case exporter != "" && exporter != "otlp":
		return false, fmt.Errorf("%w: OTEL_TRACES_EXPORTER is %q: this build has otlp, or none", ErrSettings, exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := os.Getenv(name); protocol != "" && protocol != "http/protobuf" {
			return false, fmt.Errorf("%w: %s is %q: this build has http/protobuf, which collectors take at port 4318",
				ErrSettings, name, protocol)
		}
	}
	return true, nil
}

// propagators are those of OTEL_PROPAGATORS.
func propagators(names string) (propagation.TextMapPropagator, error) {
	var all []propagation.TextMapPropagator
	if names == "" {
		names = "tracecontext,baggage"
	}
	for name := range strings.SplitSeq(names, ",") {
		switch strings.TrimSpace(name) {
		case "tracecontext":
			all = append(all, propagation.TraceContext{})
		case "baggage":
			all = append(all, propagation.Baggage{})
		case "none":
		default:
			return nil, fmt.Errorf("%w: OTEL_PROPAGATORS has %q: this build has tracecontext, baggage and none",
				ErrSettings, name)
		}
	}
	return propagation.NewCompositeTextMapPropagator(all...), nil
}

// withoutUser takes a password off a URL.
func withoutUser(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		return url
	}
	authority, path, slash := strings.Cut(rest, "/")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		authority = authority[at+1:]
	}
	if slash {
		path = "/" + path
	}
	return scheme + "://" + authority + path
}

// counted counts the spans that an exporter sent, or could not send.
type counted struct {
	sdk.SpanExporter
	count func(outcome string, spans int)
}

func (c counted) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := c.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		c.count("failed", len(spans))
	} else {
		c.count("exported", len(spans))
	}
	return err
}

// faultEvery is the time between two log lines of an exporter that fails.
const faultEvery = time.Minute

// faults logs what the SDK reports: a receiver that is away fails every few seconds.
type faults struct {
	log    *slog.Logger
	mu     sync.Mutex
	logged time.Time
	since  int
}

// Handle implements [otel.ErrorHandler].
func (f *faults) Handle(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since++; time.Since(f.logged) < faultEvery {
		return
	}
	f.log.Warn("spans are lost", "error", err, "times", f.since, "endpoint", Endpoint(),
		"hint", "see that the collector is there; requests and flushes do not wait for it")
	f.logged, f.since = time.Now(), 0
}
