// Package postgres is the dialect of PostgreSQL.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
)

// postgres is the dialect of PostgreSQL. Values travel as text that the server
// parses, so that a value which does not fit is refused by the server, with a code,
// and never by the driver.
type postgres struct {
	database.Common
	*sessions                   // nil over a pool of the caller's
	told      map[string]string // what each session is told at its start
	limit     time.Duration     // of one statement, as each session has it; 0: not known
	keep      bool              // the URL does not say how statements are sent
}

// Parse parses a URL. An @ in a password that is not escaped makes the rest of the password a part of the host, which
// pgx accepts and which every later error and log would show, so such a URL is rejected. So is one with a # that is not
// escaped, behind which pgx drops everything, the host of u:12#x@h as well.
func Parse(address string) (*pgx.ConnConfig, error) {
	if strings.Contains(address, "#") {
		return nil, errors.New("database url: what follows a # is not read: write a # in a user or password as %23")
	}
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("database url: %w", err) // pgx hides the password
	}
	hosts := config.Host
	for _, fallback := range config.Fallbacks {
		hosts += fallback.Host
	}
	if strings.Contains(hosts, "@") && !strings.HasPrefix(config.Host, "/") {
		return nil, errors.New("database url: the host has an @: write an @ in a user or password as %40")
	}
	return config, nil
}

func New(cfg database.Settings) (*postgres, error) {
	source, err := database.CredentialsOf(cfg.URL)
	if err != nil {
		return nil, err
	}
	config, err := Parse(source.URL)
	if err != nil {
		return nil, err
	}
	// One round trip a statement and nothing kept on the server: upserts have as
	// many texts as batches have sizes. The URL has the last word.
	keep := !strings.Contains(source.URL, "default_query_exec_mode")
	if keep {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	config.DescriptionCacheCapacity, config.StatementCacheCapacity = 128, 64
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = cfg.LockTimeout
	}
	told := toldOf(cfg)
	for name, value := range told {
		if given, ok := config.RuntimeParams[name]; ok {
			told[name] = given // the URL has the last word
		} else {
			config.RuntimeParams[name] = value
		}
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "afterwrite"
	}
	// What a database or a role may set otherwise, as one in LATIN1 does; PgBouncer knows both.
	config.RuntimeParams["client_encoding"], config.RuntimeParams["standard_conforming_strings"] = "UTF8", "on"
	cfg.ShowTLS(config.TLSConfig)
	for _, f := range config.Fallbacks {
		cfg.ShowTLS(f.TLSConfig)
	}
	return &postgres{sessions: &sessions{config: config, source: source}, told: told,
		limit: sessionLimit(told["statement_timeout"]), keep: keep}, nil
}

// Over is the dialect of a pool of the caller's.
func Over(cfg database.Settings) (*postgres, error) {
	if name := fmt.Sprintf("%T", cfg.SQL.Driver()); name == "*pq.Driver" {
		return nil, errors.New("database: a pool of the driver lib/pq cannot be used, its errors are others: open it with pgx")
	}
	return &postgres{limit: cfg.StatementTimeout}, nil
}

// toldOf is what each session is told at its start.
func toldOf(cfg database.Settings) map[string]string {
	return map[string]string{
		"lock_timeout":                        database.Milliseconds(cfg.LockTimeout),
		"statement_timeout":                   database.Milliseconds(cfg.StatementTimeout),
		"idle_in_transaction_session_timeout": database.Milliseconds(cfg.IdleInTransaction),
		"extra_float_digits":                  "3",   // exact floats on servers before 12
		"TimeZone":                            "UTC", // what a column without a zone means
		"quote_all_identifiers":               "off", // how the catalog spells types
	}
}

// Local sets for one transaction what sessions of our own are told, where they cannot be: "" is nothing.
func (d *postgres) Local(cfg database.Settings) string {
	told := d.told
	switch {
	case cfg.SQL != nil:
		told = toldOf(cfg)
	case !d.pooled.Load():
		return ""
	}
	sets := make([]string, 0, len(told))
	for _, name := range slices.Sorted(maps.Keys(told)) {
		sets = append(sets, "set_config('"+name+"', "+watching.SQLText(told[name])+", true)")
	}
	return "SELECT " + strings.Join(sets, ", ")
}

// sessionLimit is a statement_timeout as the URL may spell it. One without a limit, or
// that cannot be read here, is left alone.
func sessionLimit(text string) time.Duration {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(max(0, min(n, math.MaxInt32))) * time.Millisecond
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Millisecond {
		return 0
	}
	return d
}

