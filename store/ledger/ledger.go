// Package ledger stores the project's own tables in the database of the entities: dead letters and their errors,
// versions of retry policies, the audit, and API tokens. The migrations that create them are in package store.
package ledger

import (
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/internal/database"
)

// Ledger is a store with the project's own tables. It is safe for concurrent use, by any number of processes.
type Ledger struct {
	*store.Store
	db *database.Database
}

// Open opens a store for the entities, see [store.Open], with its ledger.
func Open(cfg store.Config, entities []*schema.Entity) (*Ledger, error) {
	s, err := store.Open(cfg, entities)
	if err != nil {
		return nil, err
	}
	return Of(s), nil
}

// Of returns the ledger in the database of a store, which stays the caller's to close.
func Of(s *store.Store) *Ledger { return &Ledger{s, s.Inside().DB} }

// timeOrZero is a scanned time in UTC, zero for NULL.
func timeOrZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
