// Package pending stores, in Redis, what is not yet persisted: a partition's pending, held and dead records, the
// refusals of held and dead records, the marks of their dead letters, the partition's counters, and its scheduled flag.
// The documentation of internal/layout lists the keys, and that of package cache shows how a record moves between the
// lists. Package cache accepts writes and so adds to the lists; the two packages share keys and never call each other.
//
// The steps of a flush are [Backlog.Due], behind the partition's fence, and after the commit [Backlog.Ack],
// [Backlog.Hold] and [Backlog.Die]. Each names the version that it is about and does nothing to a record that is at
// another version by then, so all of them are idempotent.
//
// The scheduled flag decides which sync task may work on a partition: [Backlog.Begin], [Backlog.End], and
// [Backlog.Sweep], which re-enqueues lost tasks.
package pending
