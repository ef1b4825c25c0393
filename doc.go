// Package afterwrite holds the nouns of a write-behind system for SQL databases.
//
// A write is accepted into Redis, where it is at once what every reader sees, and
// is persisted to the database by worker processes soon after. The words used here
// mean the same everywhere in the project:
//
//   - an [Entity] is a kind of record, mapped to one table;
//   - a record is one instance of it, named by entity and id, whose [Values] are
//     the canonical JSON texts of its fields;
//   - a [Version] is the number that an accepted write gives a record;
//   - a record is [Pending] until the database has its newest version, then
//     [Persisted]; one that the database refused is [Held], and [Dead] when its
//     [RetryPolicy] is exhausted;
//   - a partition is a fixed share of an entity's ids: the unit of order, of
//     scheduling and of Redis slot.
//
// # In a program of your own
//
// The write path and the cache can be part of another program, beside workers that are
// processes of the command afterwrite with the same entities in their configuration: package
// worker takes its tasks from a queue that no other module can make.
//
//	err := user.Init()                                        // before anything else is given it
//	s, err := store.Open(store.Config{URL: database}, entities)
//	_, err = s.Migrate(ctx, false)                            // or the command's migrate
//	c, err := cache.New(cache.Config{URL: redis, Loader: s})  // a Loader, or a miss is an error
//	_, err = c.Check(ctx)                                     // refuses a Redis that may evict accepted writes
//	err = c.Adopt(ctx, user)                                  // each: refuses another number of partitions
//	p, err := producer.New(producer.Config{Entities: entities, Cache: c, Loader: s, Database: s})
//
// Without a producer.Config.Queue the workers' sweeper orders each flush, within seconds.
// Entity, prefix and partitions have to be those of the workers' configuration. Close the
// producer first, then the cache, then the store.
//
// The package imports nothing of the rest of the project, so that the write path,
// the workers and an embedding program can agree on it without meeting.
package afterwrite
