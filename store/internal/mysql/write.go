package mysql

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// Lock says for which entity's watch the transaction is a flush, see watch.go, changes the fence's row and reads it and
// the pairing behind it, in one round trip.
func (d *mysql) Lock(tx *database.Transaction, entity string, partition int) (f database.Fence, err error) {
	ctx := tx.DB.Statement.Context
	for {
		found, err := d.take(tx, entity, partition, &f)
		if err != nil || found > 0 {
			return f, err
		}
		_, err = tx.Tx.ExecContext(ctx, `INSERT INTO afterwrite_fences (entity, "partition", flushes, locked_at)
			VALUES (?, ?, 0, CURRENT_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE flushes = flushes`, entity, partition)
		if err != nil {
			return f, err
		}
	}
}

// The statements of lock.
const (
	mysqlSay  = `SET @afterwrite_flush = ?`
	mysqlTake = `UPDATE afterwrite_fences SET flushes = flushes + 1, locked_at = CURRENT_TIMESTAMP(6),
		holder = CONNECTION_ID(), turn = CASE turn_of WHEN ? THEN turn + 1 ELSE 1 END, turn_of = ?
		WHERE entity = ? AND "partition" = ?`
	mysqlSee = `SELECT ROW_COUNT(), coalesce(max(flushes), 0),
			(SELECT concat(deployment, ' ', life) FROM afterwrite_pairings WHERE name = ?),
			coalesce(max(turn), 0), coalesce(max(turn_id), ''), coalesce(max(read_before), 0),
			coalesce(max(read_last), 0), coalesce(max(read_version), 0), coalesce(max(read_newest), 0)
		FROM afterwrite_fences WHERE entity = ? AND "partition" = ?`
)

// take changes and reads the fence's row, and returns how many there are.
func (d *mysql) take(tx *database.Transaction, entity string, partition int, f *database.Fence) (found int64,
	err error) {
	ctx, pair := tx.DB.Statement.Context, tx.Database.Settings.Pair
	say, change, see := []any{pair + "/" + entity}, []any{pair, pair, entity, partition}, []any{pair, entity, partition}
	if !d.SingleStatements() {
		err = tx.Tx.QueryRowContext(ctx, mysqlSay+"; "+mysqlTake+"; "+mysqlSee, slices.Concat(say, change, see)...).
			Scan(append([]any{&found}, f.Columns()...)...)
		return found, err
	}
	if _, err := tx.Tx.ExecContext(ctx, mysqlSay, say...); err != nil {
		return 0, err
	}
	result, err := tx.Tx.ExecContext(ctx, mysqlTake, change...)
	if err != nil {
		return 0, err
	}
	if found, err = result.RowsAffected(); err != nil || found == 0 {
		return 0, err
	}
	var others any // ROW_COUNT of a statement that was prepared is its own
	if err = tx.Tx.QueryRowContext(ctx, mysqlSee, see...).Scan(append([]any{&others}, f.Columns()...)...); err != nil {
		return 0, err
	}
	return found, d.findsRows(ctx, tx.Tx.Tx, entity, partition)
}