func (d *postgres) Lock(tx *database.Transaction, entity string, partition int) (f database.Fence, err error) {
	err = tx.Tx.QueryRowContext(tx.DB.Statement.Context, "SELECT * FROM afterwrite_lock($1, $2, $3)",
		d.kept(entity, partition, tx.Database.Settings.Pair)...).Scan(f.Columns()...)
	return f, d.forgotten(err)
}

// reaching begins the statement of Reaching.
const reaching = "SELECT afterwrite_reach("

func (*postgres) Reaching() string {
	return reaching + "%[1]s, %[2]d, '%[3]s', %[4]d, %[5]d, %[6]d, %[7]d)"
}

func (*postgres) Name() string         { return "postgres" }
func (*postgres) Writers(size int) int { return max(3, size) } // a migration needs three
func (*postgres) Ahead() bool          { return false }
func (*postgres) Parameters() int      { return 65535 }
func (*postgres) Versions() string {
	return "CREATE TABLE IF NOT EXISTS " + database.VersionTable + ` (
	id         integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
	version_id bigint NOT NULL,
	is_applied boolean NOT NULL,
	tstamp     timestamp NOT NULL DEFAULT now()
)`
}

func (*postgres) Probe() string { return "SELECT 1" }

func (*postgres) Isolation() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

func (*postgres) Dialector(db *sql.DB) gorm.Dialector {
	return gormpostgres.New(gormpostgres.Config{Conn: db})
}

func (d *postgres) Connectors() (writing, reading driver.Connector) {
	return connector{d.sessions}, nil
}

// migrationLock is the key of the advisory lock that migrations hold: "afterwrt".
const migrationLock = 0x6166746572777274

