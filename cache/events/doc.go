// Package events delivers what happens to records, and hints between processes, by Redis's Pub/Sub. The scripts that
// change records publish their events while a process listens, and keep the last few of each partition in a stream.
//
// Get the [Bus] of a cache from cache.Cache.Bus. Events are hints: each is delivered at most once. A subscriber that
// must not miss a change reads again what it derives from events whenever the bus reports that some were missed.
package events
