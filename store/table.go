package store

import (
	"sync"
	"sync/atomic"

	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// table is the mapping of an entity, and what the store has learned of its table. All of it is
// safe for concurrent use.
type table struct {
	*mapping.Table
	store   *Store
	located sync.Map              // name of a foreign key → its one column, or ""
	known   atomic.Pointer[known] // nil: the catalog was not read yet
	reading sync.Mutex            // held while the catalog is read

	unhurried sync.Map // partition → true, of those whose last batch hung as a whole: see hang.go
}

// target is what a statement writes to, as far as it is known.
func (t *table) target(k *known) database.Target {
	to := database.Target{Table: t.Table}
	if k != nil {
		to.Catalog, to.Plain, to.Own = k.at, k.plain, k.own
	}
	return to
}
