package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
)

// An upsert of PostgreSQL has one array a column, which the server unnests into rows. Its
// text is that of the table and not of the batch: with a parameter for each value the
// server parses and plans tens of kilobytes for 500 rows, which takes it and the client
// longer than writing them.
//
// The arrays are of texts, and the server casts them: a value that does not fit is refused
// by the server, with a code, as it would be as a parameter. The casts carry no length, so
// a text that is too long for its column is refused at the assignment, and not cut.

// castable are the types whose explicit cast from a text takes what their parameters
// take. A cast to others, such as a domain over varchar(3), may cut a value.
var castable = []string{
	"text", "character varying", "smallint", "integer", "bigint", "real", "double precision", "numeric", "boolean",
	"timestamp with time zone", "timestamp without time zone", "date", "json", "jsonb", "uuid", "bytea",
}

func (*postgres) upsert(tx *transaction, t *table, changes []schema.Change) (int64, error) {
	statement, err := t.unnesting(tx)
	if err != nil {
		return 0, err
	}
	if statement == "" {
		return upsertRows(tx, t, changes)
	}
	arrays, err := t.arrays(changes)
	if err != nil {
		return 0, &unfitError{err}
	}
	result, err := tx.tx.ExecContext(tx.db.Statement.Context, statement, arrays...)
	if outdated(err) {
		t.unnest.Store(nil)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// outdated reports an error of class 42, of a statement that does not fit the table: a
// column may have another type by now. A refusal of what it carries says nothing of it.
func outdated(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && strings.HasPrefix(e.Code, "42")
}

// unnesting returns the table's upsert by columns, or "" where it has none.
func (t *table) unnesting(tx *transaction) (string, error) {
	if known := t.unnest.Load(); known != nil {
		return *known, nil
	}
	at, err := tx.catalog(t.name)
	if err != nil {
		return "", err
	}
	statement := ""
	if types, ok := t.casts(at); ok {
		statement = t.spellUnnest(types)
	}
	t.unnest.Store(&statement)
	return statement, nil
}

// casts are the types that the columns' values are cast to, unless one cannot be.
func (t *table) casts(at *catalog.Table) ([]string, bool) {
	types := make([]string, len(t.columns))
	for i, c := range t.columns {
		there, ok := at.Column(c.name)
		if !ok || there.Domain != "" || there.Class != catalog.Scalar || !slices.Contains(castable, there.Base) {
			return nil, false
		}
		types[i] = there.Base
	}
	return types, true
}

func (t *table) spellUnnest(types []string) string {
	var names, values, arrays, places, sets []string
	for i, c := range t.columns {
		array := "text[]"
		if c.field.Type == schema.Bytes {
			array = "bytea[]"
		}
		place := fmt.Sprintf("c%d", i)
		names = append(names, quote(c.name))
		values = append(values, "r."+place+"::"+types[i])
		arrays = append(arrays, fmt.Sprintf("$%d::%s", i+1, array))
		places = append(places, place)
		if i > 0 {
			sets = append(sets, quote(c.name)+" = excluded."+quote(c.name))
		}
	}
	action := "NOTHING"
	if len(sets) > 0 {
		action = "UPDATE SET " + strings.Join(sets, ", ")
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM unnest(%s) AS r(%s) ON CONFLICT (%s) DO %s",
		quoteTable(t.name), strings.Join(names, ", "), strings.Join(values, ", "), strings.Join(arrays, ", "),
		strings.Join(places, ", "), names[0], action)
}

// arrays are the values of changes by column.
func (t *table) arrays(changes []schema.Change) ([]any, error) {
	arrays := make([]any, len(t.columns))
	for i := range t.columns {
		array, err := t.array(i, changes)
		if err != nil {
			return nil, err
		}
		arrays[i] = array
	}
	return arrays, nil
}

func (t *table) array(i int, changes []schema.Change) (any, error) {
	some := make(texts, len(changes))
	for j, change := range changes {
		if len(change.Values) != len(t.columns)-1 {
			return nil, t.misshapen(change)
		}
		if i == 0 {
			some[j] = &changes[j].ID
			continue
		}
		text := change.Values[i-1]
		if text == schema.Null || text == "" {
			continue
		}
		plain, err := plainText(t.columns[i].field, text)
		if err != nil {
			return nil, fmt.Errorf("record %q: field %s: %w", change.ID, t.columns[i].field.Name, err)
		}
		some[j] = &plain
	}
	if t.columns[i].field.Type != schema.Bytes {
		return some, nil
	}
	binary := make([][]byte, len(some))
	for j, text := range some {
		if text != nil {
			binary[j] = []byte(*text)
		}
	}
	return binary, nil
}

// texts is an array of texts, nil for NULL, as the driver sends it.
type texts []*string

// Dimensions is of [pgtype.ArrayGetter].
func (a texts) Dimensions() []pgtype.ArrayDimension {
	return []pgtype.ArrayDimension{{Length: int32(len(a)), LowerBound: 1}}
}

// Index is of [pgtype.ArrayGetter].
func (a texts) Index(i int) any { return a[i] }

// IndexType is of [pgtype.ArrayGetter].
func (a texts) IndexType() any { return (*string)(nil) }
