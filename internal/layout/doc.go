// Package layout is shared by the packages that keep state in Redis: the names of the keys, the Lua functions that are
// prepended to their scripts, and readers of the scripts' replies.
//
// All keys of a partition begin with the same base, "PREFIX:{ENTITY/PARTITION}:". They are therefore in one slot of a
// Redis Cluster, and one script can use them together. Keys that belong to no partition have the base "PREFIX:{_}:".
// docs/ARCHITECTURE.md lists the keys.
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
//	                                  row was changed beside it; "2" that was counted as a conflict; in the
//	                                  stats "1" some had it
//	aw:{user/3}:stats    HASH   v last version · counters: a accepted, s superseded,
//	                            p persisted, d discarded, l lost, c conflicts ·
//	                            g generation of the newest sync task, u time until which
//	                            it is ordered or running (ms, 0 free) · e time until which
//	                            a process listens to events (ms) · n partitions of the entity
//	                            · z there while flushing is paused · f when an operator
//	                            last had it flushed at once (ms) · y, t turns of the last
//	                            flush and of the one before it that was committed, m
//	                            that of the last that was acked, i, h
//	                            tokens of the last reads behind and ahead of the lock, i1,
//	                            h1, … for their round trips (see lua/turn.lua) · k the mark of the rank
//	                            that is complete (see member.go) · kb, ku token of a
//	                            rebuild of it, and until when it stands (ms)
//	aw:{user/3}:pending  ZSET   id → time first pending (ms)
//	aw:{user/3}:held     ZSET   id → time of the next attempt (ms)
//	aw:{user/3}:dead     ZSET   id → time of death (ms)
//	aw:{user/3}:why      HASH   id → JSON of the refusal of a held or dead record
//	aw:{user/3}:letters  SET    version:id of each dead letter until it is resolved, and
//	                            persisted:version:id where that version was; lost:id of a
//	                            record that was dropped beside letters
//	aw:{user/3}:stream   STREAM field e: an event as published, the last few of them
//	aw:{user/3}:ops      HASH   operation id, NUL, record id → its hash and answer, a JSON
//	                            list, which may end in "=" and another hash; "id:" and
//	                            operation id → a made record id
//	aw:{user/3}:opsAt    ZSET   operation id, and where it has an owner a byte 1 and that →
//	                            time (ms), to trim ops by
//	aw:{user/3}:opsOf    HASH   owner → number of its operation ids
//	aw:{user/3}:rank     ZSET   member (see member.go) → score, negated, of every record that has one
//	aw:{user/3}:rankBuild  ZSET the same while it is rebuilt; +inf: it has none
//	aw:{user/3}:rankUnsure SET  ids whose row may have another score; see package rank
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
// # A Redis that is full
//
// Redis refuses a script whose first write can take memory if it is full of what it may not evict. There are two
// kinds of scripts. What is new is refused there: writes, rows and values for the cache, leases, ranks, and sync
// tasks, which asynq could not keep either. What goes on with accepted writes (reading, acking, holding, dead
// letters), what notes the state of processes, and all that operators do is the way out and is never refused: such a
// script calls though_full of prelude.lua before it writes. It may add only what is bounded by what is there already.
// internal/full_test.go lists the scripts of the first kind.
package layout
