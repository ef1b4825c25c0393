package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/span"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// A flush that contains traced writes has spans; no other has any. "flush" covers the flush and is linked to each of
// these writes. Each write also has a span "persist" in its own trace, from its acceptance to the end of the flush,
// linked to the flush. The flush is a child of the first "persist", and so sampled wherever that write is: a root span
// of its own would be sampled at random, and links would lead nowhere.

// maxLinks bounds the writes that one flush is linked to, and so the spans that it makes.
const maxLinks = 128

// flushSpans are the spans of one flush; nil: it contains no traced write.
type flushSpans struct {
	flush   trace.Span
	ctx     context.Context // with the span of the flush alone
	writes  map[writeSpan]*persistSpan
	of      map[string]*persistSpan // by id of the record
	leftOut int                     // traced writes beyond maxLinks
}

// writeSpan identifies the span of a write, or of a batch of writes.
type writeSpan struct {
	trace [16]byte
	span  [8]byte
}

// persistSpan is a write on its way to the database.
type persistSpan struct {
	trace.Span
	persisted int            // records
	refused   *store.Refused // one of those that were refused
}

// lateContext is the context of a flush, which has the span of the flush once there is one: which writes are traced is
// known when the batch is read, and the transaction keeps the context with which it began.
type lateContext struct {
	context.Context
	spans atomic.Pointer[flushSpans]
}

// Value implements [context.Context].
func (l *lateContext) Value(key any) any {
	if s := l.spans.Load(); s != nil {
		if v := s.ctx.Value(key); v != nil {
			return v
		}
	}
	return l.Context.Value(key)
}

// traced starts the spans of what was read last. began is the time before the lock.
func (w *Worker) traced(f *flushing, began time.Time) {
	for i := range f.last.Due {
		if d := &f.last.Due[i]; d.Origin != nil {
			w.trace(f, d, began)
		}
	}
}

func (w *Worker) trace(f *flushing, d *pending.Due, began time.Time) {
	key := writeSpan{d.Origin.TraceID, d.Origin.SpanID}
	if f.spans != nil {
		if p := f.spans.writes[key]; p != nil {
			f.spans.of[d.ID] = p
			return
		}
		if len(f.spans.writes) >= maxLinks {
			f.spans.leftOut++
			return
		}
	}
	e, write := f.order.Entity, span.Of(d.Origin)
	// The version is the time of acceptance in µs by Redis's clock.
	waited := max(0, f.now().Sub(time.UnixMicro(int64(d.Origin.Version))))
	ctx, p := w.tracer.Start(trace.ContextWithRemoteSpanContext(context.Background(), write), "persist "+e.Name,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(time.Now().Add(-waited)),
		trace.WithAttributes(span.Entity.String(e.Name), span.Partition.Int(f.order.Partition),
			span.ID.String(d.ID), span.Version.Int64(int64(d.Version)), span.Attempt.Int(d.Attempts+1)))
	if f.spans == nil {
		_, flush := w.tracer.Start(ctx, "flush "+e.Name, trace.WithTimestamp(began),
			trace.WithAttributes(span.Entity.String(e.Name), span.Partition.Int(f.order.Partition)))
		flush.AddEvent("batch read")
		f.spans = &flushSpans{flush: flush, writes: map[writeSpan]*persistSpan{}, of: map[string]*persistSpan{},
			ctx: trace.ContextWithSpan(context.Background(), flush)}
		f.late.spans.Store(f.spans)
	}
	f.spans.flush.AddLink(trace.Link{SpanContext: write})
	p.AddLink(trace.Link{SpanContext: f.spans.flush.SpanContext()})
	one := &persistSpan{Span: p}
	f.spans.writes[key], f.spans.of[d.ID] = one, one
}

// within returns a context whose log lines and statements belong to the flush.
func (s *flushSpans) within(ctx context.Context) context.Context {
	if s == nil {
		return ctx
	}
	return trace.ContextWithSpan(ctx, s.flush)
}

// end ends the spans with what became of the flush.
func (s *flushSpans) end(read int, outcome store.Outcome, err error) {
	if s == nil {
		return
	}
	for i := range outcome.Refused {
		if p := s.of[outcome.Refused[i].ID]; p != nil {
			p.refused = &outcome.Refused[i]
		}
	}
	for _, c := range outcome.Persisted {
		if p := s.of[c.ID]; p != nil {
			p.persisted++
		}
	}
	for _, p := range s.writes {
		p.end(err)
	}
	s.flush.SetAttributes(span.Records.Int(read), span.Persisted.Int(len(outcome.Persisted)),
		span.Refused.Int(len(outcome.Refused)))
	if s.leftOut > 0 {
		s.flush.SetAttributes(span.LeftOut.Int(s.leftOut))
	}
	span.Fail(s.flush, err)
	s.flush.End()
}

// errNotTried is the outcome of a write that its flush neither persisted nor had refused.
var errNotTried = errors.New("not tried: it waits for the next flush")

func (p *persistSpan) end(err error) {
	switch {
	case err != nil:
		p.SetAttributes(span.Status.String(string(schema.Pending)))
	case p.refused != nil:
		p.SetAttributes(span.Status.String("refused"))
		err = errors.New("refused: " + string(p.refused.Refusal.Kind))
	case p.persisted > 0:
		p.SetAttributes(span.Status.String(string(schema.Persisted)), span.Records.Int(p.persisted))
	default:
		p.SetAttributes(span.Status.String(string(schema.Pending)))
		err = errNotTried
	}
	span.Fail(p, err)
	p.End()
}
