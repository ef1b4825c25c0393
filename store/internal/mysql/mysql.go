// Package mysql is the dialect of MySQL and MariaDB.
package mysql

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	drv "github.com/go-sql-driver/mysql"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// mysql is the dialect of MySQL (8.0.19 or newer) and MariaDB (10.6 or newer), told apart at
// each connection. Values travel as text that the server parses in strict mode, so that a
// value which does not fit is refused by the server, with a code.
type mysql struct {
	config *drv.Config
	cfg    database.Settings
	pool   *sql.DB                // of the caller, whose connections are borrowed; nil: they are of config
	found  atomic.Bool            // see findsRows
	server atomic.Pointer[server] // of the last connection; nil: none was made
	keys   sync.Map               // table → collation of its id's column
}

// server is what a connection says about its server.
type server struct {
	maria   bool
	version string
	packet  int // bytes of a statement at most; 0: not known
}

func (*mysql) Reaching() string          { return database.Reaching }
func (*mysql) Name() string              { return "mysql" }
func (*mysql) Writers(size int) int      { return max(3, size) } // a migration needs three
func (*mysql) Ahead() bool               { return false }
func (*mysql) Isolation() *sql.TxOptions { return nil } // that of the session: READ COMMITTED
func (*mysql) Parameters() int           { return 65535 }
func (*mysql) Versions() string {
	return "CREATE TABLE IF NOT EXISTS " + database.VersionTable + ` (
	id         bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	version_id bigint NOT NULL,
	is_applied boolean NOT NULL,
	tstamp     datetime DEFAULT CURRENT_TIMESTAMP
)`
}

func (*mysql) Probe() string { return "SELECT 1" }

func (d *mysql) maria() bool {
	s := d.server.Load()
	return s == nil || s.maria
}

func (d *mysql) Connectors() (writing, reading driver.Connector) {
	if d.pool != nil {
		return lender{d.pool, d}, nil
	}
	connector, err := drv.NewConnector(d.config)
	if err != nil {
		return failingConnector{err}, nil
	}
	return mysqlConnector{connector, d}, nil
}

// failingConnector is a configuration that the driver does not take.
type failingConnector struct{ err error }

func (c failingConnector) Connect(context.Context) (driver.Conn, error) { return nil, c.err }
func (c failingConnector) Driver() driver.Driver                        { return &drv.MySQLDriver{} }

// mysqlConnector opens connections and sets up their sessions.
type mysqlConnector struct {
	driver.Connector
	dialect *mysql
}

// mysqlMode: strict, so that what does not fit is refused and never cut or made a zero, and
// a zero is no request for the next number of AUTO_INCREMENT; quotes
// and backslashes as the standard has them.
const mysqlMode = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,ANSI_QUOTES,NO_BACKSLASH_ESCAPES," +
	"NO_AUTO_VALUE_ON_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

