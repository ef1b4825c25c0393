package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// postgres is the dialect of PostgreSQL. Values travel as text that the server
// parses, so that a value which does not fit is refused by the server, with a code,
// and never by the driver.
type postgres struct {
	common
	config *pgx.ConnConfig
	source credentials
	limit  time.Duration // of one statement, as each session has it; 0: not known
}

func newPostgres(cfg Config) (*postgres, error) {
	source, err := credentialsOf(cfg.URL)
	if err != nil {
		return nil, err
	}
	config, err := pgx.ParseConfig(source.url)
	if err != nil {
		return nil, fmt.Errorf("database url: %w", err) // pgx hides the password
	}
	// One round trip a statement and nothing kept on the server: upserts have as
	// many texts as batches have sizes.
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	config.DescriptionCacheCapacity = 128
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = cfg.LockTimeout
	}
	for name, value := range map[string]string{
		"application_name":                    "afterwrite",
		"lock_timeout":                        milliseconds(cfg.LockTimeout),
		"statement_timeout":                   milliseconds(cfg.StatementTimeout),
		"idle_in_transaction_session_timeout": milliseconds(cfg.IdleInTransaction),
		"extra_float_digits":                  "3",   // exact floats on servers before 12
		"TimeZone":                            "UTC", // what a column without a zone means
	} {
		if _, ok := config.RuntimeParams[name]; !ok { // the URL has the last word
			config.RuntimeParams[name] = value
		}
	}
	return &postgres{config: config, source: source, limit: sessionLimit(config.RuntimeParams["statement_timeout"])}, nil
}

// local sets for one transaction what connections of our own have for their sessions.
func (*postgres) local(cfg Config) string {
	var sets []string
	for _, setting := range []struct{ name, value string }{
		{"lock_timeout", milliseconds(cfg.LockTimeout)},
		{"statement_timeout", milliseconds(cfg.StatementTimeout)},
		{"idle_in_transaction_session_timeout", milliseconds(cfg.IdleInTransaction)},
		{"extra_float_digits", "3"},
		{"TimeZone", "UTC"},
	} {
		sets = append(sets, "set_config('"+setting.name+"', '"+setting.value+"', true)")
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

func milliseconds(d time.Duration) string { return strconv.FormatInt(max(1, d.Milliseconds()), 10) }

// lock also turns synchronous_commit on for the transaction where a server, a database or a
// role has it off: what is acked must survive a crash.
func (*postgres) lock(tx *transaction, entity string, partition int) (flushes int64, paired sql.NullString, err error) {
	var set sql.NullString
	err = tx.db.Raw(lockByConflict+`,
		CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END`,
		entity, partition, tx.store.cfg.Pair).Row().Scan(&flushes, &paired, &set)
	return flushes, paired, err
}

func (*postgres) name() string         { return "postgres" }
func (*postgres) writers(size int) int { return max(3, size) } // a migration needs three
func (*postgres) ahead() bool          { return false }
func (*postgres) parameters() int      { return 65535 }
func (*postgres) goose() goose.Dialect { return goose.DialectPostgres }
func (*postgres) collate() string      { return ` COLLATE "C"` }
func (*postgres) probe() string        { return "SELECT 1" }

func (*postgres) isolation() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelReadCommitted}
}

func (*postgres) dialector(db *sql.DB) gorm.Dialector {
	return gormpostgres.New(gormpostgres.Config{Conn: db})
}

func (d *postgres) connectors() (writing, reading driver.Connector) {
	return stdlib.GetConnector(*d.config, stdlib.OptionBeforeConnect(d.source.renew)), nil
}

// maxVarchar is PostgreSQL's own limit of varchar(n).
const maxVarchar = 10_485_760

// columnType spells the types as format_type does, so that a table can be compared.
func (*postgres) columnType(f *schema.Field) string {
	switch f.Type {
	case schema.String:
		if f.MaxLength > 0 && f.MaxLength <= maxVarchar {
			return fmt.Sprintf("character varying(%d)", f.MaxLength)
		}
	case schema.Int:
		return "bigint"
	case schema.Float:
		return "double precision"
	case schema.Decimal:
		return fmt.Sprintf("numeric(%d,%d)", f.Precision, f.Scale)
	case schema.Bool:
		return "boolean"
	case schema.Time:
		return "timestamp with time zone"
	case schema.JSON:
		return "json" // jsonb would not keep the text
	case schema.Bytes:
		return "bytea"
	case schema.UUID:
		return "uuid"
	}
	return "text"
}

