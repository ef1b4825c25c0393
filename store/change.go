package store

import (
	"context"
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// change runs fn in a transaction on a connection that writes: all of it is committed, or
// nothing. The error is [fault.Unavailable], or what fn wrapped in a [kit.OwnError].
func (s *Store) change(ctx context.Context, op string, fn func(db *gorm.DB) error) error {
	defer s.metrics.time("change")()
	tx, err := s.begin(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	defer tx.rollback()
	if err := fn(tx.db); err != nil {
		var own *kit.OwnError
		if errors.As(err, &own) {
			return fmt.Errorf("%s: %w", op, own.Err)
		}
		return s.unavailable(op, err)
	}
	return s.unavailable(op, tx.commit())
}

// SQL is the store's database as package ledger uses it.
func (s *Store) SQL() kit.SQL {
	return kit.SQL{
		Dialect: s.Dialect(), Read: s.read, Change: s.change, Unavailable: s.unavailable, Classify: s.dialect.classify,
		Time: s.metrics.time,
	}
}
