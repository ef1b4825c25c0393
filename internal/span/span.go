// Package span has what spans of writes and of flushes share. It uses the interfaces of OpenTelemetry alone: a program
// brings its own SDK, and the command's is in internal/otlp. Without an SDK, or for a request that is not sampled,
// nothing here allocates and nothing is stored.
package span

import (
	"context"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/schema"
)

// Scope is the name under which this module's spans are reported.
const Scope = "github.com/afterwrite/afterwrite"

// Names of the attributes.
const (
	Entity    = attribute.Key("afterwrite.entity")
	ID        = attribute.Key("afterwrite.id")
	Partition = attribute.Key("afterwrite.partition")
	Operation = attribute.Key("afterwrite.operation")
	Version   = attribute.Key("afterwrite.version")
	RequestID = attribute.Key("afterwrite.request_id")
	Records   = attribute.Key("afterwrite.records")
	Rejected  = attribute.Key("afterwrite.rejected")
	Replayed  = attribute.Key("afterwrite.replayed")
	Status    = attribute.Key("afterwrite.status")
	Attempt   = attribute.Key("afterwrite.attempt")
	Persisted = attribute.Key("afterwrite.persisted")
	Refused   = attribute.Key("afterwrite.refused")
	LeftOut   = attribute.Key("afterwrite.links_left_out")
)

// Tracer returns the tracer of this module. nil stands for the provider that the program has registered, or will.
func Tracer(provider trace.TracerProvider) trace.Tracer {
	if provider == nil {
		provider = otel.GetTracerProvider()
	}
	return provider.Tracer(Scope)
}

// Sampled reports whether the caller is traced.
func Sampled(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsSampled() }

type requestKey struct{}

// WithRequest returns a context of a request with that id.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// Origin returns the origin of a write that is made in this context; nil if it is not traced.
func Origin(ctx context.Context) *schema.Origin {
	c := trace.SpanContextFromContext(ctx)
	if !c.IsSampled() {
		return nil
	}
	id, _ := ctx.Value(requestKey{}).(string)
	return &schema.Origin{TraceID: c.TraceID(), SpanID: c.SpanID(), Request: id}
}

// Of returns the span of an origin's write, which was made in another process or earlier.
func Of(o *schema.Origin) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: o.TraceID, SpanID: o.SpanID, TraceFlags: trace.FlagsSampled, Remote: true,
	})
}

// maxReason bounds the text of an error in a span.
const maxReason = 256

// Fail marks a span as failed; nil changes nothing.
func Fail(s trace.Span, err error) {
	if err != nil {
		text := err.Error()
		s.SetStatus(codes.Error, strings.ToValidUTF8(text[:min(len(text), maxReason)], ""))
	}
}
