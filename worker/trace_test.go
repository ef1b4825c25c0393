package worker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/span"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// recorded are the spans that a worker made.
type recorded struct {
	*tracetest.SpanRecorder
	provider *sdk.TracerProvider
}

func record() recorded {
	r := tracetest.NewSpanRecorder()
	return recorded{r, sdk.NewTracerProvider(sdk.WithSpanProcessor(r))}
}

// of are the spans that have ended, by name.
func (r recorded) of(name string) []sdk.ReadOnlySpan {
	var some []sdk.ReadOnlySpan
	for _, s := range r.Ended() {
		if s.Name() == name {
			some = append(some, s)
		}
	}
	return some
}

func attributes(s sdk.ReadOnlySpan) map[attribute.Key]any {
	all := map[attribute.Key]any{}
	for _, a := range s.Attributes() {
		all[a.Key] = a.Value.AsInterface()
	}
	return all
}

// traced puts a record within a span, and returns the span's context.
func (b *bench) traced(r recorded, id, email string) trace.SpanContext {
	b.t.Helper()
	ctx, s := r.provider.Tracer("test").Start(context.Background(), "request")
	defer s.End()
	values, err := b.e.Whole(schema.Fields{"name": "N", "email": email})
	require.NoError(b.t, err)
	b.write(cache.Write{Op: cache.OpPut, ID: id, Values: values, Origin: span.Origin(span.WithRequest(ctx, "r-"+id))})
	return s.SpanContext()
}

// A flush is linked to the traced writes that it persists, each of which has a span in its own trace, linked to the
// flush. Untraced writes have none.
func TestAFlushIsLinkedToItsWrites(t *testing.T) {
	t.Parallel()
	b, r := setup(t, testkit.SQLite(t)), record()
	w := b.worker(func(c *Config) { c.Tracer = r.provider })
	b.put("u0", "untraced")
	b.flush(w)
	require.Empty(t, r.Ended(), "a flush of untraced writes has no span")

	before := time.Now()
	writes := []trace.SpanContext{b.traced(r, "u1", "1@x"), b.traced(r, "u2", "2@x")}
	b.put("u3", "untraced")
	b.flush(w)
	b.quiet(0)
	flushes, persists := r.of("flush user"), r.of("persist user")
	require.Len(t, flushes, 1)
	require.Len(t, persists, 2)
	flush := flushes[0]
	require.Len(t, flush.Links(), 2)
	for i, write := range writes {
		require.Equal(t, write.SpanID(), flush.Links()[i].SpanContext.SpanID())
		require.Equal(t, write.TraceID(), flush.Links()[i].SpanContext.TraceID())
	}
	require.EqualValues(t, 3, attributes(flush)[span.Records])
	require.EqualValues(t, 3, attributes(flush)[span.Persisted])
	of := map[trace.TraceID]sdk.ReadOnlySpan{}
	for _, p := range persists {
		of[p.SpanContext().TraceID()] = p
	}
	for i, write := range writes {
		p := of[write.TraceID()]
		require.NotNil(t, p, "write %d", i)
		require.Equal(t, write.SpanID(), p.Parent().SpanID())
		require.Equal(t, flush.SpanContext(), p.Links()[0].SpanContext)
		require.Equal(t, "persisted", attributes(p)[span.Status])
		require.WithinRange(t, p.StartTime(), before.Add(-time.Second), flush.EndTime())
	}
	require.Equal(t, of[writes[0].TraceID()].SpanContext().SpanID(), flush.Parent().SpanID(),
		"it is sampled as the first write is")
	b.flush(w)
	require.Len(t, r.of("flush user"), 1, "a persisted write is not persisted again")
}

// A refused write's span says so, each time that it is tried, and its dead letter names the request.
func TestARefusedWriteIsTraced(t *testing.T) {
	t.Parallel()
	b, r := setup(t, testkit.SQLite(t)), record()
	w := b.strict(func(c *Config) { c.Tracer = r.provider })
	b.mail("u1", "one", "same@x")
	b.flush(w)
	write := b.traced(r, "u2", "same@x")
	testkit.Eventually(t, "it is dead", func() bool {
		b.flush(w)
		_ = w.sweepOnce(t.Context())
		return b.stats().Dead == 1
	})
	tries := r.of("persist user")
	require.Len(t, tries, quick.MaxAttempts)
	for i, p := range tries {
		require.Equal(t, write.TraceID(), p.SpanContext().TraceID())
		require.Equal(t, codes.Error, p.Status().Code)
		require.Equal(t, "refused: unique", p.Status().Description)
		require.EqualValues(t, i+1, attributes(p)[span.Attempt])
	}
	letters, err := b.store.Letter(t.Context(), 1)
	require.NoError(t, err)
	last := letters.History[len(letters.History)-1]
	require.Equal(t, write.TraceID().String(), last.TraceID)
	require.Equal(t, "r-u2", last.RequestID)
}

// A flush makes a bounded number of spans. Writes of one batch share one.
func TestSpansOfAFlushAreBounded(t *testing.T) {
	t.Parallel()
	b, r := setup(t, testkit.SQLite(t)), record()
	w := b.worker(func(c *Config) { c.Tracer = r.provider })
	for i := range maxLinks + 3 {
		b.traced(r, id(i), id(i)+"@x")
	}
	b.flush(w)
	require.Len(t, r.of("persist user"), maxLinks)
	flush := r.of("flush user")[0]
	require.Len(t, flush.Links(), maxLinks)
	require.EqualValues(t, 3, attributes(flush)[span.LeftOut])

	ctx, s := r.provider.Tracer("test").Start(t.Context(), "batch")
	s.End()
	for i := range 5 {
		values, err := b.e.Whole(schema.Fields{"name": "N", "email": "b" + id(i)})
		require.NoError(t, err)
		b.write(cache.Write{Op: cache.OpPut, ID: "b" + id(i), Values: values, Origin: span.Origin(ctx)})
	}
	b.flush(w)
	persists := r.of("persist user")[maxLinks:]
	require.Len(t, persists, 1)
	require.EqualValues(t, 5, attributes(persists[0])[span.Records])
	require.Len(t, r.of("flush user")[1].Links(), 1)
}