func (*postgres) idType(id schema.ID) string {
	switch id.Type {
	case schema.Int:
		return "bigint"
	case schema.UUID:
		return "uuid"
	}
	return `text COLLATE "C"` // ids are ordered, and told apart, by their bytes
}

func (*postgres) slot(t schema.FieldType) slot {
	if t == schema.Bytes {
		return bytesSlot
	}
	return textSlot
}

// shows casts to text, so that no driver parses what it may not be able to. A time's text
// depends on the session's DateStyle, its JSON does not.
func (*postgres) shows(column string, t schema.FieldType) string {
	switch t {
	case schema.Bytes:
		return column
	case schema.Time:
		return "to_json(" + column + ") #>> '{}'"
	}
	return column + "::text"
}

func (*postgres) equal(column string, t schema.FieldType) string {
	if t == schema.JSON {
		return column + "::text = ?" // json has no equality
	}
	return column + " = ?"
}

// migrationLock is the key of the advisory lock that migrations hold: "afterwrt".
const migrationLock = 0x6166746572777274

func (*postgres) migrating(ctx context.Context, db *sql.DB, fn func() error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// The lock belongs to the connection: a process that dies gives it back.
	if _, err := conn.ExecContext(ctx, "SET lock_timeout = 0; SET statement_timeout = 0"); err != nil {
		return err
	}
	if err := lockMigrations(ctx, conn); err != nil {
		return err
	}
	err = fn()
	clean := context.WithoutCancel(ctx)
	_, unlock := conn.ExecContext(clean, "SELECT pg_advisory_unlock($1)", int64(migrationLock))
	_, reset := conn.ExecContext(clean, "RESET lock_timeout; RESET statement_timeout")
	return errors.Join(err, unlock, reset)
}

// lockMigrations asks again and again: a statement that waits for the lock would keep a
// snapshot, for which a CREATE INDEX CONCURRENTLY of the process that has the lock waits.
func lockMigrations(ctx context.Context, conn *sql.Conn) error {
	for {
		var locked bool
		err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1)", int64(migrationLock)).Scan(&locked)
		if err != nil || locked {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (*postgres) patient(db *gorm.DB) error {
	return db.Exec("SET LOCAL statement_timeout = 0").Error
}

func (*postgres) unbounded(db *gorm.DB) error {
	return db.Exec("SET statement_timeout = 0").Error
}

func (*postgres) bounded(db *gorm.DB) {
	_ = db.Exec("RESET statement_timeout").Error // a connection that is lost has no setting
}

func (*postgres) concurrently(at *catalog.Table) string {
	if at.Kind == catalog.Plain && at.Exists() {
		return "CONCURRENTLY "
	}
	return ""
}

func (*postgres) mark(ctx context.Context, q catalog.Querier, table string) (string, error) {
	return catalog.MarkPostgres(ctx, q, quoteTable(table))
}

func (*postgres) catalogOf() catalog.Dialect { return catalog.PostgreSQL }

func (*postgres) catalog(ctx context.Context, q catalog.Querier, table string) (*catalog.Table, error) {
	return catalog.ReadPostgres(ctx, q, quoteTable(table))
}

func (*postgres) uniqueColumn(db *gorm.DB, table string, r schema.Refusal) (string, error) {
	var columns []string
	err := db.Raw(`SELECT a.attname FROM pg_index i
		JOIN pg_class c ON c.oid = i.indexrelid
		JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
		WHERE i.indrelid = to_regclass(?) AND c.relname = ?
			AND i.indnkeyatts = 1 AND i.indpred IS NULL AND i.indexprs IS NULL`,
		quoteTable(table), r.Constraint).Scan(&columns).Error
	if err != nil || len(columns) != 1 {
		return "", err
	}
	return columns[0], nil
}

func (*postgres) foreignKeys(db *gorm.DB, table string, r schema.Refusal) ([]foreignKey, error) {
	var keys []foreignKey
	err := db.Raw(`SELECT a.attname AS "column", f.confrelid::regclass::text AS ref_table, b.attname AS ref_column,
			f.confrelid = f.conrelid AS self
		FROM pg_constraint f
		JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1]
		JOIN pg_attribute b ON b.attrelid = f.confrelid AND b.attnum = f.confkey[1]
		WHERE f.contype = 'f' AND f.conrelid = to_regclass(?) AND f.conname = ? AND cardinality(f.conkey) = 1`,
		quoteTable(table), r.Constraint).Scan(&keys).Error
	return keys, err
}

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) && len(e.Code) == 5 {
		return e.Code
	}
	return ""
}

