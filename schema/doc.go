// Package schema holds the nouns of a write-behind system for SQL databases.
//
// A write is accepted into Redis, where it is at once what every reader sees, and
// is persisted to the database by worker processes soon after. The words used here
// mean the same everywhere in the project:
//
//   - an [Entity] is a kind of record, mapped to one table;
//   - a record is one instance of it, named by entity and id, whose [Values] are
//     the canonical JSON texts of its fields;
//   - a [Version] is the number that an accepted write gives a record;
//   - a record is [Pending] until the database has its newest version, then
//     [Persisted]; one that the database refused is [Held], and [Dead] when its
//     [RetryPolicy] is exhausted;
//   - a partition is a fixed share of an entity's ids: the unit of order, of
//     scheduling and of Redis slot.
//
// The package imports nothing of the rest of the project, so that the write path,
// the workers and an embedding program can agree on it without meeting.
package schema
