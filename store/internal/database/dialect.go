package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// Dialect is what differs between the databases. Another one fits in by
// implementing it and by migrations of its own.
type Dialect interface {
	mapping.Dialect
	Name() string
	Dialector(db *sql.DB) gorm.Dialector
	// Connectors returns how to connect for writing, and for reading where that
	// needs connections of its own, else nil.
	Connectors() (writing, reading driver.Connector)
	// Writers is the number of connections that write, given the size of the pool.
	Writers(size int) int
	// Ahead reports that a transaction which holds one fence keeps every flush waiting, so
	// that a batch had better be read before: see look.go.
	Ahead() bool
	// Probe is a query of one integer that needs a working database.
	Probe() string
	// Lock takes the fence of an entity and a partition by changing its row, or by making
	// it, and returns what the fence shows then. See reach.go.
	Lock(tx *Transaction, entity string, partition int) (Fence, error)
	// Reaching is the format of the statement by which a flush notes its turn and its [Reach] in its fence, with what
	// [Note] has, in its order. It has no parameters, so that it can go with others in one trip.
	Reaching() string
	// Free ends a transaction that holds a fence though its process has said nothing for
	// [Settings.IdleInTransaction], where the database does not do that by itself.
	Free(ctx context.Context, db *sql.DB, entity string, partition int) error
	// Isolation of a transaction whose first statement locks: READ COMMITTED, so
	// that it sees what was committed before it had the lock.
	Isolation() *sql.TxOptions

	// Limits names what the database cannot hold of an entity; it is logged at start.
	Limits(e *schema.Entity) []string
	// Spell is a column's type as this server spells it.
	Spell(typ string) string
	// OneKey reports that an upsert acts on whichever unique key a row hits: it is used where
	// there is no other than the id's alone.
	OneKey() bool
	// Upsert creates or replaces the rows of changes, none of which is a deletion, by
	// one statement, and returns how many it has written. It names the columns of the fields at
	// those positions, nil: of all. An [UnfitError] says that they cannot be sent.
	Upsert(tx *Transaction, to Target, changes []schema.Change, fields []int) (written int64, err error)
	// Update gives the rows of changes the values of the fields at those positions, which
	// all of them have, and returns how many rows it has found. An [UnfitError] says that
	// the changes cannot be sent.
	Update(tx *Transaction, to Target, changes []schema.Change, fields []int) (updated int64, err error)
	// Draw takes numbers of the sequence of a key, at most n, from every other program; see Store.Draw.
	Draw(ctx context.Context, tx *Transaction, t *mapping.Table, at *catalog.Table, key catalog.Column,
		n int) ([]int64, error)
	// Equal is the condition that a column has exactly a value, which is each of its parameters.
	Equal(column string, t schema.FieldType) string
	// Incomparable reports whether a column's type has no equality. Then its texts are compared.
	Incomparable(err error) bool

	// Classify tells whether err is the database's refusal of what the statement
	// carries, by the driver's codes alone; else the database is unavailable.
	Classify(err error) (refusal schema.Refusal, refused bool)
	// Away reports whether err is the database's own trouble, by the driver's codes
	// alone: see [fault.Away].
	Away(err error) bool
	// ReadOnly reports whether err says that the connection cannot write. Another may.
	ReadOnly(err error) bool
	// Conflict reports whether err says that the transaction was undone for another one's sake.
	Conflict(err error) bool
	// Suspect reports whether an error that classify takes for an unavailable
	// database, and that is not away, may yet be one record's own, such as a statement
	// that times out.
	Suspect(err error) bool
	// OfTable reports whether err says that a statement does not fit its table, or may not
	// write it: a column, constraint or function has changed, or a permission is missing. It
	// names no value of any record.
	OfTable(err error) bool
	// Blocked reports whether err says that another transaction was in the way: a lock was not
	// free in time, or conflict.
	Blocked(err error) bool
	// Hung reports whether err says that a statement waited too long, for a lock or by
	// itself, and was given up.
	Hung(err error) bool
	// Most is the bound on a statement that each session begins with; 0: there is none, or
	// none that within may shorten.
	Most() time.Duration
	// Within is the statement that bounds each one after it, in its transaction; "": timed does.
	Within(d time.Duration) string
	// Timed goes before a statement that has a bound of its own; "": within is what bounds it.
	Timed(d time.Duration) string
	// Nests reports whether a savepoint leaves the one of its name before it standing.
	Nests() bool
	// SingleStatements reports that each statement goes in a text of its own.
	SingleStatements() bool
	// Missing reports whether err says that a table or column does not exist.
	Missing(err error) bool
	// Denied reports whether err says that the role has no right to a table or column.
	Denied(err error) bool

	// Versions is the statement that makes the table of the own migrations, if it is missing.
	Versions() string
	// Migrating runs fn while no other process migrates the database.
	Migrating(ctx context.Context, db *sql.DB, fn func() error) error
	// Patient lets the statements of a transaction take as long as they need. spoils says that
	// those after it have as long, too, unless the connection is thrown away.
	Patient(db *gorm.DB) (spoils bool, err error)
	// Unbounded does so for those of a connection, until bounded.
	Unbounded(db *gorm.DB) error
	Bounded(db *gorm.DB)
	// Concurrently is the word, with a blank behind it, that keeps CREATE INDEX on a table
	// from blocking its writers; such a statement runs outside of transactions. "": there is none.
	Concurrently(at *catalog.Table) string
	// Mark is a text that changes with the catalog of an existing table. It costs little. What
	// it was in a transaction it stays until that ends; in one that writes so does what decides how a write is done.
	Mark(ctx context.Context, q catalog.Querier, table string, writes bool) (string, error)
	// Ages is the time after which the catalog is read again though the mark is the same,
	// because the mark does not tell all; 0: it does.
	Ages() time.Duration
	// Catalog reads what the database says about a table. One that does not exist has no
	// columns.
	Catalog(ctx context.Context, q catalog.Querier, table string) (*catalog.Table, error)
	// TableIDs are the ids of tables, as catalog.ForeignKey.TableID has them.
	TableIDs(ctx context.Context, q catalog.Querier, tables []string) ([]string, error)
	// ForeignKeys lists the table's foreign keys of one column; those that a
	// refusal can mean, if it names one.
	ForeignKeys(db *gorm.DB, table string, r schema.Refusal) ([]ForeignKey, error)
	watching.Dialect
}

