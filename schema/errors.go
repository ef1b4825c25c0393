package schema

import (
	"errors"
	"fmt"
	"strings"
)

// Errors of a request that is at fault. Nothing was written.
var (
	// ErrUnknownEntity reports an entity that the configuration does not name.
	ErrUnknownEntity = errors.New("unknown entity")
	// ErrNotFound reports a record that does not exist.
	ErrNotFound = errors.New("record not found")
	// ErrExists reports a create of a record that exists.
	ErrExists = errors.New("record exists already")
	// ErrVersionMismatch reports that a record is not at the version that the
	// caller named with If-Match.
	ErrVersionMismatch = errors.New("record is at another version")
	// ErrKeysFull reports that an entity keeps as many operation ids as it may, all of them
	// younger than their age. Nothing was written; the write can be sent without one.
	ErrKeysFull = errors.New("as many idempotency keys are kept as may be")
	// ErrKeyReused reports an operation id that was used before for another
	// operation.
	ErrKeyReused = errors.New("idempotency key was used for another request")
	// ErrInvalid is matched by every [InvalidError].
	ErrInvalid = errors.New("invalid")
)

// Errors of a system that cannot take the request now. Nothing was written unless
// the error says otherwise; a caller may try again later.
var (
	// ErrBacklogFull reports that a partition already holds its share of the
	// entity's MaxPending pending, held and dead records. HTTP callers should
	// answer 503 with Retry-After.
	ErrBacklogFull = errors.New("backlog is full")
	// ErrUnavailable reports that Redis did not answer or could not accept a
	// write. Nothing was written.
	ErrUnavailable = errors.New("redis is unavailable")
	// ErrRedisFull reports that Redis answered and has no memory left: what the database
	// has not seen fills it. It comes with ErrUnavailable.
	ErrRedisFull = errors.New("redis is full")
	// ErrRedisReadOnly reports that Redis answered and takes no writes: it is a replica,
	// misses its own replicas, or cannot write to its disk. It comes with ErrUnavailable.
	ErrRedisReadOnly = errors.New("redis takes no writes")
	// ErrOutcomeUnknown reports that the reply to a write was lost: it may or may
	// not have been accepted. A repeat is safe only with an operation id.
	ErrOutcomeUnknown = errors.New("outcome of the write is unknown")
	// ErrDatabaseUnavailable reports that the operation needs the database, which
	// does not answer.
	ErrDatabaseUnavailable = errors.New("database is unavailable")
	// ErrBusy reports that a bounded wait or queue inside this process is full.
	ErrBusy = errors.New("too many requests are waiting")
	// ErrPartitionsChanged reports that another process runs the entity with
	// another number of partitions. Restart with the same configuration.
	ErrPartitionsChanged = errors.New("the entity runs with another number of partitions")
)

// MaxFieldErrors bounds the fields at fault that one error names.
const MaxFieldErrors = 100

// FieldError says what is wrong with one field of a request.
type FieldError struct {
	Field  string // name of the field as the configuration spells it, or "id"
	Reason string // what is wrong and what would be right, without the name
}

// InvalidError reports values that an entity does not accept, by field. It matches
// [ErrInvalid].
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
