// Package worker takes what was accepted to the database. It runs the sync tasks: each
// flushes one partition, batch by batch, until nothing is due.
//
//	task → begin → { lock the fence → read → write → commit → settle } → end
//	sync.go         └ flush.go, from top to bottom ───────────────────┘  sync.go
//
// The command afterwrite runs it. Another module cannot make the queue that it takes its
// tasks from; what such a program can embed is in the documentation of package afterwrite.
//
// # What a crash leaves behind
//
// Before the commit: nothing; the records are pending as before. After the commit and
// before the ack: the batch is in the database and still pending; the next flush writes
// the same state, or a newer one, again. After the ack and before the end: the
// partition's flag is still set, so nobody orders a task for it until the flag expires;
// then the sweeper does. Each step may thus be lost, repeated, or done without its
// caller learning of it.
//
// # Who may write
//
// Nothing here decides that. Two tasks may run for one partition at once, one of them
// paused for an hour: the fence, a row that
// [store.Store.Begin] locks before the batch is read, puts them in order, so that a row never
// moves back. The flag and the
// generation of a partition only save work.
//
// # When the database is away
//
// A flush that fails because the database does not answer counts against no record. The
// gate (gate.go) closes for the whole process, tasks are put off without touching the
// database, and the partition's flag is extended over the delay so that the sweeper does
// not order others meanwhile. A batch that fails again and again while the database does
// answer is under suspicion (suspect.go): it is made smaller, and the store is asked to
// isolate the record that does it. A record that is known to keep its batch from being
// persisted is set apart and tried alone (apart.go).
//
// # Refused records
//
// A refusal is an attempt (refuse.go): the record is held until the time that its entity's
// live policy draws, or, where that is exhausted, becomes a dead letter in the database
// and then dies (die.go), in this order, so that a crash in between repeats both harmlessly. A
// record whose parent is still pending is tried again soon and is no nearer to death by it
// (parent.go). Policies are read every second and swapped whole (policy.go); the leader
// gives what waits its new times (move.go), closes the letters of records that have moved
// on, and deletes those that were resolved long ago (letters.go).
//
// # The sweeper
//
// Every worker has one (sweep.go), and the one that holds the lease works: it orders a
// task for each partition that has due work and no live flag. It is what makes every
// order safe to lose: by a crash between a write and its enqueue, by a queue that forgot
// it, by a worker that died. The flag of a dead worker lives ten seconds, so another has
// taken over within fifteen.
package worker
