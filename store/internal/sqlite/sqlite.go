// Package sqlite is the dialect of SQLite. Its driver, written in C, is store/sqlite.
package sqlite

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
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/kit"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// sqlite is the dialect of SQLite in WAL mode: any number of readers beside one
// writer. A process lines its writers up on one connection; processes wait for one
// another in BEGIN IMMEDIATE.
type sqlite struct {
	database.Common
	file string // "": the pool is the caller's, and so is the file
	busy int64  // milliseconds
}

func New(cfg database.Settings) (*sqlite, error) {
	if kit.SQLite == nil {
		return nil, errors.New("database url: this program was built without SQLite: import github.com/afterwrite/afterwrite/store/sqlite")
	}
	file, err := File(cfg.URL)
	if err != nil {
		return nil, err
	}
	return &sqlite{file: file, busy: cfg.BusyTimeout.Milliseconds()}, nil
}

// Over is the dialect of a pool of the caller's.
func Over() *sqlite { return &sqlite{} }

// Lock makes the fence's row or changes it. A row that two make at once is made by one; the other waits for it and
// changes it.
func (*sqlite) Lock(tx *database.Transaction, entity string, partition int) (f database.Fence, err error) {
	pair := tx.Database.Settings.Pair
	err = tx.DB.Raw(`INSERT INTO afterwrite_fences AS f (entity, partition, flushes, locked_at, turn, turn_of)
		VALUES (?, ?, 1, CURRENT_TIMESTAMP, 1, ?)
		ON CONFLICT (entity, partition) DO UPDATE SET flushes = f.flushes + 1, locked_at = CURRENT_TIMESTAMP,
			turn = CASE f.turn_of WHEN excluded.turn_of THEN f.turn + 1 ELSE 1 END, turn_of = excluded.turn_of
		RETURNING flushes, (SELECT deployment || ' ' || life FROM afterwrite_pairings WHERE name = ?), turn, turn_id,
			read_before, read_last, read_version, read_newest`,
		entity, partition, pair, pair).Row().Scan(f.Columns()...)
	return f, err
}

func (*sqlite) Name() string              { return "sqlite" }
func (*sqlite) Writers(int) int           { return 1 }
func (*sqlite) Ahead() bool               { return true }
func (*sqlite) Isolation() *sql.TxOptions { return nil }
func (*sqlite) Parameters() int           { return 32766 }
func (*sqlite) Versions() string {
	return "CREATE TABLE IF NOT EXISTS " + database.VersionTable + ` (
	id         INTEGER PRIMARY KEY AUTOINCREMENT,
	version_id INTEGER NOT NULL,
	is_applied INTEGER NOT NULL,
	tstamp     TIMESTAMP DEFAULT (datetime('now'))
)`
}

func (*sqlite) Probe() string { return "SELECT count(*) FROM sqlite_master WHERE name = ''" }

func (*sqlite) Dialector(db *sql.DB) gorm.Dialector {
	return kit.SQLite.Dialector(db)
}

