package store

import (
	"context"

	"github.com/afterwrite/afterwrite/store/internal/migrate"
)

// WatchAll stands for every entity in a [Watching].
const WatchAll = migrate.All

// Watching says which entities' tables are to be watched from now on and which no longer, by
// name or [WatchAll].
type Watching struct{ Watch, Unwatch []string }

// Migrate brings the database up to date and returns what it did, a line each: first
// the project's own tables, then for each entity its table, missing columns and
// missing unique indexes. It never alters or drops what exists, and tells where that
// differs from the entity in lines that begin with "note:". A dry run changes nothing
// and returns what would be done. Last come the triggers of watched tables: of those that
// watching names, and of those that are watched already where a trigger is missing, disabled
// or of an older definition.
//
// Any number of processes may migrate at once. After an error the lines tell what
// was done before it; to run it again is safe.
func (s *Store) Migrate(ctx context.Context, dryRun bool, watching ...Watching) ([]string, error) {
	if dryRun {
		return s.inside.Preview(ctx, joined(watching))
	}
	return s.inside.Run(ctx, joined(watching))
}

// Outstanding returns what Migrate would change, the triggers of watched tables aside, see
// [Store.Watches]. Nothing means up to date.
func (s *Store) Outstanding(ctx context.Context) ([]string, error) { return s.inside.Outstanding(ctx) }

// MigrationSQL returns what [Store.Migrate] would send now, one statement or comment each, in
// their order and without semicolons, for teams that change their databases by themselves. It
// changes nothing.
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
