package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/internal/kit"
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
	if kit.SQLite == nil {
		return nil, errors.New("database url: this program was built without SQLite: import github.com/afterwrite/afterwrite/store/sqlite")
	}
	file, err := sqliteFile(cfg.URL)
	if err != nil {
		return nil, err
	}
	return &sqlite{file: file, busy: cfg.BusyTimeout.Milliseconds()}, nil
}

// lock makes the fence's row or changes it. A row that two make at once is made by one; the other waits for it and
// changes it.
func (*sqlite) lock(tx *transaction, entity string, partition int) (f fence, err error) {
	pair := tx.store.cfg.Pair
	err = tx.db.Raw(`INSERT INTO afterwrite_fences AS f (entity, partition, flushes, locked_at, turn, turn_of)
		VALUES (?, ?, 1, CURRENT_TIMESTAMP, 1, ?)
		ON CONFLICT (entity, partition) DO UPDATE SET flushes = f.flushes + 1, locked_at = CURRENT_TIMESTAMP,
			turn = CASE f.turn_of WHEN excluded.turn_of THEN f.turn + 1 ELSE 1 END, turn_of = excluded.turn_of
		RETURNING flushes, (SELECT deployment || ' ' || life FROM afterwrite_pairings WHERE name = ?), turn, turn_id,
			read_before, read_last, read_version, read_newest`,
		entity, partition, pair, pair).Row().Scan(f.columns()...)
	return f, err
}

func (*sqlite) name() string              { return "sqlite" }
func (*sqlite) writers(int) int           { return 1 }
func (*sqlite) ahead() bool               { return true }
func (*sqlite) isolation() *sql.TxOptions { return nil }
func (*sqlite) parameters() int           { return 32766 }
func (*sqlite) versions() string {
	return "CREATE TABLE IF NOT EXISTS " + versionTable + ` (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	version_id INTEGER NOT NULL,
	is_applied INTEGER NOT NULL,
	tstamp     TIMESTAMP DEFAULT (datetime('now'))
)`
}

func (*sqlite) collate() string { return " COLLATE BINARY" }
func (*sqlite) probe() string   { return "SELECT count(*) FROM sqlite_master WHERE name = ''" }

func (*sqlite) dialector(db *sql.DB) gorm.Dialector {
	return kit.SQLite.Dialector(db)
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
	writing = kit.SQLite.Connector(name+"?"+options.Encode(), d.file)
	options.Del("_journal_mode") // a property of the file: the writer's connection sets it
	options.Set("_query_only", "true")
	return writing, kit.SQLite.Connector(name+"?"+options.Encode(), d.file)
}

func (d *sqlite) renew() bool { return kit.SQLite.Renew(d.file) }

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
	if id.Made == schema.MadeSequence {
		return "integer PRIMARY KEY AUTOINCREMENT"
	}
	if id.Type == schema.Int {
		return "integer" // the row's own number: no second index
	}
	return "text"
}

func (d *sqlite) keyType(f *schema.Field, _ int) string { return d.columnType(f) }
func (*sqlite) comparesRows() bool                      { return true }

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

func (*sqlite) upsert(tx *transaction, t *table, changes []schema.Change, fields []int) (int64, error) {
	return upsertRows(tx, t, changes, fields, "")
}

