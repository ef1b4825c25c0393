package afterwrite

import "context"

// Drop takes what is persisted of every model off the cache.
func (db *DB) Drop(ctx context.Context) error {
	for _, e := range db.entities {
		if _, err := db.parts.Cache.InvalidateMatch(ctx, e, "*", nil); err != nil {
			return err
		}
	}
	return nil
}
