package schema

import "time"

// Attempt is one try to persist a record that the database refused.
type Attempt struct {
	Number    int       `json:"number"` // from 1
	At        time.Time `json:"at"`     // to a millisecond
	Kind      Kind      `json:"kind"`
	Message   string    `json:"message"`            // beside a held record at most 200 bytes of it
	Worker    string    `json:"worker"`             // that tried
	TraceID   string    `json:"trace_id,omitempty"` // of the traced request, in a dead letter
	RequestID string    `json:"request_id,omitempty"`
}
