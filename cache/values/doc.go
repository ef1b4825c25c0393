// Package values caches values of any type in the Redis of a cache, beside its records: loaded once for all processes,
// dropped by key, by pattern and by tags, which changes of records invalidate, too.
//
//	pages, err := values.New[Page](c, values.Policy{Group: "page", TTL: time.Hour}, nil)
//	page, err := pages.Load(ctx, key, func(ctx context.Context) (Page, error) { … })
//
// # Keys
//
//	aw:v:{page:<key>}        STRING a value of the group "page": head and body, see entry.go
//	aw:v:{page:<key>}:lease  STRING token of the load that may fill it, with a TTL
//	aw:{_t}:tags             ZSET   tag → stamp of its last invalidation; "n" the newest
//	                                stamp, "f" the floor, "b" when it was made
//	aw:events:~              Pub/Sub channel of the L1s of values
//
// # Loads
//
// A load of a value has the same law as that of a record. Its lease is a key of its own
// beside the value, so a stale value can stand while the next is loaded; a set, a
// deletion and an invalidation remove the lease in the step that changes the value. A
// caller joins a load of its process only if that load began after the call did, or looks
// again when it is over; and a look at Redis only if it has not begun.
//
// # Tags
//
// A tag is a stamp, not a set of keys: invalidating one costs a step however many values
// have it, and reaches values that do not exist yet. Each load takes the newest stamp
// before it begins; a value is invalid if one of its tags has a newer stamp. So a load
// that began before an invalidation cannot outlive it, even where its tags were not known
// when it began. Sets of keys by tag, the usual way, can do neither, and a cluster cannot
// change a set and the values in other slots in one step.
//
// The stamps of all tags are in one slot, so that one clock orders them: two nodes' clocks
// would disagree. A lookup of a tagged value reads them in the same round trip where its
// tags are in the policy, or where nothing at all was invalidated since; else in a second
// one. The price on a cluster is that one node answers for all tags. The number of tags is
// bounded; what forgetting one invalidates is in cache/internal/tags/lua/touch.lua.
//
// The tags of an entity are touched by its writes, acks and invalidations, but only while
// values depend on them: see cache/tags.go.
//
// # L1
//
// The L1 of a group follows its sets, deletions and tags by messages that are numbered, as that of records follows
// events: what may have been missed drops everything. See cache/internal/l1.
//
// # Metrics
//
// A cache with a Registerer counts, from the first group on, by group: afterwrite_value_reads_total by source,
// afterwrite_value_loads_total by outcome, afterwrite_value_load_duration_seconds, afterwrite_value_large_total; and
// afterwrite_value_refreshes_skipped_total.
package values
