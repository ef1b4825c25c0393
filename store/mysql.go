package store

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	drv "github.com/go-sql-driver/mysql"
	gormmysql "gorm.io/driver/mysql"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	gormschema "gorm.io/gorm/schema"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// mysql is the dialect of MySQL (8.0.19 or newer) and MariaDB (10.6 or newer), told apart at
// each connection. Values travel as text that the server parses in strict mode, so that a
// value which does not fit is refused by the server, with a code.
type mysql struct {
	config *drv.Config
	cfg    Config
	server atomic.Pointer[server] // of the last connection; nil: none was made
	keys   sync.Map               // table → collation of its id's column
}

// server is what a connection says about its server.
type server struct {
	maria   bool
	version string
	packet  int // bytes of a statement at most; 0: not known
}

// newMySQL reads mysql://user:password@host:port/database?….
func newMySQL(cfg Config) (*mysql, error) {
	source, err := credentialsOf(cfg.URL)
	if err != nil {
		return nil, err
	}
	config, err := mysqlConfig(source.url)
	if err == nil && source.file != "" {
		err = config.Apply(drv.BeforeConnect(source.renewMySQL))
	}
	if err != nil {
		return nil, fmt.Errorf("database url: %w", err)
	}
	if config.Timeout == 0 {
		config.Timeout = cfg.LockTimeout
	}
	cfg.onTLS(config.TLS)
	return &mysql{config: config, cfg: cfg}, nil
}

// mysqlOwn are the parameters of a URL that are not the driver's.
var mysqlOwn = []string{"socket", "tls_ca", "tls_cert", "tls_key", "tls_server_name"}

// mysqlFixed are the driver's parameters on which the store relies.
var mysqlFixed = []string{
	"clientFoundRows", "interpolateParams", "parseTime", "loc", "multiStatements", "collation", "charset", "sql_mode",
	"time_zone", "autocommit", "foreign_key_checks", "unique_checks", "columnsWithAlias", "transaction_isolation", "tx_isolation",
}

