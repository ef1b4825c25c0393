package schema

import (
	"errors"
	"fmt"
)

// Pairing identifies a Redis and a database that belong together. Both store it.
type Pairing struct {
	Deployment string // random; "" before they are paired
	Life       string // random; an emptied, replaced or older Redis has another
}

// None reports whether the side was never paired.
func (p Pairing) None() bool { return p.Deployment == "" }

// Errors of a Redis from which nothing is flushed: it belongs to another database, or went back to an older state of
// itself and was not repaired yet.
var (
	//lint:ignore ST1005 Redis is a name.
	ErrUnpaired = errors.New("Redis and the database do not belong together")
	//lint:ignore ST1005 Redis is a name.
	ErrOlder = errors.New("Redis is an older copy of itself")
)

// Unpaired returns ErrUnpaired with the reason.
func Unpaired(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnpaired, fmt.Sprintf(format, args...))
}