// Connect opens a connection.
func (c mysqlConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.dialect.setUp(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func (d *mysql) setUp(ctx context.Context, conn driver.Conn) error {
	s, err := readServer(ctx, conn)
	if err != nil {
		return err
	}
	d.server.Store(s)
	_, err = conn.(driver.ExecerContext).ExecContext(ctx, d.session(s), nil)
	return err
}

// readServer has a connection tell of its server.
func readServer(ctx context.Context, conn driver.Conn) (*server, error) {
	row, err := oneRow(ctx, conn, "SELECT CONCAT(@@max_allowed_packet, ' ', VERSION())", 1)
	if err != nil {
		return nil, err
	}
	packet, version, _ := strings.Cut(fmt.Sprintf("%s", row[0]), " ")
	s, err := mysqlServer(version)
	if err != nil {
		return nil, err
	}
	s.packet, _ = strconv.Atoi(packet)
	return s, nil
}

// oneRow returns the so many columns of a query's one row.
func oneRow(ctx context.Context, conn driver.Conn, query string, columns int) ([]driver.Value, error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, query, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	row := make([]driver.Value, columns)
	if err := rows.Next(row); err != nil {
		return nil, err
	}
	for i, v := range row {
		if bytes, ok := v.([]byte); ok {
			row[i] = string(bytes) // the driver reuses them
		}
	}
	if err := rows.Next(make([]driver.Value, columns)); err != nil && err != io.EOF {
		return nil, err
	}
	return row, nil
}

// mysqlServer tells the servers apart, and refuses those that are too old: MariaDB before 10.6
// has no JSON_TABLE, MySQL before 8.0.19 no aliases for the rows of an INSERT.
func mysqlServer(version string) (*server, error) {
	s := &server{maria: strings.Contains(version, "MariaDB"), version: version}
	number := strings.TrimPrefix(version, "5.5.5-")
	var parts [3]int
	for i, part := range strings.SplitN(number, ".", 3) {
		digits, _, _ := strings.Cut(strings.SplitN(part, "-", 2)[0], "+")
		parts[i], _ = strconv.Atoi(digits)
	}
	least, name := [3]int{8, 0, 19}, "MySQL"
	if s.maria {
		least, name = [3]int{10, 6, 0}, "MariaDB"
	}
	if slices.Compare(parts[:], least[:]) < 0 {
		return nil, fmt.Errorf("the server is %s: %s %d.%d.%d or newer is needed", version, name, least[0], least[1],
			least[2])
	}
	return s, nil
}

// variables are what each session of the store has.
func (d *mysql) variables(s *server) [][2]string {
	isolation := "transaction_isolation"
	if s.maria {
		isolation = "tx_isolation" // the one name that all versions know
	}
	variables := [][2]string{
		{isolation, "'READ-COMMITTED'"}, {"sql_mode", "'" + mysqlMode + "'"}, {"time_zone", "'+00:00'"}, {"default_storage_engine", "InnoDB"},
		{"foreign_key_checks", "1"}, {"unique_checks", "1"}, {"autocommit", "1"}, {"completion_type", "0"},
		{"sql_select_limit", "18446744073709551615"}, {"sql_big_selects", "1"}, {"sql_safe_updates", "0"},
		{"innodb_lock_wait_timeout", seconds(d.cfg.LockTimeout)}, {"lock_wait_timeout", seconds(d.cfg.LockTimeout)},
	}
	if s.maria {
		variables = append(variables, [2]string{"max_statement_time", fraction(d.cfg.StatementTimeout)},
			[2]string{"idle_transaction_timeout", seconds(d.cfg.IdleInTransaction)},
			[2]string{"check_constraint_checks", "1"})
	} else {
		variables = append(variables, [2]string{"max_execution_time", database.Milliseconds(d.cfg.StatementTimeout)})
	}
	return variables
}

// session sets the variables of a session. What the URL sets has the last word.
func (d *mysql) session(s *server) string {
	var sets []string
	for _, v := range d.variables(s) {
		if _, ok := d.config.Params[v[0]]; !ok {
			sets = append(sets, v[0]+" = "+v[1])
		}
	}
	return "SET SESSION " + strings.Join(sets, ", SESSION ")
}

// seconds rounds a time up to whole seconds, one at least.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64((d+time.Second-1)/time.Second)), 10)
}

// fraction is a time in seconds, to a millisecond.
func fraction(d time.Duration) string {
	return strconv.FormatFloat(max(0.001, d.Seconds()), 'f', 3, 64)
}

// Migrating holds a lock of the server's, named by the database.
func (d *mysql) Migrating(ctx context.Context, db *sql.DB, fn func() error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var database string
	if err := conn.QueryRowContext(ctx, "SELECT DATABASE()").Scan(&database); err != nil {
		return err
	}
	name := fmt.Sprintf("afterwrite %x", md5.Sum([]byte(database))) // MySQL 9.6 has no MD5 of its own
	for {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(?, 5)", name).Scan(&got)
		if err != nil {
			return err
		}
		if got.Int64 == 1 {
			break
		}
	}
	err = fn()
	// The lock belongs to the connection: a process that dies gives it back.
	_, unlock := conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK(?)", name)
	return errors.Join(err, unlock)
}

func (d *mysql) Patient(db *gorm.DB) (spoils bool, err error) {
	if !d.maria() {
		return false, nil // its limit is one of queries
	}
	return true, db.Exec("SET SESSION max_statement_time = 0").Error
}

func (*mysql) Catalog(ctx context.Context, q catalog.Querier, table string) (*catalog.Table, error) {
	return catalog.ReadMySQL(ctx, q, table)
}

func (d *mysql) Mark(ctx context.Context, q catalog.Querier, table string, _ bool) (string, error) {
	if !d.SingleStatements() {
		return markAnd(ctx, q, table, "DO 0")
	}
	quoted := mapping.QuoteTable(table)
	lock, err := q.QueryContext(ctx, "SELECT 1 FROM "+quoted+" LIMIT 0")
	if err != nil {
		return "", err
	}
	if err := lock.Close(); err != nil {
		return "", err
	}
	mark := ""
	for _, query := range catalog.MarkMySQL(table, quoted) {
		rows, err := q.QueryContext(ctx, query)
		if err != nil {
			return "", err
		}
		part, err := readMark(rows)
		if err != nil {
			return "", err
		}
		mark += part
	}
	return mark, nil
}

func (*mysql) MarkAnd(t *database.Transaction, of database.Target, savepoint []string) (mark string, err error) {
	return markAnd(t.DB.Statement.Context, t.Tx, of.Name, strings.Join(t.Noted(savepoint), "; "))
}

// markAnd sends all as one text. The first statement reads nothing: it takes the metadata lock, which the
// transaction holds to its end. SHOW CREATE TABLE lets go of its own, and the server would change the table between
// it and the rows.
func markAnd(ctx context.Context, q catalog.Querier, table, savepoint string) (mark string, err error) {
	quoted := mapping.QuoteTable(table)
	rows, err := q.QueryContext(ctx, "SELECT 1 FROM "+quoted+" LIMIT 0; "+
		strings.Join(catalog.MarkMySQL(table, quoted), "; ")+"; "+savepoint)
	if err != nil {
		return "", err
	}
	if !rows.NextResultSet() {
		return "", errors.Join(errors.New("no answer to SHOW CREATE TABLE"), rows.Err(), rows.Close())
	}
	return readMark(rows)
}

// readMark reads the answers to the queries of the mark.
func readMark(rows *sql.Rows) (mark string, err error) {
	sum := sha256.New()
	for more := true; more && err == nil; more = rows.NextResultSet() {
		var name, text string
		for rows.Next() && err == nil {
			err = rows.Scan(&name, &text)
			fmt.Fprintf(sum, "%d %s", len(text), text)
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), errors.Join(err, rows.Err(), rows.Close())
}

// Ages: the server has no mark of other tables' foreign keys that costs little.
func (*mysql) Ages() time.Duration { return 2 * time.Second }

func (*mysql) CatalogOf() catalog.Dialect         { return catalog.MySQL }
func (*mysql) Unbounded(*gorm.DB) error           { return nil }
func (*mysql) Bounded(*gorm.DB)                   {}
func (*mysql) Concurrently(*catalog.Table) string { return "" }

func (*mysql) TableIDs(ctx context.Context, q catalog.Querier, tables []string) ([]string, error) {
	here, err := database.OneText(ctx, q, "SELECT DATABASE()")
	ids := make([]string, len(tables))
	for i, table := range tables {
		if ids[i] = table; !strings.Contains(table, ".") {
			ids[i] = here + "." + table
		}
	}
	return ids, err
}

func (*mysql) ForeignKeys(db *gorm.DB, table string, r schema.Refusal) ([]database.ForeignKey, error) {
	var keys []database.ForeignKey
	err := db.Raw(`SELECT min(COLUMN_NAME) AS "column", CONCAT('"', min(REFERENCED_TABLE_NAME), '"') AS ref_table,
			min(REFERENCED_COLUMN_NAME) AS ref_column, min(REFERENCED_TABLE_NAME) = ? AS self
		FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND CONSTRAINT_NAME = ?
			AND REFERENCED_TABLE_NAME IS NOT NULL GROUP BY CONSTRAINT_NAME HAVING count(*) = 1`, table, table, r.Constraint).Scan(&keys).Error
	return keys, err
}

// Nests: a savepoint takes the place of the one of its name.
func (*mysql) Nests() bool { return false }

func (d *mysql) Most() time.Duration {
	if !d.maria() || d.config.Params["max_statement_time"] != "" {
		return 0
	}
	return d.cfg.StatementTimeout
}

func (*mysql) Within(time.Duration) string { return "" }

// Timed bounds one statement without a trip of its own; MySQL has no such thing, and no most.
func (*mysql) Timed(t time.Duration) string {
	return "SET STATEMENT max_statement_time = " + fraction(t) + " FOR "
}
