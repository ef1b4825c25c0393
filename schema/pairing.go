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

// ErrOlder reports a Redis that went back to an older state of itself than the one that was flushed last: what it lists
// as pending may be older than the rows. Nothing of it is flushed until a process has repaired it.
//
//lint:ignore ST1005 Redis is a name.
var ErrOlder = errors.New("Redis is an older copy of itself")

// Unpaired returns ErrUnpaired with the reason.
func Unpaired(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnpaired, fmt.Sprintf(format, args...))
}
