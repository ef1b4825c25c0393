// Package store keeps records in a SQL database. It is the one package that knows
// SQL, gorm and the databases' error codes.
//
// # Mapping
//
// An entity is mapped when the store is opened: [reflect.StructOf] builds a struct
// type with gorm's tags, which gorm then creates, upserts and scans like a declared
// one. Values go in and out as canonical texts. Where the database parses text
// exactly they travel as text, so that what does not fit is refused by the database,
// with a code. Where it does not (SQLite's floats) they travel as what they are.
//
//	type     PostgreSQL                 SQLite
//	string   character varying(n), text varchar(n), text
//	text     text                       text
//	int      bigint                     bigint
//	float    double precision           double precision
//	decimal  numeric(p,s)               text
//	bool     boolean                    boolean
//	time     timestamp with time zone   datetime (UTC)
//	json     json                       text
//	bytes    bytea                      blob
//	uuid     uuid                       text
//
// Columns of required fields are NOT NULL in a new table. A column that is added to a
// table with rows is not.
//
// # Flushing
//
// A [Flush] is one transaction. [Store.Begin] changes the partition's row of
// afterwrite_fences and thereby holds its lock; only then does the caller read the batch;
// then it is written and committed. A batch is thus read after every earlier flush of the
// partition has committed, and a row cannot move back. A flusher that was frozen wakes to a
// transaction that the database has ended, and fails. On SQLite a batch may be read before
// the lock: it counts only if the fence shows that no transaction has committed since
// ([Flush.Follows]).
//
//	A: lock fence ── read v1 ── (frozen) ·············· upsert v1 → error, undone
//	B:               lock fence (waits) ─ read v2 ─ upsert v2 ─ COMMIT
//
// PostgreSQL ends the transaction of a process that says nothing for
// [Config.IdleInTransaction]. SQLite cannot: its other writers time out, and flushes
// wait until the frozen process goes on or dies.
//
// A change gives its row the values of the fields that it names ([schema.Change.Only]), and
// a row that exists is updated, not inserted: see put.go.
//
// # Refusals
//
// Each dialect classes an error by the driver's codes alone: either the database is
// [fault.Unavailable], which abandons the transaction, or it refuses what the statement
// carries. Then the statement is undone to a savepoint and its culprits are found:
//
//   - unique, foreign key, not null on one column: by one query, however many;
//   - everything else: by halving the statement;
//   - a refusal at COMMIT (deferred constraints): by halving the transaction.
//
// A statement that hangs is no refusal. It is given up early and sent again in pieces, and
// the changes that it hangs for are returned as slow: see hang.go.
//
// When the neighbours are written, those that were refused for a value or a row which
// a neighbour has freed or brought are tried again, and records that swap unique
// values get them by way of NULL. What is refused then is returned as [Refused].
package store
