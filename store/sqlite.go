package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-sqlite3"
	"github.com/pressly/goose/v3"
	gormsqlite "gorm.io/driver/sqlite"
	"gorm.io/gorm"
	"gorm.io/gorm/callbacks"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// sqlite is the dialect of SQLite in WAL mode: any number of readers beside one
// writer. A process lines its writers up on one connection; processes wait for one
// another in BEGIN IMMEDIATE.
type sqlite struct {
	common
	file string // "": the pool is the caller's, and so is the file
	busy int64  // milliseconds
}

func newSQLite(cfg Config) (*sqlite, error) {
	file, err := sqliteFile(cfg.URL)
	if err != nil {
		return nil, err
	}
	return &sqlite{file: file, busy: cfg.BusyTimeout.Milliseconds()}, nil
}

func (*sqlite) name() string              { return "sqlite" }
func (*sqlite) writers(int) int           { return 1 }
func (*sqlite) ahead() bool               { return true }
func (*sqlite) isolation() *sql.TxOptions { return nil }
func (*sqlite) parameters() int           { return 32766 }
func (*sqlite) goose() goose.Dialect      { return goose.DialectSQLite3 }
func (*sqlite) collate() string           { return " COLLATE BINARY" }
func (*sqlite) probe() string             { return "SELECT count(*) FROM sqlite_master WHERE name = ''" }

func (*sqlite) dialector(db *sql.DB) gorm.Dialector {
	return lazySQLite{gormsqlite.Dialector{Conn: db}}
}

// lazySQLite is gorm's dialector without the query by which it learns SQLite's
// version: opening a store must not need the file, which may be locked.
type lazySQLite struct{ gormsqlite.Dialector }

func (d lazySQLite) Initialize(db *gorm.DB) error {
	db.ConnPool = d.Conn
	callbacks.RegisterDefaultCallbacks(db, &callbacks.Config{
		CreateClauses: []string{"INSERT", "VALUES", "ON CONFLICT", "RETURNING"},
		UpdateClauses: []string{"UPDATE", "SET", "FROM", "WHERE", "RETURNING"},
		DeleteClauses: []string{"DELETE", "FROM", "WHERE", "RETURNING"},
	})
	maps.Copy(db.ClauseBuilders, d.ClauseBuilders())
	return nil
}

func (d *sqlite) connectors() (writing, reading driver.Connector) {
	options := url.Values{
		"_journal_mode": {"WAL"},
		"_synchronous":  {"FULL"}, // a commit is on the disk, not only in the page cache
		"_foreign_keys": {"on"},
		"_busy_timeout": {strconv.FormatInt(d.busy, 10)},
		"_txlock":       {"immediate"},
		"mode":          {"rw"}, // only a migration makes the file
	}
	name := "file:" + (&url.URL{Path: d.file}).EscapedPath()
	directory := filepath.Dir(d.file)
	writing = sqliteConnector{name + "?" + options.Encode(), directory}
	options.Del("_journal_mode") // a property of the file: the writer's connection sets it
	options.Set("_query_only", "true")
	return writing, sqliteConnector{name + "?" + options.Encode(), directory}
}

// sqliteConnector opens connections of a file in a directory.
type sqliteConnector struct {
	name      string // the data source name of the driver
	directory string
}

func (c sqliteConnector) Connect(context.Context) (driver.Conn, error) {
	return c.Driver().Open(c.name)
}

// Driver sets up a connection.
func (c sqliteConnector) Driver() driver.Driver {
	return &sqlite3.SQLiteDriver{ConnectHook: func(conn *sqlite3.SQLiteConn) error {
		_, err := conn.Exec(sqliteSettings+strconv.Itoa(logPages(freeBytes(c.directory))), nil)
		return err
	}}
}

// logPages is the length of the write-ahead log, in pages, at which it is copied into the
// file, where the disk has so many bytes free: a log that has filled the disk cannot be
// copied any more, and nothing is written again until somebody makes room.
func logPages(free uint64, known bool) int {
	if known && free < scarce {
		return 1000 // SQLite's own, about 4 MB
	}
	return 16_000 // about 64 MB
}

// scarce is the space on a disk, in bytes, below which SQLite's log is kept short.
const scarce = 1 << 30

// sqliteSettings are of the connection alone: the file is as it was for everybody else.
//
//   - What undoes a statement or a savepoint is kept in memory: by default SQLite writes it
//     to a temporary file, as much as the statement changes. What undoes a transaction
//     after a crash is in the database's own files as before.
//   - The write-ahead log is copied into the file after as many pages as logPages says,
//     mostly more than SQLite's own 1,000. Ids that are far apart change the same pages again
//     and again, and a page that changed often is copied once.
//   - 16 MB of pages are kept, for 2 MB: a backlog of a million rows looks its index up all
//     over.
const sqliteSettings = "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000; PRAGMA wal_autocheckpoint = "