func (*postgres) missing(err error) bool {
	return slices.Contains([]string{"42P01", "42703", "3F000"}, pgCode(err))
}

// away is a read-only server or session (25006), resources that have run out (53), an
// operator who ends sessions (57P), errors of the system beneath (58), and damaged data
// or indexes (XX001, XX002).
func (d *postgres) away(err error) bool {
	code := pgCode(err)
	switch {
	case code == "":
		return false
	case d.readOnly(err) || code == "XX001" || code == "XX002":
		return true
	}
	return strings.HasPrefix(code, "57P") || slices.Contains([]string{"53", "58"}, code[:2])
}

func (*postgres) readOnly(err error) bool { return pgCode(err) == "25006" }

// conflict is a failed serialization (40001) or a deadlock (40P01).
func (*postgres) conflict(err error) bool {
	code := pgCode(err)
	return code == "40001" || code == "40P01"
}

// suspect leaves out permissions (42501), which only an operator mends, and a lost
// connection.
func (*postgres) suspect(err error) bool {
	code := pgCode(err)
	switch code {
	case "", "42501":
		return false
	case "57014":
		return true
	}
	return slices.Contains([]string{"0A", "40", "42", "XX"}, code[:2])
}

// ofTable is a statement that the server cannot plan or may not run (42), that asks for what
// it does not support (0A), or that meets an object in another state than it needs (55).
func (*postgres) ofTable(err error) bool {
	code := pgCode(err)
	return code != "" && code != "55P03" && slices.Contains([]string{"0A", "42", "55"}, code[:2])
}

// hung is a statement that was cancelled (57014), by its timeout as a rule, or that did not
// get a lock in time (55P03).
func (*postgres) hung(err error) bool {
	code := pgCode(err)
	return code == "57014" || code == "55P03"
}

func (d *postgres) most() time.Duration { return d.limit }

func (*postgres) within(d time.Duration) string {
	return "SET LOCAL statement_timeout = " + milliseconds(d)
}

func (*postgres) classify(err error) (schema.Refusal, bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return schema.Refusal{}, false
	}
	kind, ok := postgresKind(e.Code)
	if !ok {
		return schema.Refusal{}, false
	}
	// Not the detail: it holds the values, and would make every message its own group.
	return refusal(kind, e.ConstraintName, e.ColumnName, e.Message), true
}

// postgresKinds are the codes that say what the record did wrong:
// https://www.postgresql.org/docs/current/errcodes-appendix.html
var postgresKinds = map[string]schema.Kind{
	"23505": schema.KindUnique,
	"23503": schema.KindForeignKey, "23001": schema.KindForeignKey,
	"23502": schema.KindNotNull, "22004": schema.KindNotNull,
	"23514": schema.KindCheck, "23P01": schema.KindCheck, "44000": schema.KindCheck, "23000": schema.KindCheck,
	"22001": schema.KindRange, "22003": schema.KindRange, "22008": schema.KindRange, "22015": schema.KindRange,
	"54000": schema.KindRange, // the row or an index entry is too large
	"22P02": schema.KindType, "22P03": schema.KindType, "22P05": schema.KindType, "22007": schema.KindType,
	"22021": schema.KindType, "22018": schema.KindType, "22032": schema.KindType,
}

// postgresKind goes by SQLSTATE alone. The classes of a statement's own errors (data,
// cardinality, triggers and functions of the user's) are refusals; everything else,
// known or not, is the database's trouble and not the record's.
func postgresKind(code string) (schema.Kind, bool) {
	if len(code) != 5 {
		return "", false
	}
	if kind, ok := postgresKinds[code]; ok {
		return kind, true
	}
	switch code[:2] {
	case "09", "20", "21", "22", "23", "27", "2F", "38", "39", "54", "P0":
		return schema.KindPoison, true
	}
	return "", false
}