// mysqlConfig makes the driver's configuration of a URL. No error shows the password.
func mysqlConfig(address string) (*drv.Config, error) {
	u, err := url.Parse(address)
	if err != nil {
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err
		}
		return nil, fmt.Errorf("not a URL: %w", err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	if name == "" || strings.Contains(name, "/") {
		return nil, errors.New("want mysql://user:password@host/database")
	}
	options := u.Query()
	for _, fixed := range mysqlFixed {
		if options.Has(fixed) {
			return nil, fmt.Errorf("%s is the store's own to set", fixed)
		}
	}
	own := map[string]string{}
	for _, key := range mysqlOwn {
		own[key] = options.Get(key)
		options.Del(key)
	}
	config, err := drv.ParseDSN("/?" + options.Encode())
	if err != nil {
		return nil, err
	}
	config.User, config.DBName = u.User.Username(), name
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", u.Host
	switch {
	case own["socket"] != "":
		config.Net, config.Addr = "unix", own["socket"]
	case u.Hostname() == "":
		return nil, errors.New("it names no host, and no ?socket=")
	case u.Port() == "":
		config.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	if err := mysqlTLS(config, own, u.Hostname()); err != nil {
		return nil, err
	}
	config.ClientFoundRows = true   // an UPDATE that changes nothing has found its row
	config.InterpolateParams = true // one round trip a statement
	config.MultiStatements = true   // and for some that go together
	config.ParseTime, config.Loc = true, time.UTC
	config.Collation = "utf8mb4_bin"
	config.MaxAllowedPacket = 0 // that of the server
	config.Logger = &drv.NopLogger{}
	return config, nil
}

// mysqlTLS sets up TLS with a certificate authority or a client certificate of one's own; what
// ?tls= says alone is the driver's.
func mysqlTLS(config *drv.Config, own map[string]string, host string) error {
	if host == "" {
		host = "localhost"
	}
	if own["tls_ca"] == "" && own["tls_cert"] == "" && own["tls_server_name"] == "" {
		if config.TLS != nil && config.TLS.ServerName != "" {
			config.TLS.ServerName = host // the driver has read the address of a DSN without one
		}
		return nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if own["tls_server_name"] != "" {
		t.ServerName = own["tls_server_name"]
	}
	if file := own["tls_ca"]; file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("tls_ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("tls_ca: %s has no certificate", file)
		}
	}
	if own["tls_cert"] != "" {
		pair, err := tls.LoadX509KeyPair(own["tls_cert"], own["tls_key"])
		if err != nil {
			return fmt.Errorf("tls_cert: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	config.TLSConfig, config.TLS = "", t
	return nil
}

func (*mysql) name() string              { return "mysql" }
func (*mysql) writers(size int) int      { return max(3, size) } // a migration needs three
func (*mysql) ahead() bool               { return false }
func (*mysql) isolation() *sql.TxOptions { return nil } // that of the session: READ COMMITTED
func (*mysql) parameters() int           { return 65535 }
func (*mysql) versions() string {
	return "CREATE TABLE IF NOT EXISTS " + versionTable + ` (
	id         bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY,
	version_id bigint NOT NULL,
	is_applied boolean NOT NULL,
	tstamp     datetime DEFAULT CURRENT_TIMESTAMP
)`
}

func (*mysql) probe() string { return "SELECT 1" }

// collate: a key that is not ordered by its bytes is refused at start.
func (*mysql) collate() string { return "" }

func (d *mysql) maria() bool {
	s := d.server.Load()
	return s == nil || s.maria
}

func (d *mysql) connectors() (writing, reading driver.Connector) {
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

// mysqlMode: strict, so that what does not fit is refused and never cut or made a zero; quotes
// and backslashes as the standard has them.
const mysqlMode = "STRICT_TRANS_TABLES,STRICT_ALL_TABLES,ANSI_QUOTES,NO_BACKSLASH_ESCAPES," +
	"NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION"

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
	said, err := ask(ctx, conn, "SELECT CONCAT(@@max_allowed_packet, ' ', VERSION())")
	if err != nil {
		return err
	}
	packet, version, _ := strings.Cut(said, " ")
	s, err := mysqlServer(version)
	if err != nil {
		return err
	}
	s.packet, _ = strconv.Atoi(packet)
	d.server.Store(s)
	for _, statement := range []string{"SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", d.session(s)} {
		if _, err := conn.(driver.ExecerContext).ExecContext(ctx, statement, nil); err != nil {
			return err
		}
	}
	return nil
}

// ask returns the one text of a query.
func ask(ctx context.Context, conn driver.Conn, query string) (string, error) {
	rows, err := conn.(driver.QueryerContext).QueryContext(ctx, query, nil)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	row := make([]driver.Value, 1)
	if err := rows.Next(row); err != nil {
		return "", err
	}
	if err := rows.Next(make([]driver.Value, 1)); err != nil && err != io.EOF {
		return "", err
	}
	switch v := row[0].(type) {
	case []byte:
		return string(v), nil
	case string:
		return v, nil
	}
	return "", fmt.Errorf("%s: the server answers %v", query, row[0])
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
		return nil, fmt.Errorf("the server is %s: %s %d.%d.%d or newer is needed", version, name, least[0], least[1], least[2])
	}
	return s, nil
}

// session sets the variables of a session. What the URL sets has the last word.
func (d *mysql) session(s *server) string {
	variables := [][2]string{
		{"sql_mode", "'" + mysqlMode + "'"}, {"time_zone", "'+00:00'"}, {"default_storage_engine", "InnoDB"}, {"foreign_key_checks", "1"}, {"unique_checks", "1"},
		{"innodb_lock_wait_timeout", seconds(d.cfg.LockTimeout)}, {"lock_wait_timeout", seconds(d.cfg.LockTimeout)},
	}
	if s.maria {
		variables = append(variables, [2]string{"max_statement_time", fraction(d.cfg.StatementTimeout)},
			[2]string{"idle_transaction_timeout", seconds(d.cfg.IdleInTransaction)})
	} else {
		variables = append(variables, [2]string{"max_execution_time", milliseconds(d.cfg.StatementTimeout)})
	}
	var sets []string
	for _, v := range variables {
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

func (d *mysql) dialector(db *sql.DB) gorm.Dialector {
	return &mysqlDialector{Dialector: gormmysql.Dialector{Config: &gormmysql.Config{
		Conn: db, SkipInitializeWithVersion: true, DisableDatetimePrecision: true,
	}}, dialect: d}
}

// mysqlDialector is gorm's dialector; the types of columns are spelled for the server when it
// is known.
type mysqlDialector struct {
	gormmysql.Dialector
	dialect *mysql
}

// DataTypeOf is the type of a column in a new table.
func (m *mysqlDialector) DataTypeOf(f *gormschema.Field) string {
	return m.dialect.spell(m.Dialector.DataTypeOf(f))
}

// Migrator makes tables.
func (m *mysqlDialector) Migrator(db *gorm.DB) gorm.Migrator {
	migrator := m.Dialector.Migrator(db).(gormmysql.Migrator)
	migrator.Migrator.Dialector = m
	return migrator
}

// MariaDB and MySQL have different names for the collation that compares texts byte by byte,
// blanks at the end included.
const (
	mariaExact = "utf8mb4_nopad_bin"
	mysqlExact = "utf8mb4_0900_bin"
)

// spell is a type as the server spells it.
func (d *mysql) spell(typ string) string {
	if d.maria() {
		return typ
	}
	return strings.ReplaceAll(typ, mariaExact, mysqlExact)
}

const (
	mysqlExactText = " CHARACTER SET utf8mb4 COLLATE " + mariaExact
	mysqlKeyLength = 768  // characters of a key: 3072 bytes
	mysqlVarchar   = 1024 // longest text that is a varchar: a row has 65,535 bytes for all of them
	mysqlDigits    = 65   // of a decimal
	mysqlScale     = 30   // of them after the point
	mysqlBlobs     = "longblob"
	mysqlTexts     = "longtext" + mysqlExactText
)

func (*mysql) columnType(f *schema.Field) string {
	switch {
	case f.Unique && f.Type == schema.Bytes:
		return fmt.Sprintf("varbinary(%d)", mysqlKeyLength)
	case longKey(f), f.Unique && (f.Type == schema.Text || f.Type == schema.JSON):
		return fmt.Sprintf("varchar(%d)", mysqlKeyLength) + mysqlExactText
	}
	switch f.Type {
	case schema.String:
		if f.MaxLength > 0 && f.MaxLength <= mysqlVarchar {
			return fmt.Sprintf("varchar(%d)", f.MaxLength) + mysqlExactText
		}
	case schema.Int:
		return "bigint"
	case schema.Float:
		return "double"
	case schema.Decimal:
		if f.Precision <= mysqlDigits && f.Scale <= mysqlScale {
			return fmt.Sprintf("decimal(%d,%d)", f.Precision, f.Scale)
		}
	case schema.Bool:
		return "tinyint(1)"
	case schema.Time:
		return "datetime(6)"
	case schema.Bytes:
		return mysqlBlobs
	case schema.UUID:
		return "char(36) CHARACTER SET ascii COLLATE ascii_bin"
	}
	return mysqlTexts // json would not keep the text
}

func (*mysql) idType(id schema.ID) string {
	switch id.Type {
	case schema.Int:
		return "bigint"
	case schema.UUID:
		return "char(36) CHARACTER SET ascii COLLATE ascii_bin"
	}
	return fmt.Sprintf("varchar(%d)", min(max(1, id.Max), mysqlKeyLength)) + mysqlExactText // ids are ordered, and told apart, by their bytes
}

// limits names what no index of the server can hold: the columns that migrate makes are shorter
// than the entity allows, and what is longer is refused by the database.
func (*mysql) limits(e *schema.Entity) []string {
	var found []string
	if e.ID.Type == schema.String && e.ID.Max > mysqlKeyLength {
		found = append(found, fmt.Sprintf("id.max is %d", e.ID.Max))
	}
	for i := range e.Fields {
		if f := &e.Fields[i]; longKey(f) {
			found = append(found, "fields."+f.Name+" is unique and has no max of that or less")
		}
	}
	for i := range found {
		found[i] += fmt.Sprintf("; an index of MySQL has %d characters at most", mysqlKeyLength)
	}
	return found
}

// longKey reports whether a unique field has values that no index holds.
func longKey(f *schema.Field) bool {
	switch f.Type {
	case schema.String, schema.Text, schema.JSON, schema.Bytes:
		return f.Unique && (f.MaxLength == 0 || f.MaxLength > mysqlKeyLength)
	}
	return false
}

// datetimeSlot spells an instant in UTC, the zone of the session.
var datetimeSlot = slot{reflect.TypeFor[*string](), func(at any, plain string) error {
	text, err := datetime(plain)
	*at.(**string) = &text
	return err
}}

func datetime(plain string) (string, error) {
	t, err := time.Parse(time.RFC3339Nano, plain)
	return t.UTC().Format("2006-01-02 15:04:05.999999"), err
}

// tinySlot is a number, which tinyint(1) and bit(1) take alike.
var tinySlot = slot{reflect.TypeFor[*int64](), func(at any, plain string) error {
	return intSlot.fill(at, tiny(plain))
}}

func tiny(plain string) string {
	switch plain {
	case "true":
		return "1"
	case "false":
		return "0"
	}
	return plain
}

func (*mysql) slot(t schema.FieldType) slot {
	switch t {
	case schema.Time:
		return datetimeSlot
	case schema.Bool:
		return tinySlot
	case schema.Bytes:
		return bytesSlot
	}
	return textSlot
}

func (*mysql) equal(column string, t schema.FieldType) string {
	switch t {
	case schema.String, schema.Text, schema.JSON:
		return "CAST(" + column + " AS BINARY) = CAST(? AS BINARY)" // whatever its collation
	}
	return column + " = ?"
}

// lock changes the fence's row and reads the new number and the pairing behind it, in one
// round trip.
func (d *mysql) lock(tx *transaction, entity string, partition int) (flushes int64, paired sql.NullString, err error) {
	ctx := tx.db.Statement.Context
	for {
		var found int64
		err = tx.tx.QueryRowContext(ctx, `UPDATE afterwrite_fences SET flushes = LAST_INSERT_ID(flushes + 1),
				locked_at = CURRENT_TIMESTAMP(6), holder = CONNECTION_ID() WHERE entity = ? AND "partition" = ?;
			SELECT ROW_COUNT(), LAST_INSERT_ID(), (SELECT concat(deployment, ' ', life) FROM afterwrite_pairings WHERE name = ?)`,
			entity, partition, tx.store.cfg.Pair).Scan(&found, &flushes, &paired)
		if err != nil || found > 0 {
			return flushes, paired, err
		}
		_, err = tx.tx.ExecContext(ctx, `INSERT INTO afterwrite_fences (entity, "partition", flushes, locked_at)
			VALUES (?, ?, 0, CURRENT_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE flushes = flushes`, entity, partition)
		if err != nil {
			return 0, paired, err
		}
	}
}

// free ends the connection that holds a fence if its process has said nothing for the time of
// Config.IdleInTransaction: it is frozen, or its machine is gone. It also ends one whose
// statement is under way for longer than Config.StatementTimeout: the process has given it up,
// and the server does not notice. MariaDB does both by itself.
func (d *mysql) free(ctx context.Context, db *sql.DB, entity string, partition int) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	// Uncommitted, the holder is that of the transaction under way.
	if _, err := conn.ExecContext(ctx, "SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED"); err != nil {
		return err
	}
	var holder int64
	err = conn.QueryRowContext(ctx, `SELECT holder FROM afterwrite_fences WHERE entity = ? AND "partition" = ?`, entity, partition).Scan(&holder)
	if err != nil {
		return err
	}
	var late int
	err = conn.QueryRowContext(ctx, `SELECT count(*) FROM information_schema.PROCESSLIST
		WHERE ID = ? AND TIME >= CASE COMMAND WHEN 'Sleep' THEN ? ELSE ? END`,
		holder, seconds(d.cfg.IdleInTransaction), seconds(d.cfg.StatementTimeout+time.Second)).Scan(&late)
	if err != nil || late == 0 {
		return err
	}
	_, err = conn.ExecContext(ctx, "KILL CONNECTION "+strconv.FormatInt(holder, 10))
	return err
}

// upsert inserts rows. Where the table has no unique key but the id's, an existing row is
// updated by the same statement; the server does not say which key a row has hit, so the
// statement fails if it was another, as one that was made since the catalog was read.
func (d *mysql) upsert(tx *transaction, t *table, changes []schema.Change) (int64, error) {
	rows, err := t.fill(changes)
	if err != nil {
		return 0, &unfitError{err}
	}
	insert := t.scope(tx.db)
	if k := t.known.Load(); k != nil && k.plain {
		insert = insert.Clauses(clause.OnConflict{DoUpdates: d.guarded(t)})
	}
	if err := d.fits(sizeOf(changes)); err != nil {
		return 0, err
	}
	done := insert.Create(rows)
	if number, _ := mysqlError(done.Error); number == 1048 {
		if _, column := mysqlNames(schema.KindNotNull, done.Error.Error()); column == t.columns[0].name {
			return 0, errNotPlain // no change has an id that is NULL
		}
	}
	return done.RowsAffected, done.Error
}

// tooLargeError is a statement that the server would not take for its length.
type tooLargeError struct{ most int }

func (e *tooLargeError) Error() string {
	return fmt.Sprintf("it is larger than the %d bytes of the server's max_allowed_packet", e.most)
}

// fits reports a statement of about so many bytes that is longer than the server takes.
func (d *mysql) fits(size int) error {
	const rest = 1 << 16 // what the statement has beside the values
	if s := d.server.Load(); s != nil && s.packet > 0 && size+rest > s.packet {
		return &tooLargeError{s.packet}
	}
	return nil
}

// sizeOf is the length of the values of changes in a statement: each quote is doubled.
func sizeOf(changes []schema.Change) (size int) {
	for _, c := range changes {
		size += len(c.ID) + 3
		for _, v := range c.Values {
			size += len(v) + strings.Count(v, "'") + 3
		}
	}
	return size
}

// guarded updates the columns of a row that has the id, and sets the id of any other to NULL,
// which no key can be: the whole statement fails, and nothing was overwritten.
func (d *mysql) guarded(t *table) clause.Set {
	id := quote(t.columns[0].name)
	set := clause.Set{{
		Column: clause.Column{Name: t.columns[0].name},
		Value:  gorm.Expr("CASE WHEN " + quoteTable(t.name) + "." + id + " = VALUES(" + id + ") THEN VALUES(" + id + ") END"),
	}}
	return append(set, clause.AssignmentColumns(t.names()[1:])...)
}

// oneKey: ON DUPLICATE KEY UPDATE acts on whichever unique key a row hits.
func (*mysql) oneKey() bool { return true }

// update joins the changes, one JSON array, with the table by its key. Its text depends on the
// fields and on the longest values, not on the rows.
func (d *mysql) update(tx *transaction, t *table, changes []schema.Change, fields []int) (int64, error) {
	ctx := tx.db.Statement.Context
	collation, err := d.keyCollation(ctx, tx, t)
	if err != nil {
		return 0, err
	}
	rows := make([][]*string, len(changes))
	longest := make([]int, len(fields)+1)
	for i, c := range changes {
		row := make([]*string, len(fields)+1)
		row[0] = &changes[i].ID
		for j, at := range fields {
			if row[j+1], err = t.jsonText(c, at); err != nil {
				return 0, err
			}
		}
		for j, text := range row {
			if text != nil {
				longest[j] = max(longest[j], utf8.RuneCountInString(*text))
			}
		}
		rows[i] = row
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return 0, err
	}
	if err := d.fits(len(text) + strings.Count(string(text), "'")); err != nil {
		return 0, err
	}
	result, err := tx.tx.ExecContext(ctx, d.updateText(t, fields, longest, collation), string(text))
	if err != nil {
		d.keys.Delete(t.name) // it may have another collation by now
		return 0, err
	}
	return result.RowsAffected()
}

func (d *mysql) updateText(t *table, fields, longest []int, collation string) string {
	var columns, sets []string
	for j, n := range longest {
		typ := "longtext"
		if n <= 4096 {
			size := 32
			for size < n {
				size *= 2
			}
			typ = fmt.Sprintf("varchar(%d)", size)
		}
		columns = append(columns, fmt.Sprintf("c%d %s CHARACTER SET utf8mb4 PATH '$[%d]' ERROR ON ERROR", j, typ, j))
		if j == 0 {
			continue
		}
		c := &t.columns[fields[j-1]+1]
		value := fmt.Sprintf("r.c%d", j)
		switch c.field.Type {
		case schema.Bytes:
			value = "FROM_BASE64(" + value + ")"
		case schema.Bool: // a text is no bit
			value = "CAST(" + value + " AS SIGNED)"
		}
		sets = append(sets, t.at(fields[j-1]+1)+" = "+value)
	}
	key := "r.c0"
	if collation != "" {
		set, _, _ := strings.Cut(collation, "_")
		key = "CONVERT(r.c0 USING " + set + ") COLLATE " + collation
	}
	if t.entity.ID.Type == schema.Int {
		key = "CAST(r.c0 AS SIGNED)"
	}
	return fmt.Sprintf("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (%s)) AS r STRAIGHT_JOIN %s ON %s = %s SET %s",
		strings.Join(columns, ", "), quoteTable(t.name), t.at(0), key, strings.Join(sets, ", "))
}

// keyCollation is the collation of the id's column, with which an index on it is of use; "" if
// it is no text.
func (d *mysql) keyCollation(ctx context.Context, tx *transaction, t *table) (string, error) {
	if known, ok := d.keys.Load(t.name); ok {
		return known.(string), nil
	}
	at, err := catalog.ReadMySQL(ctx, tx.tx, t.name)
	if err != nil {
		return "", err
	}
	c, ok := at.Column(t.columns[0].name)
	if ok {
		d.keys.Store(t.name, c.Collation)
	}
	return c.Collation, nil
}

// jsonText is a value as update sends it: the text that the server parses; nil is NULL.
func (t *table) jsonText(c schema.Change, i int) (*string, error) {
	text := c.Values[i]
	if text == schema.Null || text == "" {
		return nil, nil
	}
	f := t.columns[i+1].field
	plain, err := plainText(f, text)
	if err == nil {
		switch f.Type {
		case schema.Time:
			plain, err = datetime(plain)
		case schema.Bool:
			plain = tiny(plain)
		case schema.Bytes:
			plain = base64.StdEncoding.EncodeToString([]byte(plain))
		}
	}
	if err != nil {
		return nil, &unfitError{fmt.Errorf("record %q: field %s: %w", c.ID, f.Name, err)}
	}
	return &plain, nil
}

// migrating holds a lock of the server's, named by the database.
func (d *mysql) migrating(ctx context.Context, db *sql.DB, fn func() error) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	for {
		var got sql.NullInt64
		err := conn.QueryRowContext(ctx, "SELECT GET_LOCK(CONCAT('afterwrite ', MD5(DATABASE())), 5)").Scan(&got)
		if err != nil {
			return err
		}
		if got.Int64 == 1 {
			break
		}
	}
	err = fn()
	// The lock belongs to the connection: a process that dies gives it back.
	_, unlock := conn.ExecContext(context.WithoutCancel(ctx), "DO RELEASE_LOCK(CONCAT('afterwrite ', MD5(DATABASE())))")
	return errors.Join(err, unlock)
}

func (d *mysql) patient(db *gorm.DB) (spoils bool, err error) {
	if !d.maria() {
		return false, nil // its limit is one of queries
	}
	return true, db.Exec("SET SESSION max_statement_time = 0").Error
}

func (*mysql) catalog(ctx context.Context, q catalog.Querier, table string) (*catalog.Table, error) {
	return catalog.ReadMySQL(ctx, q, table)
}

func (d *mysql) mark(ctx context.Context, q catalog.Querier, table string) (string, error) {
	return d.markAnd(ctx, q, table, "DO 0")
}

// markAnd sends all as one text.
func (*mysql) markAnd(ctx context.Context, q catalog.Querier, table, savepoint string) (mark string, err error) {
	rows, err := q.QueryContext(ctx, catalog.MarkMySQL(quoteTable(table))+"; "+savepoint)
	if err != nil {
		return "", err
	}
	var name, text string
	for rows.Next() {
		err = errors.Join(err, rows.Scan(&name, &text))
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(text))), errors.Join(err, rows.Err(), rows.Close())
}

// ages: the server has no mark of triggers that costs little.
func (*mysql) ages() time.Duration { return 2 * time.Second }

func (*mysql) catalogOf() catalog.Dialect         { return catalog.MySQL }
func (*mysql) unbounded(*gorm.DB) error           { return nil }
func (*mysql) bounded(*gorm.DB)                   {}
func (*mysql) concurrently(*catalog.Table) string { return "" }

// shows casts what the driver would parse: it makes the zero time of a date that is all zeros.
func (*mysql) shows(column string, t schema.FieldType) string {
	switch t {
	case schema.String, schema.Text, schema.Time:
		return "CAST(" + column + " AS char)"
	}
	return column
}

func (*mysql) uniqueColumn(db *gorm.DB, table string, r schema.Refusal) (string, error) {
	var columns []sql.NullString
	err := db.Raw(`SELECT CASE WHEN SUB_PART IS NULL THEN COLUMN_NAME END FROM information_schema.STATISTICS
		WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND INDEX_NAME = ? AND NON_UNIQUE = 0`, table, r.Constraint).Scan(&columns).Error
	if err != nil || len(columns) != 1 {
		return "", err
	}
	return columns[0].String, nil
}

func (*mysql) foreignKeys(db *gorm.DB, table string, r schema.Refusal) ([]foreignKey, error) {
	var keys []foreignKey
	err := db.Raw(`SELECT min(COLUMN_NAME) AS "column", CONCAT('"', min(REFERENCED_TABLE_NAME), '"') AS ref_table,
			min(REFERENCED_COLUMN_NAME) AS ref_column, min(REFERENCED_TABLE_NAME) = ? AS self
		FROM information_schema.KEY_COLUMN_USAGE WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = ? AND CONSTRAINT_NAME = ?
			AND REFERENCED_TABLE_NAME IS NOT NULL GROUP BY CONSTRAINT_NAME HAVING count(*) = 1`, table, table, r.Constraint).Scan(&keys).Error
	return keys, err
}

// nests: a savepoint takes the place of the one of its name.
func (*mysql) nests() bool { return false }

func (d *mysql) most() time.Duration {
	if !d.maria() || d.config.Params["max_statement_time"] != "" {
		return 0
	}
	return d.cfg.StatementTimeout
}

func (*mysql) within(time.Duration) string { return "" }

// timed bounds one statement without a trip of its own; MySQL has no such thing, and no most.
func (*mysql) timed(t time.Duration) string {
	return "SET STATEMENT max_statement_time = " + fraction(t) + " FOR "
}

func mysqlError(err error) (number uint16, state string) {
	var e *drv.MySQLError
	if !errors.As(err, &e) {
		return 0, ""
	}
	return e.Number, string(e.SQLState[:])
}

// missing is a table (1146) or a column (1054).
func (*mysql) missing(err error) bool {
	number, _ := mysqlError(err)
	return number == 1146 || number == 1054
}

// mysqlAway are the server's own troubles: full, out of memory or connections, read-only,
// damaged, shutting down. https://mariadb.com/kb/en/mariadb-error-codes/
var mysqlAway = []uint16{
	1021, 1114, 1030, 1034, 1035, 1037, 1038, 1041, 1040, 1203, 1226, 1053, 1290, 1836, 1792, 1194, 1195, 1877, 3098, 3100, 3101,
}

func (d *mysql) away(err error) bool {
	number, _ := mysqlError(err)
	return slices.Contains(mysqlAway, number)
}

// readOnly: the server (1290, 1836) or the transaction (1792).
func (*mysql) readOnly(err error) bool {
	number, _ := mysqlError(err)
	return number == 1290 || number == 1836 || number == 1792
}

// conflict is a deadlock, which rolls the transaction back; a wait that took too long (1205)
// does not.
func (*mysql) conflict(err error) bool {
	number, _ := mysqlError(err)
	return number == 1213
}

// suspect leaves out permissions, which only an operator mends, and a lost connection.
func (*mysql) suspect(err error) bool {
	number, state := mysqlError(err)
	if number == 0 || slices.Contains([]uint16{1044, 1045, 1142, 1143, 1227, 1370, 1410, 1927}, number) {
		return false
	}
	return slices.Contains([]string{"0A", "40", "42", "70", "HY"}, state[:2])
}

// ofTable is a statement that names what is not there, that the server cannot prepare or may
// not run (42), or that asks for what it does not support (0A).
func (*mysql) ofTable(err error) bool {
	number, state := mysqlError(err)
	return number != 0 && slices.Contains([]string{"0A", "42"}, state[:2])
}

// hung is a wait for a lock (1205), or a statement that took its time (MariaDB 1969, MySQL 3024)
// or was ended (1317).
func (*mysql) hung(err error) bool {
	number, _ := mysqlError(err)
	return slices.Contains([]uint16{1205, 1969, 3024, 1317}, number)
}

func (*mysql) classify(err error) (schema.Refusal, bool) {
	if large := (*tooLargeError)(nil); errors.As(err, &large) || errors.Is(err, drv.ErrPktTooLarge) {
		return refusal(schema.KindRange, "", "", err.Error()), true
	}
	var e *drv.MySQLError
	if !errors.As(err, &e) {
		return schema.Refusal{}, false
	}
	kind, ok := mysqlKind(e.Number, string(e.SQLState[:]))
	if !ok {
		return schema.Refusal{}, false
	}
	constraint, column := mysqlNames(kind, e.Message)
	return refusal(kind, constraint, column, mysqlMessage(kind, constraint, e.Message)), true
}

// mysqlKinds are the numbers that say what the record did wrong.
var mysqlKinds = map[uint16]schema.Kind{
	1062: schema.KindUnique, 1586: schema.KindUnique, 1022: schema.KindUnique, 1761: schema.KindUnique, 1762: schema.KindUnique,
	1451: schema.KindForeignKey, 1452: schema.KindForeignKey, 1216: schema.KindForeignKey, 1217: schema.KindForeignKey,
	1048: schema.KindNotNull, 1364: schema.KindNotNull, 1263: schema.KindNotNull,
	4025: schema.KindCheck, 3819: schema.KindCheck, 1369: schema.KindCheck, 1526: schema.KindCheck,
	1406: schema.KindRange, 1264: schema.KindRange, 1690: schema.KindRange, 1118: schema.KindRange, 1153: schema.KindRange,
	1301: schema.KindRange, 1441: schema.KindRange,
	1366: schema.KindType, 1292: schema.KindType, 1265: schema.KindType, 1411: schema.KindType, 1300: schema.KindType,
	3140: schema.KindType, 3156: schema.KindType, 3903: schema.KindType, 4038: schema.KindType, 1977: schema.KindType,
}

// mysqlKind goes by the number, then by the class of the state: data, constraints and what a
// trigger signals are refusals; everything else, known or not, is the database's trouble and
// not the record's.
func mysqlKind(number uint16, state string) (schema.Kind, bool) {
	if kind, ok := mysqlKinds[number]; ok {
		return kind, true
	}
	switch state[:2] {
	case "21", "22", "23", "38", "44", "45":
		return schema.KindPoison, true
	}
	return "", false
}

// mysqlNames finds the names that the server tells in its message only. They inform; the kind
// never rests on them.
func mysqlNames(kind schema.Kind, message string) (constraint, column string) {
	names := strings.ReplaceAll(message, `"`, "`") // as the server quotes identifiers in this mode
	between := func(open, end string) string {
		message := names
		_, rest, ok := strings.Cut(message, open)
		name, _, closed := strings.Cut(rest, end)
		if !ok || !closed {
			return ""
		}
		return name
	}
	switch kind {
	case schema.KindUnique: // the value comes first, and may look like anything
		at := strings.LastIndex(message, "for key '")
		if at < 0 {
			return "", ""
		}
		name := strings.TrimSuffix(message[at+len("for key '"):], "'")
		if _, index, ok := strings.Cut(name, "."); ok { // MySQL names the table, too
			name = index
		}
		return name, ""
	case schema.KindForeignKey:
		return between("CONSTRAINT `", "`"), between("FOREIGN KEY (`", "`")
	case schema.KindNotNull:
		if name := between("Column '", "'"); name != "" {
			return "", name
		}
		return "", between("Field '", "'")
	case schema.KindCheck:
		if name := between("CONSTRAINT `", "`"); name != "" {
			return name, ""
		}
		return between("constraint '", "'"), ""
	}
	if at := strings.LastIndex(message, "for column "); at >= 0 {
		name, _, _ := strings.Cut(message[at+len("for column "):], " at row")
		parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("`'.", r) })
		if len(parts) > 0 {
			return "", parts[len(parts)-1]
		}
	}
	return "", ""
}

// mysqlMessage leaves out the value, which would make every message its own group.
func mysqlMessage(kind schema.Kind, constraint, message string) string {
	if kind == schema.KindUnique && constraint != "" {
		return "Duplicate entry for key '" + constraint + "'"
	}
	if kind == schema.KindType || kind == schema.KindRange {
		before, rest, ok := strings.Cut(message, ": '")
		if at := strings.LastIndex(rest, "' for column "); ok && at >= 0 {
			message = before + rest[at+1:]
		}
		if at := strings.LastIndex(message, " at row "); at >= 0 {
			message = message[:at]
		}
	}
	return message
}
