// Package afterwrite is a write-behind system for SQL databases: a write is accepted into
// Redis, where every reader sees it immediately, and worker processes persist it to the
// database in batches soon after.
//
// The nouns that all packages share are in package schema: entities, fields, records,
// versions, retry policies and errors.
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
package afterwrite
