package mysql

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
)

// Draw reserves numbers of AUTO_INCREMENT by rows that it inserts and takes back: InnoDB's counter is not rolled back,
// and is kept through a restart (MariaDB 10.2.4, MySQL 8.0). ALTER TABLE … AUTO_INCREMENT would wait for every
// transaction on the table, and could not tell which numbers others draw meanwhile.
//
// Since the rows are taken back, checks and foreign keys are off for them, and columns that must be given get a value
// of their type. Triggers run, and what they write is taken back, too.
func (d *mysql) Draw(ctx context.Context, tx *database.Transaction, t *mapping.Table, at *catalog.Table,
	key catalog.Column, n int) (
	[]int64, error) {
	if key.Sequence {
		return database.Numbers(ctx, tx, "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < ?) SELECT "+
			key.Default+" FROM r", n)
	}
	if err := tx.Save(); err != nil {
		return nil, err
	}
	numbers, err := d.placeholders(ctx, tx, t, at, key, n)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT afterwrite"); err != nil {
		return nil, err
	}
	// InnoDB syncs its log at a commit that changes something: then the counter is on the disk.
	if _, err := tx.Lock("", 0); err != nil {
		return nil, err
	}
	_, err = tx.Tx.ExecContext(ctx, "DELETE FROM afterwrite_fences WHERE entity = ''")
	return numbers, err
}

// placeholders inserts rows and returns their numbers. MariaDB returns each; MySQL the first, which the others follow
// where the server knows their number beforehand: with triggers it may not, so there it is one row.
func (d *mysql) placeholders(ctx context.Context, tx *database.Transaction, t *mapping.Table, at *catalog.Table,
	key catalog.Column,
	n int) ([]int64, error) {
	if !d.maria() && len(at.Fires(catalog.Insert)) > 0 {
		n = 1
	}
	insert, args := placeholderRows(t, at, key, n)
	if d.maria() {
		return database.Numbers(ctx, tx, "SET STATEMENT foreign_key_checks = 0, check_constraint_checks = 0, sql_mode = '' FOR INSERT "+
			insert+" RETURNING "+backquote(key.Name), args...)
	}
	step, err := database.Numbers(ctx, tx, "SELECT @@auto_increment_increment")
	if err != nil {
		return nil, err
	}
	// A mode that is not strict; an empty one is a syntax error, for which the server leaves out all hints.
	done, err := tx.Tx.ExecContext(ctx, "INSERT /*+ SET_VAR(foreign_key_checks = 0) SET_VAR(sql_mode = 'NO_ENGINE_SUBSTITUTION') */ "+insert,
		args...)
	if err != nil {
		return nil, err
	}
	first, err := done.LastInsertId()
	if err != nil {
		return nil, err
	}
	numbers := make([]int64, n)
	for i := range numbers {
		numbers[i] = first + int64(i)*step[0]
	}
	return numbers, nil
}

// placeholderRows spells n rows, without the word INSERT. Where no unique key is in the way a row has no value but its
// number.
func placeholderRows(t *mapping.Table, at *catalog.Table, key catalog.Column, n int) (insert string, args []any) {
	columns, values := []string{backquote(key.Name)}, []string{"NULL"}
	var made []catalog.Column
	for _, x := range at.Indexes {
		c, ok := distinguishing(at, x, key)
		if !ok || slices.Contains(columns, backquote(c.Name)) {
			continue
		}
		columns = append(columns, backquote(c.Name))
		if !c.NotNull {
			values = append(values, "NULL")
			continue
		}
		values, made = append(values, "?"), append(made, c)
	}
	row := "(" + strings.Join(values, ", ") + ")"
	rows := make([]string, n)
	for i := range rows {
		rows[i] = row
		for _, c := range made {
			args = append(args, placeholder(c))
		}
	}
	names := strings.Split(t.Name, ".")
	for i := range names {
		names[i] = backquote(names[i])
	}
	return fmt.Sprintf("INTO %s (%s) VALUES %s", strings.Join(names, "."), strings.Join(columns, ", "),
		strings.Join(rows, ", ")), args
}

// distinguishing is the column of a unique key by which rows differ: one that may be NULL, if there is one. A key that
// the number is part of needs none.
func distinguishing(at *catalog.Table, x catalog.Index, key catalog.Column) (one catalog.Column, ok bool) {
	for _, p := range x.Parts {
		c, known := at.Column(p.Column)
		switch {
		case p.Column == key.Name:
			return one, false
		case !known || c.Generated:
		case !ok || !c.NotNull:
			one, ok = c, true
		}
	}
	return one, ok
}

// placeholder is a value that hardly another row of a column has.
func placeholder(c catalog.Column) any {
	base, _ := strings.CutSuffix(c.Base, " unsigned")
	if bits, ok := catalog.IntegerBits(base); ok {
		return rand.Int64N(1 << min(bits-1, 62))
	}
	switch base {
	case "numeric":
		digits := min(c.Precision-c.Scale, 18)
		most := int64(1)
		for range digits {
			most *= 10
		}
		return rand.Int64N(most)
	case "real", "double precision":
		return rand.Int64N(1 << 24)
	case "date", "timestamp without time zone", "timestamp with time zone":
		return time.Unix(1e9+rand.Int64N(1e9), 0).UTC().Format(time.DateTime)
	case "uuid":
		return uuid.NewString()
	}
	id := uuid.New()
	text := hex.EncodeToString(id[:])
	if c.Length > 0 && c.Length < len(text) {
		text = text[len(text)-c.Length:]
	}
	return text
}

// backquote spells a name in any SQL mode.
func backquote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }
