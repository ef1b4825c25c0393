package schema

import (
	"errors"
	"fmt"
	"strings"
)

// Errors caused by the request itself. Nothing was written.
var (
	// ErrUnknownEntity reports an entity that the configuration does not name.
	ErrUnknownEntity = errors.New("unknown entity")
	// ErrNotFound reports a record that does not exist.
	ErrNotFound = errors.New("record not found")
	// ErrExists reports a create of a record that already exists.
	ErrExists = errors.New("record exists already")
	// ErrVersionMismatch reports that a record is not at the version that the caller gave in If-Match.
	ErrVersionMismatch = errors.New("record is at another version")
	// ErrKeysFull reports that an entity already keeps its maximum of operation ids, and that none of them has expired
	// yet. Nothing was written; the write can be sent without an operation id.
	ErrKeysFull = errors.New("the maximum of idempotency keys is already kept")
	// ErrKeyReused reports an operation id that was used before for another operation.
	ErrKeyReused = errors.New("idempotency key was used for another request")
	// ErrInvalid is matched by every [InvalidError].
	ErrInvalid = errors.New("invalid")
)

// Errors of a system that cannot serve the request now. Nothing was written unless the error says otherwise; the caller
// can try again later.
var (
	// ErrBacklogFull reports that a partition already holds its share of the entity's MaxPending pending, held and dead
	// records. HTTP callers should answer 503 with Retry-After.
	ErrBacklogFull = errors.New("backlog is full")
	// ErrUnavailable reports that Redis did not respond or could not accept a write. Nothing was written.
	ErrUnavailable = errors.New("redis is unavailable")
	// ErrRedisFull reports that Redis responded but has no memory left: records that are not yet persisted fill it. It
	// is joined with ErrUnavailable.
	ErrRedisFull = errors.New("redis is full")
	// ErrRedisReadOnly reports that Redis responded but accepts no writes: it is a replica, has too few replicas, or
	// cannot write to its disk. It is joined with ErrUnavailable.
	ErrRedisReadOnly = errors.New("redis accepts no writes")
	// ErrOutcomeUnknown reports that the reply to a write was lost: the write may or may not have been accepted.
	// Repeating it is safe only with an operation id.
	ErrOutcomeUnknown = errors.New("outcome of the write is unknown")
	// ErrDatabaseUnavailable reports that the operation needs the database, which does not respond.
	ErrDatabaseUnavailable = errors.New("database is unavailable")
	// ErrNoID reports that the sequence of a table gave no id to a record that was created without one: it has reached
	// its end, the role may not use it, or rows have its numbers already. Nothing was written.
	ErrNoID = errors.New("the table's sequence gave no id")
	// ErrSchema reports a table that lacks what its entity needs, or is not there itself: run
	// the migrations. It comes with ErrDatabaseUnavailable. See [SchemaError].
	ErrSchema = errors.New("schema error")
	// ErrBusy reports that a bounded wait or queue inside this process is full.
	ErrBusy = errors.New("too many requests are waiting")
	// ErrPartitionsChanged reports that another process runs the entity with a different number of partitions. Restart
	// with the same configuration.
	ErrPartitionsChanged = errors.New("the entity runs with another number of partitions")
)

// MaxFieldErrors bounds how many invalid fields one error names.
const MaxFieldErrors = 100

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field  string // name of the field as the configuration spells it, or "id"
	Reason string // what is wrong and what would be right, without the name
}

// InvalidError reports the values that an entity does not accept, by field. It matches [ErrInvalid].
type InvalidError struct {
	Fields []FieldError
}

func (e *InvalidError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + " " + f.Reason
	}
	return strings.Join(parts, "; ")
}

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

// Invalid returns an [InvalidError] about one field.
func Invalid(field, format string, args ...any) error {
	return &InvalidError{Fields: []FieldError{{Field: field, Reason: fmt.Sprintf(format, args...)}}}
}

// SchemaError reports which table lacks something, in the database's words, which name the
// column. It matches [ErrSchema].
type SchemaError struct {
	Entity, Table string
	Err           error // of the database
}

func (e *SchemaError) Error() string {
	return fmt.Sprintf("schema error: table %s of entity %s: %v", e.Table, e.Entity, e.Err)
}

func (e *SchemaError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrSchema) true.
func (e *SchemaError) Is(target error) bool { return target == ErrSchema }
