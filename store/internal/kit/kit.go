// Package kit is what package ledger uses of a store: its connections, transactions and
// classes of errors.
package kit

import (
	"context"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
)

// SQL is a store's database. Its functions are safe for concurrent use.
type SQL struct {
	// Dialect is the kind of database, as the store names it.
	Dialect string
	// Read returns a session on the connections that read.
	Read func(ctx context.Context) *gorm.DB
	// Change runs fn in a transaction on a connection that writes: all of it is committed, or
	// nothing. The error is unavailable, or what fn wrapped in an [OwnError].
	Change func(ctx context.Context, op string, fn func(db *gorm.DB) error) error
	// Unavailable wraps an error of the database about op; nil stays nil.
	Unavailable func(op string, err error) error
	// Classify reports whether err is the database's refusal of what a statement carries.
	Classify func(err error) (refusal schema.Refusal, refused bool)
	// Time measures an operation until the returned function is called.
	Time func(op string) (end func())
}

// OwnError is an error inside a change that is not the database's.
type OwnError struct{ Err error }

// Error is that of the error inside.
func (e *OwnError) Error() string { return e.Err.Error() }
