package schema

import "encoding/hex"

// Origin names the traced request that a write came from. It travels with the pending record, so that the flush that
// persists the write, its events and its dead letter lead back to the request.
type Origin struct {
	TraceID [16]byte // of W3C Trace Context
	SpanID  [8]byte  // of the write's span
	Request string   // the request's id, at most MaxOriginRequest bytes; "" if there was none or a longer one
	Version Version  // of the write; set where an origin is read
}

// MaxOriginRequest bounds the bytes of a request id that is stored with a record. Redis stores a hash with a longer
// value in a form that takes several times the memory.
const MaxOriginRequest = 64

// Trace returns the trace id as 32 hexadecimal digits.
func (o *Origin) Trace() string { return hex.EncodeToString(o.TraceID[:]) }

// SetOrigin notes the traced request whose write was tried, if there was one.
func (a *Attempt) SetOrigin(o *Origin) {
	if o != nil {
		a.TraceID, a.RequestID = o.Trace(), o.Request
	}
}
