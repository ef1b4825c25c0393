package otlp

import (
	"bytes"
	"context"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
)

// Tracing is off unless an exporter or an address is named, and OTEL_SDK_DISABLED has the last word.
func TestWanted(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		want bool
		bad  string
	}{
		{env: nil, want: false},
		{env: map[string]string{"OTEL_SERVICE_NAME": "x"}, want: false},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, want: true},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, want: true},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, want: true},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "True"}},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "console"}, bad: "OTEL_TRACES_EXPORTER"},
		{env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"},
			bad: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
	} {
		t.Run("", func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			got, err := wanted()
			require.Equal(t, c.want, got, c.env)
			if c.bad != "" {
				require.ErrorIs(t, err, ErrSettings)
				require.ErrorContains(t, err, c.bad)
			} else {
				require.NoError(t, err)
			}
		})
	}
}

func TestPropagators(t *testing.T) {
	for names, fields := range map[string]int{"": 3, "tracecontext": 2, "tracecontext, baggage": 3, "none": 0} {
		p, err := propagators(names)
		require.NoError(t, err, names)
		require.Len(t, p.Fields(), fields, names)
	}
	_, err := propagators("tracecontext,xray")
	require.ErrorIs(t, err, ErrSettings)
}

// A span of a statement has its first word, never a value or a name that a statement could have.
func TestVerb(t *testing.T) {
	for query, want := range map[string]string{
		"INSERT INTO users VALUES (?)": "INSERT", " select 1": "SELECT", "": "", "'secret' x": "",
		"aVeryLongWordThatIsNoVerb x": "",
	} {
		require.Equal(t, want, verb(query))
	}
}

func TestTheEndpointIsShownWithoutPassword(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:secret@collector:4318/x@y")
	require.Equal(t, "https://collector:4318/x@y", Endpoint())
}

// Lines of a traced request have its ids; others are as they were.
func TestLog(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(Log(slog.NewTextHandler(&out, nil))).With("a", 1)
	log.InfoContext(t.Context(), "plain")
	require.NotContains(t, out.String(), "trace_id")
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled}))
	log.InfoContext(ctx, "traced")
	require.Contains(t, out.String(), "a=1 trace_id=01000000000000000000000000000000 span_id=0200000000000000")
}