// Migrating holds the lock in a transaction of its own that does nothing else: a session's lock
// would stay with the session that a pooler has handed out, and a process that dies ends it.
//
// It tries again and again, each time in a new transaction: a CREATE INDEX CONCURRENTLY of the
// process that has the lock waits for every transaction that had a snapshot when it looked, and
// one that waited for the lock in between would keep it waiting.
func (d *postgres) Migrating(ctx context.Context, db *sql.DB, fn func() error) error {
	for {
		locked, err := d.migratingOnce(ctx, db, fn)
		if locked || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// migratingOnce calls fn under the lock, unless another process has it.
func (d *postgres) migratingOnce(ctx context.Context, db *sql.DB, fn func() error) (locked bool, err error) {
	tx, err := db.BeginTx(ctx, d.Isolation()) // it keeps no snapshot between two statements
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // it has written nothing
	const unlimited = `SELECT set_config('lock_timeout', '0', true), set_config('statement_timeout', '0', true),
		set_config('idle_in_transaction_session_timeout', '0', true)`
	if _, err := tx.ExecContext(ctx, unlimited); err != nil {
		return false, err
	}
	if locked, err = lockMigrations(ctx, tx); err != nil || !locked {
		return false, err
	}
	return true, fn()
}

// lockMigrations tries to take the lock. A database that speaks PostgreSQL's protocol and has
// no such locks (0A000, 42883) is migrated without one: there an operator lets one process
// migrate at a time.
func lockMigrations(ctx context.Context, tx *sql.Tx) (locked bool, err error) {
	err = tx.QueryRowContext(ctx, "SELECT pg_try_advisory_xact_lock($1)", int64(migrationLock)).Scan(&locked)
	if code := pgCode(err); code == "0A000" || code == "42883" {
		return true, nil
	}
	if err != nil || !locked {
		return false, err
	}
	// It ends the portal of the query, for whose snapshot a CREATE INDEX CONCURRENTLY would wait.
	_, err = tx.ExecContext(ctx, "SELECT 1")
	return err == nil, err
}

func (*postgres) Patient(db *gorm.DB) (spoils bool, err error) {
	return false, db.Exec("SET LOCAL statement_timeout = 0").Error
}

// Unbounded does nothing behind a pooler, whose sessions have no limit of ours.
func (d *postgres) Unbounded(db *gorm.DB) error {
	if d.sessions != nil && d.pooled.Load() {
		return nil
	}
	return db.Exec("SET statement_timeout = 0").Error
}

func (d *postgres) Bounded(db *gorm.DB) {
	if d.sessions == nil || !d.pooled.Load() {
		_ = db.Exec("RESET statement_timeout").Error // a connection that is lost has no setting
	}
}

func (*postgres) Concurrently(at *catalog.Table) string {
	if at.Kind == catalog.Plain && at.Exists() {
		return "CONCURRENTLY "
	}
	return ""
}

func (*postgres) Mark(ctx context.Context, q catalog.Querier, table string, writes bool) (string, error) {
	return markAnd(ctx, q, table, writes, ")", "")
}

func (d *postgres) MarkAnd(t *database.Transaction, of database.Target, savepoint []string) (mark string, err error) {
	if mark, done, err := d.markKept(t, of, savepoint); err != nil || mark != "" {
		return mark, err
	} else if done {
		return d.Mark(t.DB.Statement.Context, t.Tx, of.Name, true)
	}
	end := ")"
	if t.Note != nil { // what its function takes is given to that of the mark
		end = ", " + strings.TrimPrefix(t.Note.Statement(d), reaching)
	}
	return markAnd(t.DB.Statement.Context, t.Tx, of.Name, t.Writes, end, strings.Join(savepoint, "; "))
}

// markAnd sends all as one text, which the simple protocol takes. Its query also locks the table until the transaction
// ends, before it asks which table has the name and for its mark: against ALTER TABLE, and where the transaction
// writes against all that a write would wait for. end ends the call of the function.
func markAnd(ctx context.Context, q catalog.Querier, table string, writes bool, end, savepoint string) (mark string,
	err error) {
	quoted := mapping.QuoteTable(table)
	query := "SELECT afterwrite_mark(to_regclass(" + watching.SQLText(quoted) + ")" + end + " WHERE NOT EXISTS (SELECT FROM " +
		quoted + " WHERE false); "
	if writes {
		query = "SELECT afterwrite_mark(" + holding(quoted) + end + "; "
	}
	rows, err := q.QueryContext(ctx, query+savepoint, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return "", err
	}
	for rows.Next() {
		err = errors.Join(err, rows.Scan(&mark))
	}
	return mark, errors.Join(err, rows.Err(), rows.Close())
}

// holding locks a table for a write and returns it.
func holding(quoted string) string { return "afterwrite_hold(" + watching.SQLText(quoted) + ")" }

func (*postgres) CatalogOf() catalog.Dialect { return catalog.PostgreSQL }

func (*postgres) Catalog(ctx context.Context, q catalog.Querier, table string) (*catalog.Table, error) {
	return catalog.ReadPostgres(ctx, q, mapping.QuoteTable(table))
}

func (*postgres) TableIDs(ctx context.Context, q catalog.Querier, tables []string) ([]string, error) {
	quoted := make(texts, len(tables))
	for i, table := range tables {
		name := mapping.QuoteTable(table)
		quoted[i] = &name
	}
	return database.Texts(ctx, q, `SELECT coalesce(to_regclass(t.name)::oid::text, '')
		FROM unnest($1::text[]) WITH ORDINALITY AS t (name, n) ORDER BY t.n`, quoted)
}

func (*postgres) ForeignKeys(db *gorm.DB, table string, r schema.Refusal) ([]database.ForeignKey, error) {
	var keys []database.ForeignKey
	err := db.Raw(`SELECT a.attname AS "column", f.confrelid::regclass::text AS ref_table, b.attname AS ref_column,
			f.confrelid = f.conrelid AS self
		FROM pg_constraint f
		JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
		JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1]
		WHERE f.contype = 'f' AND f.conrelid = to_regclass(?) AND f.conname = ? AND cardinality(f.conkey) = 1`,
		mapping.QuoteTable(table), r.Constraint).Scan(&keys).Error
	return keys, err
}

func (d *postgres) Most() time.Duration { return d.limit }

func (*postgres) Within(d time.Duration) string {
	return "SET LOCAL statement_timeout = " + database.Milliseconds(d)
}

// Draw evaluates what gives an inserted row its number, as often as there are numbers to draw.
func (*postgres) Draw(ctx context.Context, tx *database.Transaction, t *mapping.Table, _ *catalog.Table,
	key catalog.Column, n int) (
	[]int64, error) {
	if key.Identity != catalog.NoIdentity {
		return database.Numbers(ctx, tx, `SELECT nextval(s.name) FROM (SELECT pg_get_serial_sequence($1, $2)::regclass AS name) s,
			generate_series(1, $3::int)`, mapping.QuoteTable(t.Name), key.Name, n)
	}
	return database.Numbers(ctx, tx, "SELECT "+key.Default+" FROM generate_series(1, $1::int)", n)
}
