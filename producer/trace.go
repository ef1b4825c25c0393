package producer

import (
	"context"

	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/internal/span"
)

// WithRequestID returns a context of a request with that id. Writes of a traced request keep it with their record
// until they are persisted: events and dead letters name it. An id of more than 64 bytes, or
// with other characters than those of a URL, is not kept.
func WithRequestID(ctx context.Context, id string) context.Context { return span.WithRequest(ctx, id) }

// traced is Do within a span of its own, from the request to its acceptance. The record keeps the span's id, so that
// the flush that persists it can be linked to it.
func (p *Producer) traced(ctx context.Context, r Request) (Accepted, error) {
	ctx, s := p.tracer.Start(ctx, "write "+p.nameOf(r.Entity), trace.WithSpanKind(trace.SpanKindProducer))
	defer s.End()
	if s.IsRecording() {
		s.SetAttributes(span.Entity.String(r.Entity), span.Operation.String(string(r.Op)))
	}
	a, err := p.do(ctx, r)
	if s.IsRecording() && err == nil {
		s.SetAttributes(span.ID.String(a.ID), span.Partition.Int(a.Entity.Partition(a.ID)),
			span.Version.Int64(int64(a.Version)), span.Status.String(string(a.Status)), span.Replayed.Bool(a.Again))
	}
	span.Fail(s, err)
	return a, err
}

// tracedAll is DoAll within one span. All writes of the batch keep its id.
func (p *Producer) tracedAll(ctx context.Context, requests []Request) []Result {
	ctx, s := p.tracer.Start(ctx, "write batch", trace.WithSpanKind(trace.SpanKindProducer))
	defer s.End()
	results := p.doAll(ctx, requests)
	if s.IsRecording() {
		rejected := 0
		for _, r := range results {
			if r.Err != nil {
				rejected++
				span.Fail(s, r.Err)
			}
		}
		s.SetAttributes(span.Records.Int(len(results)), span.Rejected.Int(rejected))
	}
	return results
}

// nameOf is the name of an entity in a span's name, of which there must not be as many as callers make up.
func (p *Producer) nameOf(entity string) string {
	if p.entities[entity] == nil {
		return "unknown"
	}
	return entity
}