// update joins the changes as a list of values, which SQLite keeps in memory, with the
// table by its key.
func (*sqlite) update(tx *transaction, t *table, changes []schema.Change, fields []int) (int64, error) {
	var statement strings.Builder
	fmt.Fprintf(&statement, "UPDATE %s%s SET ", t.orAbort(), quoteTable(t.name))
	for n, i := range fields {
		fmt.Fprintf(&statement, "%s = r.column%d, ", quote(t.column(i).name), t.keys+n+1)
	}
	text := strings.TrimSuffix(statement.String(), ", ")
	row := ", " + places(t.keys+len(fields))
	text += " FROM (VALUES " + strings.Repeat(row, len(changes))[2:] + ") AS r WHERE "
	for n, at := range t.keyAt() {
		if n > 0 {
			text += " AND "
		}
		text += fmt.Sprintf("%s = r.column%d", at, n+1)
	}
	parameters := make([]any, 0, len(changes)*(t.keys+len(fields)))
	for _, c := range changes {
		key, err := t.keyParameters(c.ID)
		if err != nil {
			return 0, &unfitError{fmt.Errorf("id %q: %w", c.ID, err)}
		}
		parameters = append(parameters, key...)
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
		return "CASE typeof(" + column + ") WHEN 'integer' THEN '" + epochMark + "' || " + column + " ELSE " + column +
			" END"
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

func (*sqlite) patient(*gorm.DB) (bool, error)     { return false, nil }
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
	e := sqliteCode(err)
	if e.Code == sqliteCantOpen && d.absent() {
		return true
	}
	// SQLite has one code for every error in a statement's text.
	return e.Code == sqliteError &&
		(strings.HasPrefix(e.Message, "no such table") || strings.Contains(e.Message, "has no column named") ||
			strings.HasPrefix(e.Message, "no such column"))
}

func (*sqlite) away(err error) bool {
	return slices.Contains([]int{
		sqliteFull, sqliteReadonly, sqliteIOErr, sqliteCantOpen, sqliteNoMem, sqliteCorrupt, sqliteNotADB,
	}, sqliteCode(err).Code)
}

func (*sqlite) readOnly(err error) bool {
	return sqliteCode(err).Code == sqliteReadonly
}

// conflict: there is one writer.
func (*sqlite) conflict(error) bool { return false }
func (*sqlite) blocked(error) bool  { return false }

func (*sqlite) suspect(err error) bool {
	return sqliteCode(err).Code == sqliteError
}

// ofTable: SQLite has one code for every error in the text of a statement or a trigger.
func (*sqlite) ofTable(err error) bool {
	return sqliteCode(err).Code == sqliteError
}

// hung: a statement of SQLite waits for no other, and only its context ends it.
func (*sqlite) hung(error) bool             { return false }
func (*sqlite) most() time.Duration         { return 0 }
func (*sqlite) within(time.Duration) string { return "" }

func (*sqlite) classify(err error) (schema.Refusal, bool) {
	e := sqliteCode(err)
	kind, ok := sqliteKind(e)
	if !ok {
		return schema.Refusal{}, false
	}
	constraint, column := sqliteConstraint(kind, e.Message)
	return fault.Refusal(kind, constraint, column, e.Message), true
}

// sqliteKind goes by the result codes alone: https://www.sqlite.org/rescode.html
func sqliteKind(e kit.SQLiteCode) (schema.Kind, bool) {
	switch e.Extended {
	case sqliteUnique, sqlitePrimaryKey, sqliteRowID:
		return schema.KindUnique, true
	case sqliteForeignKey:
		return schema.KindForeignKey, true
	case sqliteNotNull:
		return schema.KindNotNull, true
	case sqliteCheck:
		return schema.KindCheck, true
	case sqliteDatatype:
		return schema.KindType, true
	}
	switch e.Code {
	case sqliteConstrained: // a trigger's RAISE, a virtual table, a function
		return schema.KindPoison, true
	case sqliteTooBig:
		return schema.KindRange, true
	case sqliteMismatch:
		return schema.KindType, true
	}
	return "", false
}

// Result codes of SQLite: https://www.sqlite.org/rescode.html
const (
	sqliteError       = 1
	sqliteNoMem       = 7
	sqliteReadonly    = 8
	sqliteIOErr       = 10
	sqliteCorrupt     = 11
	sqliteFull        = 13
	sqliteCantOpen    = 14
	sqliteTooBig      = 18
	sqliteConstrained = 19
	sqliteMismatch    = 20
	sqliteNotADB      = 26

	sqliteCheck      = sqliteConstrained | 1<<8
	sqliteForeignKey = sqliteConstrained | 3<<8
	sqliteNotNull    = sqliteConstrained | 5<<8
	sqlitePrimaryKey = sqliteConstrained | 6<<8
	sqliteUnique     = sqliteConstrained | 8<<8
	sqliteRowID      = sqliteConstrained | 10<<8
	sqliteDatatype   = sqliteConstrained | 12<<8 // a value that a STRICT table does not take
)

// sqliteCode is the code of an error; the zero code of any that is not SQLite's.
func sqliteCode(err error) kit.SQLiteCode {
	code, _ := kit.SQLite.Code(err)
	return code
}

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
