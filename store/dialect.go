package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// dialect is what differs between the databases. Another one fits in by
// implementing it and by migrations of its own.
type dialect interface {
	name() string
	dialector(db *sql.DB) gorm.Dialector
	// connectors returns how to connect for writing, and for reading where that
	// needs connections of its own, else nil.
	connectors() (writing, reading driver.Connector)
	// writers is the number of connections that write, given the size of the pool.
	writers(size int) int
	// ahead reports that a transaction which holds one fence keeps every flush waiting, so
	// that a batch had better be read before: see look.go.
	ahead() bool
	// probe is a query of one integer that needs a working database.
	probe() string
	// lock takes the fence of an entity and a partition by changing its row, or by making
	// it, and returns what the fence shows then. See reach.go.
	lock(tx *transaction, entity string, partition int) (fence, error)
	// reaching is the statement by which a flush notes its turn and its [Reach] in its fence, a format of the
	// entity as a quoted text, the partition, the turn's id, and the reach in the order of its fields.
	reaching() string
	// free ends a transaction that holds a fence though its process has said nothing for
	// [Config.IdleInTransaction], where the database does not do that by itself.
	free(ctx context.Context, db *sql.DB, entity string, partition int) error
	// isolation of a transaction whose first statement locks: READ COMMITTED, so
	// that it sees what was committed before it had the lock.
	isolation() *sql.TxOptions
	// parameters is the largest number of parameters of one statement.
	parameters() int
	// collate orders strings by their bytes, whatever the column's own collation.
	collate() string

	// columnType is the type of a field's column in a new table.
	columnType(f *schema.Field) string
	// idType is the type of the id's column in a new table.
	idType(id schema.ID) string
	// keyType is the type of a field's column in a new table whose key it is a part of, one of so many.
	keyType(f *schema.Field, parts int) string
	// comparesRows reports that (a, b) > (?, ?) is looked up in an index on both.
	comparesRows() bool
	// limits names what the database cannot hold of an entity; it is logged at start.
	limits(e *schema.Entity) []string
	// spell is a column's type as this server spells it.
	spell(typ string) string
	// oneKey reports that an upsert acts on whichever unique key a row hits: it is used where
	// there is no other than the id's alone.
	oneKey() bool
	// slot is the Go type that carries a field's values to the driver.
	slot(t schema.FieldType) slot
	// upsert creates or replaces the rows of changes, none of which is a deletion, by
	// one statement, and returns how many it has written. It names the columns of the fields at
	// those positions, nil: of all. An [unfitError] says that they cannot be sent.
	upsert(tx *transaction, t *table, changes []schema.Change, fields []int) (written int64, err error)
	// update gives the rows of changes the values of the fields at those positions, which
	// all of them have, and returns how many rows it has found. An [unfitError] says that
	// the changes cannot be sent.
	update(tx *transaction, t *table, changes []schema.Change, fields []int) (updated int64, err error)
	// draw takes numbers of the sequence of a key, at most n, from every other program; see Store.Draw.
	draw(ctx context.Context, tx *transaction, t *table, at *catalog.Table, key catalog.Column, n int) ([]int64, error)
	// shows is the expression that selects a column as its exact text, or for bytes as
	// its bytes, whatever its type is and whatever another program wrote into it.
	shows(column string, t schema.FieldType) string
	// equal is the condition that a column has a value, with one parameter.
	equal(column string, t schema.FieldType) string

	// classify tells whether err is the database's refusal of what the statement
	// carries, by the driver's codes alone; else the database is unavailable.
	classify(err error) (refusal schema.Refusal, refused bool)
	// away reports whether err is the database's own trouble, by the driver's codes
	// alone: see [fault.Away].
	away(err error) bool
	// readOnly reports whether err says that the connection cannot write. Another may.
	readOnly(err error) bool
	// conflict reports whether err says that the transaction was undone for another one's sake.
	conflict(err error) bool
	// suspect reports whether an error that classify takes for an unavailable
	// database, and that is not away, may yet be one record's own, such as a statement
	// that times out.
	suspect(err error) bool
	// ofTable reports whether err says that a statement does not fit its table, or may not
	// write it: a column, constraint or function has changed, or a permission is missing. It
	// names no value of any record.
	ofTable(err error) bool
	// blocked reports whether err says that another transaction was in the way: a lock was not
	// free in time, or conflict.
	blocked(err error) bool
	// hung reports whether err says that a statement waited too long, for a lock or by
	// itself, and was given up.
	hung(err error) bool
	// most is the bound on a statement that each session begins with; 0: there is none, or
	// none that within may shorten.
	most() time.Duration
	// within is the statement that bounds each one after it, in its transaction; "": timed does.
	within(d time.Duration) string
	// timed goes before a statement that has a bound of its own; "": within is what bounds it.
	timed(d time.Duration) string
	// nests reports whether a savepoint leaves the one of its name before it standing.
	nests() bool
	// apart reports that each statement goes in a text of its own.
	apart() bool
	// missing reports whether err says that a table or column does not exist.
	missing(err error) bool

	// versions is the statement that makes the table of the own migrations, if it is missing.
	versions() string
	// migrating runs fn while no other process migrates the database.
	migrating(ctx context.Context, db *sql.DB, fn func() error) error
	// patient lets the statements of a transaction take as long as they need. spoils says that
	// those after it have as long, too, unless the connection is thrown away.
	patient(db *gorm.DB) (spoils bool, err error)
	// unbounded does so for those of a connection, until bounded.
	unbounded(db *gorm.DB) error
	bounded(db *gorm.DB)
	// concurrently is the word, with a blank behind it, that keeps CREATE INDEX on a table
	// from blocking its writers; such a statement runs outside of transactions. "": there is none.
	concurrently(at *catalog.Table) string
	// mark is a text that changes with the catalog of an existing table. It costs little. What
	// it was in a transaction it stays until that ends.
	mark(ctx context.Context, q catalog.Querier, table string) (string, error)
	// ages is the time after which the catalog is read again though the mark is the same,
	// because the mark does not tell all; 0: it does.
	ages() time.Duration
	// catalogOf names it among the dialects of the catalog.
	catalogOf() catalog.Dialect
	// catalog reads what the database says about a table. One that does not exist has no
	// columns.
	catalog(ctx context.Context, q catalog.Querier, table string) (*catalog.Table, error)
	// uniqueColumn is the one column of the unique constraint that a refusal names,
	// or "" if it has several, an expression or a condition.
	uniqueColumn(db *gorm.DB, table string, r schema.Refusal) (string, error)
	// foreignKeys lists the table's foreign keys of one column; those that a
	// refusal can mean, if it names one.
	foreignKeys(db *gorm.DB, table string, r schema.Refusal) ([]foreignKey, error)
	watchDialect
}

// marker is a dialect that reads the mark and sets the savepoint in one trip.
type marker interface {
	markAnd(ctx context.Context, q catalog.Querier, table, savepoint string) (string, error)
}

// common is what most databases need nothing special for.
type common struct{}

func (common) free(context.Context, *sql.DB, string, int) error { return nil }
func (common) reaching() string                                 { return reaching }
func (common) limits(*schema.Entity) []string                   { return nil }
func (common) spell(typ string) string                          { return typ }
func (common) oneKey() bool                                     { return false }
func (common) timed(time.Duration) string                       { return "" }
func (common) nests() bool                                      { return true }
func (common) apart() bool                                      { return false }
func (common) ages() time.Duration                              { return 0 }

// reaching notes the turn and the reach of a flush where a function of the database's does not.
const reaching = `UPDATE afterwrite_fences SET turn_id = '%[3]s', read_before = %[4]d, read_last = %[5]d,
	read_version = %[6]d, read_newest = %[7]d WHERE entity = '%[1]s' AND "partition" = %[2]d`

// foreignKey is a column whose values must be there in a column of another table.
type foreignKey struct {
	Column    string
	RefTable  string // spelled as an identifier
	RefColumn string
	Self      bool // the other table is the same one
}
