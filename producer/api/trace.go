package api

import (
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/afterwrite/afterwrite/internal/span"
)

// route is the attribute of the form of a path, by the conventions of OpenTelemetry.
const route = attribute.Key("http.route")

// trace notes the request's id for the writes of a traced request.
func (c *call) trace() { c.r = c.r.WithContext(span.WithRequest(c.r.Context(), c.requestID)) }

// nameSpan names the span of the request, which whatever serves the API has begun, by the form of its path: that is
// known only now.
func (c *call) nameSpan() {
	s := trace.SpanFromContext(c.r.Context())
	if !s.IsRecording() {
		return
	}
	s.SetAttributes(span.RequestID.String(c.requestID))
	if c.entity != nil {
		s.SetAttributes(span.Entity.String(c.entity.Name))
	}
	if c.end.path != "" {
		s.SetName(c.r.Method + " " + c.end.path)
		s.SetAttributes(route.String(c.end.path))
	}
}
