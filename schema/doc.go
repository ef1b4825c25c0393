// Package schema holds the nouns of a write-behind system for SQL databases.
//
// A write is accepted into Redis, where every reader sees it immediately, and worker processes persist it to the
// database soon after. The words used here mean the same everywhere in the project:
//
//   - an [Entity] is a kind of record, mapped to one table;
//   - a record is one instance of an entity, named by entity and id; its [Values] are
//     the canonical JSON texts of its fields;
//   - a [Version] is the number that an accepted write gives a record;
//   - a record is [Pending] until the database has its newest version, then
//     [Persisted]; a record that the database refused is [Held], and [Dead] when its
//     [RetryPolicy] is exhausted;
//   - a partition is a fixed share of an entity's ids: the unit of order, of
//     scheduling and of Redis slot.
//
// The package imports no other package of the project, so the write path, the workers and an embedding program share
// these types without importing each other.
package schema
