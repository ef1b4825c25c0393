package afterwrite_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A program's own provider has the spans of its writes and of their flushes, and of nothing that is not traced.
func TestAProgramsOwnTracerProvider(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	db, err := afterwrite.Open(t.Context(), afterwrite.Config{
		Redis: ownRedis(t, testkit.SharedRedis(t)), DatabaseURL: testkit.SQLite(t), Prefix: testkit.Prefix(t),
		Logger: testkit.Logger(t), TracerProvider: provider,
	}, afterwrite.Model[Counter]())
	require.NoError(t, err)
	require.NoError(t, db.Migrate(t.Context()))
	working, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- db.Work(working) }()
	counters := afterwrite.Table[Counter](db)
	w, err := counters.Put(t.Context(), &Counter{ID: "a", N: 1})
	require.NoError(t, err)
	require.NoError(t, w.Wait(t.Context()))

	ctx, request := provider.Tracer("program").Start(afterwrite.WithRequestID(t.Context(), "r1"), "request")
	w, err = counters.Put(ctx, &Counter{ID: "a", N: 2})
	require.NoError(t, err)
	request.End()
	require.NoError(t, w.Wait(t.Context()))
	stop()
	require.NoError(t, <-ended)
	require.NoError(t, db.Close())
	var names []string
	for _, s := range spans.Ended() {
		names = append(names, s.Name())
		require.Equal(t, request.SpanContext().TraceID(), s.SpanContext().TraceID(), s.Name())
	}
	require.ElementsMatch(t, []string{"request", "write counter", "persist counter", "flush counter"}, names)
}