// columnType keeps exact what SQLite would otherwise convert by affinity: decimals
// and JSON are text.
func (*sqlite) columnType(f *schema.Field) string {
	switch f.Type {
	case schema.String:
		if f.MaxLength > 0 {
			return fmt.Sprintf("varchar(%d)", f.MaxLength)
		}
	case schema.Int:
		return "bigint"
	case schema.Float:
		return "double precision"
	case schema.Bool:
		return "boolean"
	case schema.Time:
		return "datetime"
	case schema.Bytes:
		return "blob"
	}
	return "text"
}

func (*sqlite) idType(id schema.ID) string {
	if id.Type == schema.Int {
		return "integer" // the row's own number: no second index
	}
	return "text"
}

func (*sqlite) slot(t schema.FieldType) slot {
	switch t {
	case schema.Int:
		return intSlot
	case schema.Float:
		return floatSlot // SQLite's own parser may miss the last bit
	case schema.Bool:
		return boolSlot
	case schema.Time:
		return timeSlot
	case schema.Bytes:
		return bytesSlot
	}
	return textSlot
}

func (*sqlite) upsert(tx *transaction, t *table, changes []schema.Change) (int64, error) {
	return upsertRows(tx, t, changes)
}

// update joins the changes as a list of values, which SQLite keeps in memory, with the
// table by its key.
func (*sqlite) update(tx *transaction, t *table, changes []schema.Change, fields []int) (int64, error) {
	var statement strings.Builder
	fmt.Fprintf(&statement, "UPDATE %s SET ", quoteTable(t.name))
	for n, i := range fields {
		fmt.Fprintf(&statement, "%s = r.column%d, ", quote(t.columns[i+1].name), n+2)
	}
	text := strings.TrimSuffix(statement.String(), ", ")
	row := ", (?" + strings.Repeat(", ?", len(fields)) + ")"
	text += " FROM (VALUES " + strings.Repeat(row, len(changes))[2:] + ") AS r WHERE " + t.at(0) + " = r.column1"
	parameters := make([]any, 0, len(changes)*(1+len(fields)))
	for _, c := range changes {
		id, err := t.idParameter(c.ID)
		if err != nil {
			return 0, &unfitError{fmt.Errorf("id %q: %w", c.ID, err)}
		}
		parameters = append(parameters, id)
		for _, i := range fields {
			v, err := t.value(c, i)
			if err != nil {
				return 0, err
			}
			parameters = append(parameters, v)
		}
	}
	result, err := tx.tx.ExecContext(tx.db.Statement.Context, text, parameters...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// shows is an expression, which has no declared type by which the driver would parse it: it
// makes year 1 of a text in a column of dates that is none.
func (*sqlite) shows(column string, t schema.FieldType) string {
	if t == schema.Time { // a number is told from a text of digits
		return "CASE typeof(" + column + ") WHEN 'integer' THEN '" + epochMark + "' || " + column + " ELSE " + column + " END"
	}
	return "+" + column
}

func (*sqlite) equal(column string, _ schema.FieldType) string { return column + " = ?" }

// migrations of one process line up here; those of others in the file's lock.
var sqliteMigrations sync.Mutex

// migrating makes the file. It relies on migrations that do nothing when they are done
// already: SQLite has no lock that outlives a transaction.
func (d *sqlite) migrating(_ context.Context, _ *sql.DB, fn func() error) error {
	sqliteMigrations.Lock()
	defer sqliteMigrations.Unlock()
	if d.file == "" {
		return fn()
	}
	if err := os.MkdirAll(filepath.Dir(d.file), 0o700); err != nil {
		return fmt.Errorf("database url: %w", err)
	}
	if d.absent() {
		file, err := os.OpenFile(d.file, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return fmt.Errorf("database url: %w", err)
		}
		_ = file.Close() // nothing was written to it
	}
	return fn()
}

// absent reports whether there is no file yet.
func (d *sqlite) absent() bool {
	if d.file == "" {
		return false
	}
	_, err := os.Stat(d.file)
	return errors.Is(err, fs.ErrNotExist)
}

func (*sqlite) patient(*gorm.DB) error             { return nil }
func (*sqlite) unbounded(*gorm.DB) error           { return nil }
func (*sqlite) bounded(*gorm.DB)                   {}
func (*sqlite) concurrently(*catalog.Table) string { return "" }

func (*sqlite) mark(ctx context.Context, q catalog.Querier, _ string) (string, error) {
	return catalog.MarkSQLite(ctx, q)
}

func (*sqlite) catalogOf() catalog.Dialect { return catalog.SQLite }

func (d *sqlite) catalog(ctx context.Context, q catalog.Querier, table string) (*catalog.Table, error) {
	if d.absent() {
		return &catalog.Table{Name: table}, nil
	}
	return catalog.ReadSQLite(ctx, q, table)
}

// uniqueColumn goes by the columns that SQLite names: it does not tell the index.
func (*sqlite) uniqueColumn(db *gorm.DB, table string, r schema.Refusal) (string, error) {
	if r.Column == "" {
		return "", nil
	}
	var partial int
	err := db.Raw(`SELECT count(*) FROM pragma_index_list(?) l, pragma_index_info(l.name) i
		WHERE l."unique" AND l.partial AND i.name = ?`, table, r.Column).Scan(&partial).Error
	if err != nil || partial > 0 {
		return "", err
	}
	return r.Column, nil
}

func (*sqlite) foreignKeys(db *gorm.DB, table string, _ schema.Refusal) ([]foreignKey, error) {
	var keys []foreignKey
	err := db.Raw(`SELECT min("from") AS "column", '"' || min("table") || '"' AS ref_table,
			coalesce(min("to"), (SELECT name FROM pragma_table_info(f."table") WHERE pk = 1)) AS ref_column,
			lower("table") = lower(?) AS self
		FROM pragma_foreign_key_list(?) f GROUP BY id HAVING count(*) = 1`, table, table).Scan(&keys).Error
	return keys, err
}

func (d *sqlite) missing(err error) bool {
	var e sqlite3.Error
	if errors.As(err, &e) && e.Code == sqlite3.ErrCantOpen && d.absent() {
		return true
	}
	// SQLite has one code for every error in a statement's text.
	return errors.As(err, &e) && e.Code == sqlite3.ErrError &&
		(strings.HasPrefix(e.Error(), "no such table") || strings.Contains(e.Error(), "has no column named") || strings.HasPrefix(e.Error(), "no such column"))
}

func (*sqlite) away(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && slices.Contains([]sqlite3.ErrNo{
		sqlite3.ErrFull, sqlite3.ErrReadonly, sqlite3.ErrIoErr, sqlite3.ErrCantOpen,
		sqlite3.ErrNomem, sqlite3.ErrCorrupt, sqlite3.ErrNotADB,
	}, e.Code)
}

func (*sqlite) readOnly(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrReadonly
}

// conflict: there is one writer.
func (*sqlite) conflict(error) bool { return false }

func (*sqlite) suspect(err error) bool {
	var e sqlite3.Error
	return errors.As(err, &e) && e.Code == sqlite3.ErrError
}

// hung: a statement of SQLite waits for nobody, and only its context ends it.
func (*sqlite) hung(error) bool             { return false }
func (*sqlite) most() time.Duration         { return 0 }
func (*sqlite) within(time.Duration) string { return "" }

func (*sqlite) classify(err error) (schema.Refusal, bool) {
	var e sqlite3.Error
	if !errors.As(err, &e) {
		return schema.Refusal{}, false
	}
	kind, ok := sqliteKind(e)
	if !ok {
		return schema.Refusal{}, false
	}
	constraint, column := sqliteConstraint(kind, e.Error())
	return refusal(kind, constraint, column, e.Error()), true
}

// sqliteKind goes by the result codes alone: https://www.sqlite.org/rescode.html
func sqliteKind(e sqlite3.Error) (schema.Kind, bool) {
	switch e.ExtendedCode {
	case sqlite3.ErrConstraintUnique, sqlite3.ErrConstraintPrimaryKey, sqlite3.ErrConstraintRowID:
		return schema.KindUnique, true
	case sqlite3.ErrConstraintForeignKey:
		return schema.KindForeignKey, true
	case sqlite3.ErrConstraintNotNull:
		return schema.KindNotNull, true
	case sqlite3.ErrConstraintCheck:
		return schema.KindCheck, true
	case sqliteConstraintDatatype:
		return schema.KindType, true
	}
	switch e.Code {
	case sqlite3.ErrConstraint: // a trigger's RAISE, a virtual table, a function
		return schema.KindPoison, true
	case sqlite3.ErrTooBig:
		return schema.KindRange, true
	case sqlite3.ErrMismatch:
		return schema.KindType, true
	}
	return "", false
}

// sqliteConstraintDatatype is SQLITE_CONSTRAINT_DATATYPE: a value that a STRICT
// table does not take.
const sqliteConstraintDatatype = sqlite3.ErrNoExtended(19 | 12<<8)

// sqliteConstraint finds the names that SQLite tells in its message only, such as
// "UNIQUE constraint failed: users.email". They inform; the kind never rests on them.
func sqliteConstraint(kind schema.Kind, message string) (constraint, column string) {
	_, names, ok := strings.Cut(message, "constraint failed: ")
	if !ok {
		return "", ""
	}
	if kind == schema.KindCheck {
		return names, ""
	}
	if index, ok := strings.CutPrefix(names, "index '"); ok {
		return strings.TrimSuffix(index, "'"), ""
	}
	table, column, ok := strings.Cut(names, ".")
	if !ok || strings.Contains(column, ", ") {
		return names, ""
	}
	if kind == schema.KindUnique {
		constraint = "uq_" + table + "_" + column
	}
	return constraint, column
}
