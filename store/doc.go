// Package store keeps records in a SQL database. It is the one package that knows SQL, gorm and the databases' error
// codes.
//
// An entity is mapped to a struct type with gorm's tags when the store is opened. Values go in and out as canonical
// texts, and travel as texts where the database parses them exactly, so that it refuses what does not fit.
// docs/DATABASES.md has the types of columns. Those of required fields are NOT NULL in a new table, but not where they
// are added to one with rows.
//
// A batch is read behind the lock of its partition's fence, after every earlier flush has committed: a row cannot move
// back. A flusher that was frozen wakes to a transaction that the database has ended.
//
// An error is, by the driver's codes alone, [fault.Unavailable], which abandons the transaction, or a refusal, which is
// undone to a savepoint, and whose culprits are found. docs/ARCHITECTURE.md walks through a flush.
package store
