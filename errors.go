package afterwrite

import (
	"errors"

	"github.com/afterwrite/afterwrite/schema"
)

// Errors of a call that is at fault. Nothing was written.
var (
	ErrNotFound        = schema.ErrNotFound        // the record does not exist
	ErrExists          = schema.ErrExists          // Create of a record that exists
	ErrVersionMismatch = schema.ErrVersionMismatch // the record is not at the version of IfMatch
	ErrKeyReused       = schema.ErrKeyReused       // an idempotency key was used for another write
	ErrInvalid         = schema.ErrInvalid         // matched by every [schema.InvalidError], which names fields
	ErrUnknownModel    = schema.ErrUnknownEntity   // the type was not given to Open
	ErrClosed          = errors.New("afterwrite: the DB is closed")
)

// Errors of a moment. But for ErrOutcomeUnknown, nothing was written.
var (
	ErrBacklogFull         = schema.ErrBacklogFull         // too many records wait for the database
	ErrUnavailable         = schema.ErrUnavailable         // Redis does not respond or accepts no writes
	ErrDatabaseUnavailable = schema.ErrDatabaseUnavailable // the call needs a row that cannot be read
	ErrBusy                = schema.ErrBusy                // a bounded queue of this process is full
	ErrOutcomeUnknown      = schema.ErrOutcomeUnknown      // the reply was lost: the write may stand
)

type (
	Version = schema.Version // number that a write gives its record
	Status  = schema.Status  // Pending, Persisted, Held or Dead
)

// The statuses of a record.
const (
	Pending   = schema.Pending   // accepted, not yet in the database
	Persisted = schema.Persisted // in the database
	Held      = schema.Held      // refused by the database, awaiting retry
	Dead      = schema.Dead      // refused until its retries were used up: a dead letter
)
