package schema

import (
	"errors"
	"fmt"
)

// Pairing identifies the Redis and the database that belong together. Both sides store it.
type Pairing struct {
	Deployment string // random, the same in Redis and in the database; "" before they are paired
	Life       string // random, of one life of a Redis: an emptied, replaced or older Redis has a different one
}

// None reports whether the side was never paired.
func (p Pairing) None() bool { return p.Deployment == "" }

// ErrUnpaired reports a Redis and a database that do not belong together. Nothing is flushed from one into the other.
//
//lint:ignore ST1005 Redis is a name.
var ErrUnpaired = errors.New("Redis and the database do not belong together")

// Unpaired returns ErrUnpaired with the reason.
func Unpaired(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnpaired, fmt.Sprintf(format, args...))
}
