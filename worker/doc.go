// Package worker persists accepted writes to the database. It runs the sync tasks: each flushes one partition, batch by
// batch, until nothing is due.
//
//	task → begin → { lock the fence → read → write → commit → settle } → end
//	sync.go         └ flush.go, from top to bottom ───────────────────┘  sync.go
//
// The command afterwrite runs it. Another module cannot create the queue from which it takes its tasks; the
// documentation of package afterwrite says what such a program can embed.
//
// # What a crash leaves behind
//
// Before the commit: nothing; the records are pending as before. After the commit and before the ack: the batch is in
// the database and still pending; the next flush writes the same state, or a newer one, again. After the ack and before
// the end: the partition's flag is still set, so no task is enqueued for it until the flag expires; then the sweeper
// enqueues one. Each step can thus be lost, repeated, or done without its caller learning of it.
//
// # What orders the writes
//
// Two tasks can run for one partition at once, one of them paused for an hour. The fence, a row that
// [store.Store.Begin] locks before the batch is read, orders them, so that a row never moves back. The flag and the
// generation of a partition only save work.
//
// # When the database is away
//
// If a flush fails because the database does not respond, no record's attempts increase. The gate (gate.go) closes for
// the whole process, tasks are deferred without using the database, and the partition's flag is extended over the delay
// so that the sweeper does not enqueue others meanwhile. If a batch fails repeatedly while the database responds, its
// partition is suspected (suspect.go): the batch is made smaller, and the store searches for the record that causes the
// failure. A record that keeps its batch from being persisted is isolated and written alone (isolate.go).
//
// # Refused records
//
// A refusal is an attempt (refuse.go). The record is held until a time drawn from its entity's active policy. If the
// policy is exhausted, the record becomes a dead letter in the database and is then marked dead, in this
// order, so that after a crash in between both steps are repeated without harm. A record whose parent is still pending
// is retried soon, and the attempt does not count (parent.go). Policies are read every second and swapped as a whole
// (policy.go). The leader moves held records to the times of a new policy (move.go), resolves the letters of records
// that have moved on, and deletes letters that were resolved long ago (letters.go).
//
// A record that is refused because the row of another has its unique value is first searched for an exchange: if the
// other record waits, too, and gives the value away, one transaction persists both, in whatever partitions they are
// (exchange.go).
//
// # The sweeper
//
// Every worker has a sweeper (sweep.go); the one that holds the lease works. It enqueues a task for each partition that
// has due work and no live flag. This makes every enqueue safe to lose: by a crash between a write and its enqueue, by
// a queue that lost it, by a worker that died. The flag of a dead worker lives ten seconds, so another worker takes
// over within fifteen.
package worker