// marker is a dialect that reads the mark, notes the transaction's [Note] and sets the savepoint in one trip. The
// target's catalog is what was known of the table before, or nil.
type marker interface {
	MarkAnd(t *Transaction, of Target, savepoint []string) (mark string, err error)
}

// Preparing is a dialect that prepares statements when the catalog of a table is read.
type Preparing interface {
	Prepare(t *mapping.Table, at *catalog.Table) any
}

// Pooling is a dialect that finds out whether a connection pooler is between.
type Pooling interface{ BehindPooler() bool }

// Owning is a dialect with tables that others may own.
type Owning interface {
	// Owns reports whether we may do what the owner of a table may; of one that does not exist yet.
	Owns(ctx context.Context, q catalog.Querier, table string) (bool, error)
}

// VersionTable keeps which of the own migrations were applied, in the form of goose.
const VersionTable = "afterwrite_migrations"

// Common is what most databases need nothing special for.
type Common struct{}

func (Common) Free(context.Context, *sql.DB, string, int) error { return nil }
func (Common) Reaching() string                                 { return Reaching }
func (Common) Limits(*schema.Entity) []string                   { return nil }
func (Common) Spell(typ string) string                          { return typ }
func (Common) OneKey() bool                                     { return false }
func (Common) Incomparable(error) bool                          { return false }
func (Common) Timed(time.Duration) string                       { return "" }
func (Common) Nests() bool                                      { return true }
func (Common) SingleStatements() bool                           { return false }
func (Common) Ages() time.Duration                              { return 0 }

// Reaching notes the turn and the reach of a flush where a function of the database's does not.
const Reaching = `UPDATE afterwrite_fences SET turn_id = '%[3]s', read_before = %[4]d, read_last = %[5]d,
	read_version = %[6]d, read_newest = %[7]d WHERE entity = %[1]s AND "partition" = %[2]d`

// ForeignKey is a column whose values must be there in a column of another table.
type ForeignKey struct {
	Column    string
	RefTable  string // spelled as an identifier
	RefColumn string
	Self      bool // the other table is the same one
}
