package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"
)

// change runs fn in a transaction on a connection that writes: all of it is committed, or
// nothing. The error is [Unavailable], or what fn wrapped in an ownError.
func (s *Store) change(ctx context.Context, op string, fn func(db *gorm.DB) error) error {
	defer s.metrics.time("change")()
	tx, err := s.begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	defer tx.rollback()
	if err := fn(tx.db); err != nil {
		var own *ownError
		if errors.As(err, &own) {
			return fmt.Errorf("%s: %w", op, own.error)
		}
		return s.unavailable(op, err)
	}
	return s.unavailable(op, tx.commit())
}

// ownError is an error inside a change that is not the database's.
type ownError struct{ error }