func (d *sqlite) Connectors() (writing, reading driver.Connector) {
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

func (d *sqlite) Renew() bool { return kit.SQLite.Renew(d.file) }

// ColumnType keeps exact what SQLite would otherwise convert by affinity: decimals
// and JSON are text.
func (*sqlite) ColumnType(f *schema.Field) string {
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

func (*sqlite) IDType(id schema.ID) string {
	if id.Made == schema.MadeSequence {
		return "integer PRIMARY KEY AUTOINCREMENT"
	}
	if id.Type == schema.Int {
		return "integer" // the row's own number: no second index
	}
	return "text"
}

func (d *sqlite) KeyType(f *schema.Field, _ int) string { return d.ColumnType(f) }
func (*sqlite) ComparesRows() bool                      { return true }

func (*sqlite) Slot(t schema.FieldType) mapping.Slot {
	switch t {
	case schema.Int:
		return mapping.IntSlot
	case schema.Float:
		return mapping.FloatSlot // SQLite's own parser may miss the last bit
	case schema.Bool:
		return mapping.BoolSlot
	case schema.Time:
		return mapping.TimeSlot
	case schema.Bytes:
		return mapping.BytesSlot
	}
	return mapping.TextSlot
}

func (*sqlite) Upsert(tx *database.Transaction, t database.Target, changes []schema.Change, fields []int) (int64,
	error) {
	return database.UpsertRows(tx, t, changes, fields, "")
}

// Update joins the changes as a list of values, which SQLite keeps in memory, with the
// table by its key.
func (*sqlite) Update(tx *database.Transaction, t database.Target, changes []schema.Change, fields []int) (int64,
	error) {
	var statement strings.Builder
	fmt.Fprintf(&statement, "UPDATE %s%s SET ", t.OrAbort(), mapping.QuoteTable(t.Name))
	for n, i := range fields {
		fmt.Fprintf(&statement, "%s = r.column%d, ", mapping.Quote(t.Column(i).Name), t.Keys+n+1)
	}
	text := strings.TrimSuffix(statement.String(), ", ")
	row := ", " + mapping.Places(t.Keys+len(fields))
	text += " FROM (VALUES " + strings.Repeat(row, len(changes))[2:] + ") AS r WHERE "
	for n, at := range t.KeyAt() {
		if n > 0 {
			text += " AND "
		}
		text += fmt.Sprintf("%s = r.column%d", at, n+1)
	}
	parameters := make([]any, 0, len(changes)*(t.Keys+len(fields)))
	for _, c := range changes {
		key, err := t.KeyParameters(c.ID)
		if err != nil {
			return 0, database.Unfit(fmt.Errorf("id %q: %w", c.ID, err))
		}
		parameters = append(parameters, key...)
		for _, i := range fields {
			v, err := database.ValueOf(t.Table, c, i)
			if err != nil {
				return 0, err
			}
			parameters = append(parameters, v)
		}
	}
	result, err := tx.Tx.ExecContext(tx.DB.Statement.Context, text, parameters...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// Shows is an expression, which has no declared type by which the driver would parse it: it
// makes year 1 of a text in a column of dates that is none.
func (*sqlite) Shows(column string, t schema.FieldType) string {
	if t == schema.Time { // a number is told from a text of digits
		return "CASE typeof(" + column + ") WHEN 'integer' THEN '" + mapping.EpochMark + "' || " + column + " ELSE " + column +
			" END"
	}
	return "+" + column
}

// Equal finds texts by an index, then compares bytes: a column's collation may fold cases.
func (*sqlite) Equal(column string, t schema.FieldType) string {
	switch t {
	case schema.String, schema.Text, schema.JSON:
		return column + " = ? AND " + column + " COLLATE BINARY = ?"
	}
	return column + " = ?"
}

// migrations of one process line up here; those of others in the file's lock.
var sqliteMigrations sync.Mutex

// Migrating makes the file. It relies on migrations that do nothing when they are done
// already: SQLite has no lock that outlives a transaction.
func (d *sqlite) Migrating(_ context.Context, _ *sql.DB, fn func() error) error {
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

func (*sqlite) Patient(*gorm.DB) (bool, error)     { return false, nil }
func (*sqlite) Unbounded(*gorm.DB) error           { return nil }
func (*sqlite) Bounded(*gorm.DB)                   {}
func (*sqlite) Concurrently(*catalog.Table) string { return "" }

func (*sqlite) Mark(ctx context.Context, q catalog.Querier, _ string, _ bool) (string, error) {
	return catalog.MarkSQLite(ctx, q)
}

func (*sqlite) CatalogOf() catalog.Dialect { return catalog.SQLite }

func (d *sqlite) Catalog(ctx context.Context, q catalog.Querier, table string) (*catalog.Table, error) {
	if d.absent() {
		return &catalog.Table{Name: table}, nil
	}
	return catalog.ReadSQLite(ctx, q, table)
}

func (*sqlite) TableIDs(_ context.Context, _ catalog.Querier, tables []string) ([]string, error) {
	ids := make([]string, len(tables))
	for i, table := range tables {
		ids[i] = strings.ToLower(table)
	}
	return ids, nil
}

func (*sqlite) ForeignKeys(db *gorm.DB, table string, _ schema.Refusal) ([]database.ForeignKey, error) {
	var keys []database.ForeignKey
	err := db.Raw(`SELECT min("from") AS "column", '"' || min("table") || '"' AS ref_table,
			coalesce(min("to"), (SELECT name FROM pragma_table_info(f."table") WHERE pk = 1)) AS ref_column,
			lower("table") = lower(?) AS self
		FROM pragma_foreign_key_list(?) f GROUP BY id HAVING count(*) = 1`, table, table).Scan(&keys).Error
	return keys, err
}

func (d *sqlite) Missing(err error) bool {
	e := sqliteCode(err)
	if e.Code == sqliteCantOpen && d.absent() {
		return true
	}
	// SQLite has one code for every error in a statement's text.
	return e.Code == sqliteError &&
		(strings.HasPrefix(e.Message, "no such table") || strings.Contains(e.Message, "has no column named") ||
			strings.HasPrefix(e.Message, "no such column"))
}

func (*sqlite) Denied(error) bool { return false }

func (*sqlite) Away(err error) bool {
	return slices.Contains([]int{
		sqliteFull, sqliteReadonly, sqliteIOErr, sqliteCantOpen, sqliteNoMem, sqliteCorrupt, sqliteNotADB,
	}, sqliteCode(err).Code)
}

func (*sqlite) ReadOnly(err error) bool {
	return sqliteCode(err).Code == sqliteReadonly
}

// Conflict: there is one writer.
func (*sqlite) Conflict(error) bool { return false }
func (*sqlite) Blocked(error) bool  { return false }

func (*sqlite) Suspect(err error) bool {
	return sqliteCode(err).Code == sqliteError
}

// OfTable: SQLite has one code for every error in the text of a statement or a trigger.
func (*sqlite) OfTable(err error) bool {
	return sqliteCode(err).Code == sqliteError
}

// Hung: a statement of SQLite waits for no other, and only its context ends it.
func (*sqlite) Hung(error) bool             { return false }
func (*sqlite) Most() time.Duration         { return 0 }
func (*sqlite) Within(time.Duration) string { return "" }

func (*sqlite) Classify(err error) (schema.Refusal, bool) {
	e := sqliteCode(err)
	kind, ok := sqliteKind(e)
	if !ok {
		return schema.Refusal{}, false
	}
	constraint, column := sqliteConstraint(kind, e.Message)
	return fault.Refusal(kind, constraint, column, e.Message), true
}

// sqliteKind goes by the result codes, but for sqliteData: https://www.sqlite.org/rescode.html
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
	if e.Code == sqliteError && slices.Contains(sqliteData, e.Message) {
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

// sqliteData are the messages of SQLite's own functions about a value that they cannot take, as where a generated
// column, a CHECK or the index on an expression is of one. Their code is that of a statement that is wrong.
var sqliteData = []string{"malformed JSON", "JSON cannot hold BLOB values", "integer overflow",
	"LIKE or GLOB pattern too complex", "json_object() labels must be TEXT"}

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

// File is the file that a URL names. Options would come from elsewhere, and what is
// in memory is another database for each connection.
func File(address string) (string, error) {
	file := strings.TrimPrefix(address, "sqlite://")
	if file == "" || strings.ContainsAny(file, "?#\x00") || strings.HasPrefix(file, ":memory:") {
		return "", fmt.Errorf("database url: %q does not name a file", address)
	}
	return file, nil
}

// Draw raises the number that the table notes as its last one. SQLite goes on from that or from the largest row,
// whichever is the greater.
func (*sqlite) Draw(ctx context.Context, tx *database.Transaction, t *mapping.Table, at *catalog.Table,
	key catalog.Column, n int) (
	[]int64, error) {
	const name = "(SELECT name FROM sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE)"
	_, err := tx.Tx.ExecContext(ctx, "INSERT INTO sqlite_sequence (name, seq) SELECT name, 0 FROM "+name+
		" WHERE name NOT IN (SELECT name FROM sqlite_sequence)", at.Name)
	if err != nil {
		return nil, err
	}
	last, err := database.Numbers(ctx, tx, "UPDATE sqlite_sequence SET seq = max(seq, (SELECT coalesce(max("+mapping.Quote(key.Name)+"), 0) FROM "+
		mapping.QuoteTable(t.Name)+")) + ? WHERE name = "+name+" RETURNING seq", n, at.Name)
	if err != nil || len(last) == 0 {
		return nil, err
	}
	numbers := make([]int64, n)
	for i := range numbers {
		numbers[i] = last[0] - int64(n) + 1 + int64(i)
	}
	return numbers, nil
}
