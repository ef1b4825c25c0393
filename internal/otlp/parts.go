package otlp

import (
	"context"
	"database/sql/driver"
	"log/slog"
	"net/http"
	"strings"
	"unicode"

	"github.com/XSAM/otelsql"
	"github.com/redis/go-redis/extra/redisotel/v9"
	"github.com/redis/go-redis/v9"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	metrics "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/trace"
)

// HTTP gives each request of a handler a span, within the caller's trace if it names one. Probes, metrics and event
// streams, which may last for days, have none.
func (t *Tracing) HTTP(next http.Handler) http.Handler {
	return otelhttp.NewHandler(next, "request", otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(t.propagator), otelhttp.WithMeterProvider(metrics.NewMeterProvider()),
		otelhttp.WithFilter(func(r *http.Request) bool {
			switch r.URL.Path {
			case "/healthz", "/readyz", "/metrics", "/v1/events":
				return false
			}
			return true
		}))
}

// Redis gives the commands of traced requests and flushes a span each, without their values.
func (t *Tracing) Redis(client redis.UniversalClient) error {
	return redisotel.InstrumentTracing(client, redisotel.WithTracerProvider(children{t.provider}),
		redisotel.WithDBStatement(false))
}

// SQL gives the statements of traced requests and flushes a span each, named by their first word and without their
// text, which can be as long as a batch.
func (t *Tracing) SQL(connector driver.Connector) driver.Connector {
	wrapped := otelsql.WrapDriver(source{connector}, otelsql.WithTracerProvider(children{t.provider}),
		otelsql.WithMeterProvider(metrics.NewMeterProvider()), otelsql.WithSpanOptions(otelsql.SpanOptions{
			DisableQuery: true, DisableErrSkip: true, OmitConnResetSession: true, OmitRows: true,
			OmitConnPrepare: true, OmitConnectorConnect: true,
		}),
		otelsql.WithSpanNameFormatter(func(_ context.Context, method otelsql.Method, query string) string {
			if word := verb(query); word != "" {
				return word
			}
			return string(method)
		}))
	traced, err := wrapped.(driver.DriverContext).OpenConnector("")
	if err != nil {
		return connector // source has no error
	}
	return traced
}

// verb is the first word of a statement.
func verb(query string) string {
	query = strings.TrimSpace(query)
	if end := strings.IndexFunc(query, unicode.IsSpace); end >= 0 {
		query = query[:end]
	}
	word := strings.ToUpper(query)
	if len(word) > 16 || strings.ContainsFunc(word, func(r rune) bool {
		return r < 'A' || r > 'Z'
	}) {
		return ""
	}
	return word
}

// source is a driver that has one connector: otelsql wraps drivers.
type source struct{ driver.Connector }

func (s source) Open(string) (driver.Conn, error) { return s.Connect(context.Background()) }

func (s source) OpenConnector(string) (driver.Connector, error) { return s.Connector, nil }

// children is a provider of spans within another span. What a process does by itself, such as looking for tasks, has
// none: it would be a trace of its own, many times a second.
type children struct{ trace.TracerProvider }

func (c children) Tracer(name string, options ...trace.TracerOption) trace.Tracer {
	return childTracer{c.TracerProvider.Tracer(name, options...)}
}

type childTracer struct{ trace.Tracer }

func (c childTracer) Start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context,
	trace.Span) {
	if !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, nowhere
	}
	return c.Tracer.Start(ctx, name, options...)
}

// nowhere is a span that records nothing.
var nowhere = trace.SpanFromContext(context.Background())

// Log adds trace_id and span_id to the lines of traced requests and flushes.
func Log(to slog.Handler) slog.Handler { return logged{to} }

type logged struct{ slog.Handler }

func (l logged) Handle(ctx context.Context, line slog.Record) error {
	if c := trace.SpanContextFromContext(ctx); c.IsSampled() {
		line = line.Clone()
		line.AddAttrs(slog.String("trace_id", c.TraceID().String()), slog.String("span_id", c.SpanID().String()))
	}
	return l.Handler.Handle(ctx, line)
}

func (l logged) WithAttrs(attrs []slog.Attr) slog.Handler { return logged{l.Handler.WithAttrs(attrs)} }
func (l logged) WithGroup(name string) slog.Handler       { return logged{l.Handler.WithGroup(name)} }
