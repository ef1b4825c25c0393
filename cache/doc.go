// Package cache keeps the newest accepted state of every recently used record in Redis.
// Which of them the database has not seen is kept by package pending, on the same keys.
// Nothing here knows SQL.
//
// # Keys
//
// All keys of a partition share a hash tag, so that every script is atomic on Redis
// Cluster too. With the prefix "aw", entity "user" and partition 3:
//
//	aw:{user/3}:r:<id>   HASH   a record: one hash field for each field of the entity, its
//	                            value the JSON text; and the meta fields
//	                              _v  version
//	                              _s  "p" pending, "h" held, "d" dead; absent: persisted
//	                              _d  "1" a tombstone: deleted, or known to be absent
//	                              _l  lease token of a load; it stands alone, without _v
//	                              _b  barrier of a write through the database; alone, too
//	                              _c  what was changed since the last ack; see Changed fields
//	                              _r  "1" some version since the last ack has a letter
//	                              _t  of a traced write its version, trace and span id, and
//	                              _q  its request id; the ack drops both
//	                              _x  "1" the ack drops it, or nothing is kept of the write behind the barrier: its
//	                                  row was changed beside it; in the stats "1" some had it
//	aw:{user/3}:stats    HASH   v last version · counters: a accepted, s superseded,
//	                            p persisted, d discarded, l lost, c conflicts ·
//	                            g generation of the newest sync task, u time until which
//	                            it is ordered or running (ms, 0 free) · e time until which
//	                            a process listens to events (ms) · n partitions of the entity
//	                            · z there while flushing is paused · f when an operator
//	                            last had it flushed at once (ms) · y, t turns of the last
//	                            flush and of the one before it that was committed, i, h
//	                            tokens of the last reads behind and ahead of the lock, i1,
//	                            h1, … for their round trips (see lua/turn.lua) · k the field whose rank
//	                            is complete · kb, ku token of a rebuild of it, and until
//	                            when it stands (ms)
//	aw:{user/3}:pending  ZSET   id → time first pending (ms)
//	aw:{user/3}:held     ZSET   id → time of the next attempt (ms)
//	aw:{user/3}:dead     ZSET   id → time of death (ms)
//	aw:{user/3}:why      HASH   id → JSON of the refusal of a held or dead record
//	aw:{user/3}:letters  SET    version:id of each dead letter until it is resolved, and
//	                            persisted:version:id where that version was; lost:id of a
//	                            record that was dropped beside letters
//	aw:{user/3}:stream   STREAM field e: an event as published, the last few of them
//	aw:{user/3}:ops      HASH   operation id, NUL, record id → its hash and answer, a JSON
//	                            list; "id:" and operation id → a made record id
//	aw:{user/3}:opsAt    ZSET   operation id → time (ms), to trim ops by
//	aw:{user/3}:rank     ZSET   id → score, negated, of every record that has one
//	aw:{user/3}:rankBuild  ZSET the same while it is rebuilt; +inf: it has none
//	aw:{user/3}:rankUnsure SET  ids whose row may have another score; see rank.go
//	aw:{user/3}:whole           never there; see lua/write.lua
//	aw:{_}:partitions    HASH   entity → number of partitions
//	aw:{_}:lead:<name>   STRING holder of a leader's lease, with a TTL
//	aw:{_}:processes     HASH   kind:id → believed to live until, ms, and its JSON
//	aw:{_}:marks         HASH   process → number and time, see mark.go
//	aw:{_}:probe         STRING written to see whether Redis takes writes, for a second
//	aw:events:<entity>   Pub/Sub channel
//
// and in a partition's stats: w, x until when values depend on any record, on single
// records (ms) · q number of the last message to the events' channel. The keys of values
// are in the documentation of package values.
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
// [Cache.Check] refuses anything else. Because what is not persisted is always there, a
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
// A put, a create and a deletion drop it, and without it all fields have changed; so they have
// where its newest version is not the record's, since then something has written that does
// not keep it. The ack of the record's version drops it. The ack of an older version takes
// out what was last changed at that version or before: a record that is rewritten during each
// of its flushes would otherwise name every field it ever changed, for ever. A discard names
// the same fields again, for it takes them back. Holding, dying and retrying leave it.
//
// A process may not know all fields of a record. A put takes off the record those that it does not
// know, unless they were changed since the last ack: a process that knows them has still to write
// these. So what a worker finds there and does not know was written, where _c does not say otherwise.
// Each process that writes moves a value that is under a former name of a field to its name.
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
