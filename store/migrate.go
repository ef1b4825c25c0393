package store

import (
	"context"

	"github.com/afterwrite/afterwrite/store/internal/migrate"
)

// WatchAll stands for every entity in a [Watching].
const WatchAll = migrate.All

// Watching names entities whose tables to watch, and to watch no longer.
type Watching struct{ Watch, Unwatch []string }

// Migrate brings the database up to date and returns what it did, a line each: our own tables, the entities' tables,
// columns and unique indexes, then the triggers of watched tables. It never alters or drops what exists; where that
// differs from the entity, a line begins with "note:". A dry run changes nothing. Any number of processes may migrate
// at once, and again after an error.
func (s *Store) Migrate(ctx context.Context, dryRun bool, watching ...Watching) ([]string, error) {
	if dryRun {
		return s.inside.Preview(ctx, joined(watching))
	}
	return s.inside.Run(ctx, joined(watching))
}

// Outstanding returns what Migrate would change, triggers of watches aside.
func (s *Store) Outstanding(ctx context.Context) ([]string, error) { return s.inside.Outstanding(ctx) }

// MigrationSQL returns what [Store.Migrate] would send now, a statement or comment each, without semicolons.
func (s *Store) MigrationSQL(ctx context.Context, want ...Watching) ([]string, error) {
	return s.inside.SQL(ctx, joined(want))
}

// joined is all that is to be watched and not to be.
func joined(all []Watching) (want migrate.Wanted) {
	for _, w := range all {
		want.Watch, want.Unwatch = append(want.Watch, w.Watch...), append(want.Unwatch, w.Unwatch...)
	}
	return want
}
