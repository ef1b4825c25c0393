package producer

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/span"
	"github.com/afterwrite/afterwrite/schema"
)

// keeping is an instant Writer that keeps what it was given.
type keeping struct {
	instant
	writes []cache.Write
}

func (k *keeping) Write(ctx context.Context, groups ...*cache.Group) {
	for _, g := range groups {
		k.writes = append(k.writes, g.Writes...)
	}
	k.instant.Write(ctx, groups...)
}

func tracing(t testing.TB) (*Producer, *keeping, *tracetest.SpanRecorder, *sdk.TracerProvider) {
	e := &schema.Entity{Name: "bench", Fields: []schema.Field{{Name: "name", Type: schema.String, MaxLength: 5}}}
	require.NoError(t, e.Init())
	to, spans := &keeping{}, tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	p, err := New(Config{Entities: []*schema.Entity{e}, Cache: to, Loader: struct{ Loader }{}, Tracer: provider})
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.Close() })
	return p, to, spans, provider
}

// A write within a span has one of its own, whose id goes with the record.
func TestAWriteHasASpan(t *testing.T) {
	p, to, spans, provider := tracing(t)
	_, err := p.Put(t.Context(), "bench", "a", schema.Fields{"name": "one"})
	require.NoError(t, err)
	require.Empty(t, spans.Ended(), "an untraced caller")
	require.Nil(t, to.writes[0].Origin)

	ctx, request := provider.Tracer("test").Start(WithRequestID(t.Context(), "r1"), "request")
	_, err = p.Put(ctx, "bench", "a", schema.Fields{"name": "one"})
	require.NoError(t, err)
	write := spans.Ended()[0]
	require.Equal(t, "write bench", write.Name())
	require.Equal(t, request.SpanContext().SpanID(), write.Parent().SpanID())
	require.Equal(t, &schema.Origin{TraceID: write.SpanContext().TraceID(), SpanID: write.SpanContext().SpanID(),
		Request: "r1"}, to.writes[1].Origin)

	_, err = p.Put(ctx, "bench", "a", schema.Fields{"name": "too long"})
	require.Error(t, err)
	require.Equal(t, codes.Error, spans.Ended()[1].Status().Code)
	_, err = p.Put(ctx, "no such entity "+t.Name(), "a", nil)
	require.Error(t, err)
	require.Equal(t, "write unknown", spans.Ended()[2].Name(), "callers make no names up")

	results := p.DoAll(ctx, []Request{
		{Op: cache.OpPut, Entity: "bench", ID: "b", Fields: schema.Fields{"name": "one"}},
		{Op: cache.OpPut, Entity: "bench", ID: "c", Fields: schema.Fields{"name": "too long"}},
	})
	require.NoError(t, results[0].Err)
	require.Error(t, results[1].Err)
	batch := spans.Ended()[3]
	require.Equal(t, "write batch", batch.Name())
	require.EqualValues(t, batch.SpanContext().SpanID(), to.writes[2].Origin.SpanID)

	unsampled := trace.ContextWithSpanContext(t.Context(), request.SpanContext().WithTraceFlags(0))
	_, err = p.Put(unsampled, "bench", "a", schema.Fields{"name": "one"})
	require.NoError(t, err)
	require.Len(t, spans.Ended(), 4)
	require.Nil(t, to.writes[3].Origin)
}

// Tracing that is off allocates nothing in the path of a write: as much is allocated as without a look at the context.
func TestTracingThatIsOffAllocatesNothing(t *testing.T) {
	p, _, _, _ := tracing(t)
	to := instant{}
	p.cache = to
	ctx, request := t.Context(), Request{Op: cache.OpPut, Entity: "bench", ID: "a", Fields: schema.Fields{"name": "one"}}
	put := func(do func(context.Context, Request) (Accepted, error)) float64 {
		return testing.AllocsPerRun(1000, func() {
			if _, err := do(ctx, request); err != nil {
				t.Error(err)
			}
		})
	}
	without := put(p.untraced)
	require.Equal(t, without, put(p.Do))
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if span.Sampled(ctx) || span.Origin(ctx) != nil {
			t.Error("it is not traced")
		}
	}))
}

// untraced is Do without a look at the trace of its context.
func (p *Producer) untraced(ctx context.Context, r Request) (Accepted, error) {
	e, w, err := p.prepare(ctx, r)
	if err != nil {
		return Accepted{}, err
	}
	return p.accept(ctx, e, w, false)
}

// BenchmarkTracingOff is what tracing that is off costs a write, its two looks at the context, beside the whole write
// without the time of Redis.
func BenchmarkTracingOff(b *testing.B) {
	p, _, _, _ := tracing(b)
	p.cache = instant{}
	ctx := span.WithRequest(b.Context(), "request")
	request := Request{Op: cache.OpPut, Entity: "bench", ID: "a", Fields: schema.Fields{"name": "one"}}
	b.Run("looks", func(b *testing.B) {
		for b.Loop() {
			if span.Sampled(ctx) || span.Origin(ctx) != nil {
				b.Fatal("it is not traced")
			}
		}
	})
	b.Run("write", func(b *testing.B) {
		for b.Loop() {
			if _, err := p.Do(ctx, request); err != nil {
				b.Fatal(err)
			}
		}
	})
}
