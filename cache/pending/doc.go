// Package pending keeps what the database has not seen: the records of a partition that are
// pending, held or dead, the refusals of those that the database has refused, their dead
// letters' marks, the partition's counters, and its scheduled flag. The keys, and how a record
// moves between the lists, are drawn in the documentation of package cache, which accepts
// writes and so adds to the lists; the two share keys and never call each other.
//
// The steps of a flush are [Backlog.Due], behind the partition's fence, and after the commit
// [Backlog.Ack], [Backlog.Hold] and [Backlog.Die]. Each names the version that it is about and
// leaves a record alone that has another one by then, so all of them are idempotent.
//
// The scheduled flag decides which sync task may work on a partition: [Backlog.Begin],
// [Backlog.End], and [Backlog.Sweep], which repairs lost tasks.
package pending
