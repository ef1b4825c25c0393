//lint:file-ignore ST1005 Redis is a name.

package schema

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of the request. Nothing was written.
var (
	ErrUnknownEntity   = errors.New("unknown entity")
	ErrNotFound        = errors.New("record not found")
	ErrExists          = errors.New("record exists already")        // of a create
	ErrVersionMismatch = errors.New("record is at another version") // than If-Match gave
	ErrKeysFull        = errors.New("the maximum of idempotency keys is already kept")
	ErrKeyReused       = errors.New("idempotency key was used for another request")
	ErrInvalid         = errors.New("invalid") // matched by every [InvalidError]
)

// Errors of a system that cannot serve the request now: try again later. Nothing was written; after ErrOutcomeUnknown
// it may have been, and only a write with an operation id is safe to repeat.
var (
	ErrBacklogFull         = errors.New("backlog is full") // see [Entity.PartitionLimit]
	ErrUnavailable         = errors.New("redis is unavailable")
	ErrRedisFull           = errors.New("redis is full")                                     // joined with ErrUnavailable
	ErrRedisReadOnly       = errors.New("redis accepts no writes")                           // likewise
	ErrOutcomeUnknown      = errors.New("outcome of the write is unknown")                   // the reply was lost
	ErrDatabaseUnavailable = errors.New("database is unavailable")                           // and the operation needs it
	ErrNoID                = errors.New("the table's sequence gave no id")                   // it ended, or is not granted
	ErrSchema              = errors.New("schema error")                                      // a [SchemaError]: migrate
	ErrBusy                = errors.New("too many requests are waiting")                     // in this process
	ErrPartitionsChanged   = errors.New("the entity runs with another number of partitions") // restart
	ErrUnpaired            = errors.New("Redis and the database do not belong together")     // nothing is flushed
	ErrOlder               = errors.New("Redis is an older copy of itself")                  // nor here, until repaired
)

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field  string // its name, or "id"
	Reason string // without the name
}

// InvalidError reports values that an entity does not accept.
type InvalidError struct{ Fields []FieldError }

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + " " + f.Reason
	}
	return strings.Join(parts, "; ")
}

func (e *InvalidError) Unwrap() error { return ErrInvalid }

// Invalid returns an [InvalidError] about one field.
func Invalid(field, format string, args ...any) error {
	return &InvalidError{Fields: []FieldError{{Field: field, Reason: fmt.Sprintf(format, args...)}}}
}

// SchemaError, an ErrDatabaseUnavailable, reports what a table lacks, or that the database's role may not read it.
type SchemaError struct {
	Entity, Table string
	Denied        bool  // the role has no right to it
	Err           error // of the database
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("schema error: table %s of entity %s: %v", e.Table, e.Entity, e.Err)
}

func (e *SchemaError) Unwrap() []error { return []error{ErrSchema, e.Err} }
