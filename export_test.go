package afterwrite

import (
	"context"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/producer"
)

// Drop takes what is persisted of every model off the cache.
func (db *DB) Drop(ctx context.Context) error {
	for _, e := range db.entities {
		if _, err := db.parts.Cache.InvalidateMatch(ctx, e, "*", nil); err != nil {
			return err
		}
	}
	return nil
}

// Unqueued is a producer on the same Redis that has no queue.
func (db *DB) Unqueued() (*producer.Producer, error) {
	return producer.New(producer.Config{Entities: db.entities, Cache: db.parts.Cache, Loader: db.parts.Store})
}

// Stats are those of the partitions of the first model.
func (db *DB) Stats(ctx context.Context) ([]pending.Stats, error) {
	return db.parts.Pending.Stats(ctx, db.entities[0])
}

// SweepInterval is the time between two sweeps of Work.
func (db *DB) SweepInterval() time.Duration { return db.parts.Config.Worker.SweepInterval }
