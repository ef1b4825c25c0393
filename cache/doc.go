// Package cache keeps the newest accepted state of every recently used record in Redis.
// Which of them the database has not seen is kept by package pending, on the same keys.
// Nothing here knows SQL.
//
// The keys are drawn in the documentation of internal/layout.
//
// # States
//
//	missing ──lease──▶ leased ──fill──▶ persisted ──write──▶ pending ──ack──▶ persisted
//	   ▲                  │ write            │ TTL, eviction    │  ▲ write        │
//	   │                  ▼                  ▼                  ▼  │             (TTL)
//	   └─ invalidate   pending            missing              held ──die──▶ dead
//
// Pending, held and dead records have no TTL; a persisted one has its entity's. So Redis
// must run with a volatile-* or noeviction policy, or it may evict an accepted write:
// internal/inspect refuses anything else. Because what is not persisted is always there, a
// miss means persisted, and the row in the database is the newest state.
//
// A lease is the right to fill one record. Its token lives in the record's own key, so a
// write, a deletion or an invalidation that puts something else there has removed it in
// the same step, and a load that began before them cannot fill. Loaders that start while
// a lease stands may share its token: nothing has changed since it was made. (After
// "Scaling Memcache at Facebook", NSDI 2013, section 3.2.1.)
//
// Versions are max(last + 1, Redis TIME in µs) per partition: they grow through an
// eviction, a re-creation and a clock that steps back, and stay below 2^53.
//
// # Changed fields
//
// A flush writes the fields that were changed since the record was last persisted, and
// leaves the other columns to the programs that write them. _c names them, with the version
// of the write that last changed each, oldest first:
//
//	1764358000000001 *;1764358000000007 age,name
//
// is a put ("*", all fields) and a later patch. An increment and a patch keep and extend it.
// A put, a create and a deletion drop it (but see below), and without it all fields have changed; so they have
// where its newest version is not the record's, since then something has written that does
// not keep it. The ack of the record's version drops it. The ack of an older version takes
// out what was last changed at that version or before: a record that is rewritten during each
// of its flushes would otherwise name every field it ever changed, for ever. A discard names
// the same fields again, for it takes them back. Holding, dying and retrying leave it.
//
// A process may not know all fields of a record. A put takes off the record those that it does not
// know, unless they were changed since the last ack: a process that knows them has still to write
// these. So what a worker finds there and does not know was written, where _c does not say otherwise.
// Each process that writes moves a value that is under a former name of a field to its name, and
// so one under a former name is newer than one beside it under today's. It writes the field under both, because a
// process that knows the former name alone reads and increments that one; a "!" before it says that it is no change:
//
//	1764358000000001 *,!nick;1764358000000007 alias,age
//
// is a put and a later patch of a record whose alias was called nick. A process that has the field
// without its former name leaves both; then _c has the order of their writes, also after its puts:
//
//	1764358000000001 *;1764358000000007 alias,age
//
// says that the record's other fields, such as nick, were written before alias and age. Of a
// record that is persisted with two values the row has the newer: it lacks the field.
//
// The scheduled flag of a partition is the pair g and u of its stats: the write that
// finds it free sets it and asks for a sync task of the new generation. The first
// generation is the time in ms: a Redis that was emptied beside a queue that was not does
// not repeat the ids of tasks which the queue still has.
//
// # L1
//
// A process's own memory is off by default. It hears of changes by the events, which are
// numbered; a broken or silent connection, a full buffer or a missing number drops
// everything, and nothing is kept until events come again. A record read before a change
// is never put after it: see internal/l1. The last message before a silence can be lost
// without a gap to show it (a cluster's bus may do so): L1.Age bounds that.
package cache
