package schema

import "encoding/hex"

// Origin names a write's traced request, and travels with the record.
type Origin struct {
	TraceID [16]byte // of W3C Trace Context
	SpanID  [8]byte  // of the write's span
	Request string   // the request's id, at most 64 bytes; "" if there was none or a longer one
	Version Version  // of the write; set where an origin is read
}

// Trace returns the trace id as 32 hexadecimal digits.
func (o *Origin) Trace() string { return hex.EncodeToString(o.TraceID[:]) }