// Free ends the connection that holds a fence if its process has said nothing for the time of
// Config.IdleInTransaction: it is frozen, or its machine is gone. It also ends one whose
// statement is under way for longer than Config.StatementTimeout: the process has given it up,
// and the server does not notice. MariaDB does both by itself.
func (d *mysql) Free(ctx context.Context, db *sql.DB, entity string, partition int) error {
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
	err = conn.QueryRowContext(ctx, `SELECT holder FROM afterwrite_fences WHERE entity = ? AND "partition" = ?`, entity,
		partition).Scan(&holder)
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

// Upsert inserts rows. Where the table has no unique key but the id's, an existing row is
// updated by the same statement; the server does not say which key a row has hit, so the
// statement fails if it was another, as one that was made since the catalog was read.
func (d *mysql) Upsert(tx *database.Transaction, t database.Target, changes []schema.Change, fields []int) (int64,
	error) {
	rows, err := t.Fill(changes)
	if err != nil {
		return 0, database.Unfit(err)
	}
	insert := t.Naming(t.Scope(tx.DB), fields)
	if t.Plain {
		insert = insert.Clauses(clause.OnConflict{DoUpdates: d.guarded(t.Table, fields)})
	}
	if err := d.fits(sizeOf(changes)); err != nil {
		return 0, err
	}
	done := insert.Create(rows)
	if number, _ := mysqlError(done.Error); number == 1048 {
		if _, column := mysqlNames(schema.KindNotNull, done.Error.Error()); t.IsKey(column) {
			return 0, database.ErrNotPlain // no change has an id that is NULL
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

// guarded updates the columns of a row that has the id, and keeps its spelling. It sets the id of any other to NULL,
// which no key can be: the whole statement fails, and nothing was overwritten.
func (d *mysql) guarded(t *mapping.Table, fields []int) clause.Set {
	var set clause.Set
	for n, name := range t.KeyNames() {
		value := "VALUES(" + mapping.Quote(name) + ")"
		set = append(set, clause.Assignment{Column: clause.Column{Name: name},
			Value: gorm.Expr(fmt.Sprintf("CASE WHEN %s = %s THEN %[1]s END", t.Spelled(n), value))})
	}
	return append(set, clause.AssignmentColumns(t.FieldNames(fields))...)
}

// OneKey: ON DUPLICATE KEY UPDATE acts on whichever unique key a row hits.
func (*mysql) OneKey() bool { return true }

// Update joins the changes, one JSON array, with the table by its key. Its text depends on the
// fields and on the longest values, not on the rows.
func (d *mysql) Update(tx *database.Transaction, t database.Target, changes []schema.Change, fields []int) (int64,
	error) {
	ctx := tx.DB.Statement.Context
	collations, err := d.keyCollations(ctx, tx, t.Table)
	if err != nil {
		return 0, err
	}
	keys, err := t.PlainKeys(changes)
	if err != nil {
		return 0, database.Unfit(err)
	}
	rows := make([][]*string, len(changes))
	longest := make([]int, t.Keys+len(fields))
	for i, c := range changes {
		row := make([]*string, t.Keys+len(fields))
		for n := range keys {
			if t.Columns[n].Field.Type == schema.Time {
				if keys[n][i], err = datetime(keys[n][i]); err != nil {
					return 0, database.Unfit(fmt.Errorf("id %q: %w", c.ID, err))
				}
			}
			row[n] = &keys[n][i]
		}
		for j, at := range fields {
			if row[t.Keys+j], err = jsonText(t.Table, c, at); err != nil {
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
	result, err := tx.Tx.ExecContext(ctx, d.updateText(t.Table, fields, longest, collations), string(text))
	if err != nil {
		d.keys.Delete(t.Name) // it may have another collation by now
		return 0, err
	}
	return result.RowsAffected()
}

func (d *mysql) updateText(t *mapping.Table, fields, longest []int, collations []string) string {
	var columns, sets, keys []string
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
		value := fmt.Sprintf("r.c%d", j)
		if j < t.Keys {
			keys = append(keys, t.Spelled(j)+" = "+keyValue(t, j, value, collations[j]))
			continue
		}
		c := t.Column(fields[j-t.Keys])
		switch c.Field.Type {
		case schema.Bytes:
			value = "FROM_BASE64(" + value + ")"
		case schema.Bool: // a text is no bit
			value = "CAST(" + value + " AS SIGNED)"
		}
		sets = append(sets, t.Of(fields[j-t.Keys])+" = "+value)
	}
	return fmt.Sprintf("UPDATE JSON_TABLE(?, '$[*]' COLUMNS (%s)) AS r STRAIGHT_JOIN %s ON %s SET %s",
		strings.Join(columns, ", "), mapping.QuoteTable(t.Name), strings.Join(keys, " AND "), strings.Join(sets, ", "))
}

// keyValue is a value of a column of the key in a form with which an index on it is of use.
func keyValue(t *mapping.Table, n int, value, collation string) string {
	switch {
	case t.Columns[n].Field.Type == schema.Int:
		return "CAST(" + value + " AS SIGNED)"
	case t.Columns[n].Field.Type == schema.Time:
		return "CAST(" + value + " AS datetime(6))"
	case collation == ofDates:
		return "CAST(" + value + " AS date)"
	case collation != "":
		set, _, _ := strings.Cut(collation, "_")
		return "CONVERT(" + value + " USING " + set + ") COLLATE " + collation
	}
	return value
}

// ofDates stands for the collation of a column of dates.
const ofDates = "date"

// keyCollations are the collations of the key's columns; "" of one that is no text.
func (d *mysql) keyCollations(ctx context.Context, tx *database.Transaction, t *mapping.Table) ([]string, error) {
	if known, ok := d.keys.Load(t.Name); ok {
		return known.([]string), nil
	}
	at, err := catalog.ReadMySQL(ctx, tx.Tx, t.Name)
	if err != nil {
		return nil, err
	}
	all, there := make([]string, t.Keys), 0
	for n, name := range t.KeyNames() {
		if c, ok := at.Column(name); ok {
			if all[n] = c.Collation; c.Base == "date" {
				all[n] = ofDates
			}
			there++
		}
	}
	if there == t.Keys {
		d.keys.Store(t.Name, all)
	}
	return all, nil
}

// jsonText is a value as update sends it: the text that the server parses; nil is NULL.
func jsonText(t *mapping.Table, c schema.Change, i int) (*string, error) {
	text := c.Values[i]
	if text == schema.Null || text == "" {
		return nil, nil
	}
	f := t.Column(i).Field
	plain, err := mapping.PlainText(f, text)
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
		return nil, database.Unfit(fmt.Errorf("record %q: field %s: %w", c.ID, f.Name, err))
	}
	return &plain, nil
}
