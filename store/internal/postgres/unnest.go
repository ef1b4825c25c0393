package postgres

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/mapping"
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

func (*postgres) Upsert(tx *database.Transaction, to database.Target, changes []schema.Change, fields []int) (int64,
	error) {
	t, u := to.Table, to.Own.(*unnesting)
	columns := positionsOf(t)
	if fields != nil {
		columns = withKeyOf(t, fields)
	}
	if !u.casts(columns) {
		return database.UpsertRows(tx, to, changes, fields, overridesOf(t, to.Catalog))
	}
	insert := u.insert
	if fields != nil {
		insert = u.insertOf(t, columns, to.Catalog)
	}
	return u.run(tx, t, insert, changes, columns)
}

// withKeyOf are the positions of the columns of some fields, behind those of the key.
func withKeyOf(t *mapping.Table, fields []int) []int {
	columns := positionsOf(t)[:t.Keys]
	for _, field := range fields {
		columns = append(columns, t.Place[field])
	}
	return columns
}

func (*postgres) Update(tx *database.Transaction, to database.Target, changes []schema.Change, fields []int) (int64,
	error) {
	t, u := to.Table, to.Own.(*unnesting)
	columns := withKeyOf(t, fields)
	if !u.casts(columns) {
		return database.UpdateEach(tx, t, changes, fields)
	}
	return u.run(tx, t, u.update(t, columns), changes, columns)
}

// run executes a statement that has an array for each of some columns.
func (u *unnesting) run(tx *database.Transaction, t *mapping.Table, statement string, changes []schema.Change,
	columns []int) (int64, error) {
	arrays, err := arraysOf(t, changes, columns)
	if err != nil {
		return 0, database.Unfit(err)
	}
	if u.keep {
		arrays = u.dialect.kept(arrays...)
	}
	result, err := tx.Tx.ExecContext(tx.DB.Statement.Context, statement, arrays...)
	if err != nil {
		return 0, u.dialect.forgotten(err)
	}
	return result.RowsAffected()
}

// unnestingOf is how a table's values are sent by columns.
type unnesting struct {
	dialect *postgres
	keep    bool     // a session may keep the statements, see kept.go
	types   []string // of the columns, without their lengths; "" where a text is not cast to it exactly
	insert  string   // the upsert of all columns; "": there is none
	updates sync.Map // positions of columns, spelled → the update of them
	inserts sync.Map // likewise the upsert of some columns
}

// casts reports whether all of those columns have a type that a text is cast to exactly.
func (u *unnesting) casts(columns []int) bool {
	return !slices.ContainsFunc(columns, func(i int) bool { return u.types[i] == "" })
}

// Prepare keeps how the table's values are sent.
func (d *postgres) Prepare(t *mapping.Table, at *catalog.Table) any { return d.unnestingOf(t, at) }

// unnestingOf returns how the table's values are sent.
func (d *postgres) unnestingOf(t *mapping.Table, at *catalog.Table) *unnesting {
	u := &unnesting{dialect: d, keep: !at.Policies, types: castsOf(t, at)}
	if u.casts(positionsOf(t)) {
		u.insert = spellInsertOf(t, positionsOf(t), u.types, at)
	}
	return u
}

// positionsOf are those of all columns.
func positionsOf(t *mapping.Table) []int {
	all := make([]int, len(t.Columns))
	for i := range all {
		all[i] = i
	}
	return all
}

// castsOf are the types that the columns' values are cast to, "" where one cannot be.
func castsOf(t *mapping.Table, at *catalog.Table) []string {
	types := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		there, ok := at.Column(c.Name)
		switch {
		case !ok || there.Domain != "":
		case there.Class == catalog.Enum:
			types[i] = there.Type
		case there.Class == catalog.Scalar && slices.Contains(castable, there.Base):
			types[i] = there.Base
		}
	}
	return types
}

// spellUnnest spells the arrays of some columns as rows, the first $1.
func spellUnnestOf(t *mapping.Table, columns []int) string {
	arrays, places := make([]string, len(columns)), make([]string, len(columns))
	for n, i := range columns {
		array := "text[]"
		if t.Columns[i].Field.Type == schema.Bytes {
			array = "bytea[]"
		}
		arrays[n] = fmt.Sprintf("$%d::%s", n+1, array)
		places[n] = fmt.Sprintf("c%d", i)
	}
	return "unnest(" + strings.Join(arrays, ", ") + ") AS r(" + strings.Join(places, ", ") + ")"
}

// overriding lets an INSERT give a number to a key that is GENERATED ALWAYS AS IDENTITY.
const overriding = "OVERRIDING SYSTEM VALUE "

// overridesOf is overriding where the key needs it, otherwise "".
func overridesOf(t *mapping.Table, at *catalog.Table) string {
	if c, ok := at.Column(t.Columns[0].Name); ok && c.Identity == catalog.Always {
		return overriding
	}
	return ""
}

// insertOf returns the upsert of some columns, of which the first are the key's.
func (u *unnesting) insertOf(t *mapping.Table, columns []int, at *catalog.Table) string {
	key := fmt.Sprint(columns)
	if known, ok := u.inserts.Load(key); ok {
		return known.(string)
	}
	statement := spellInsertOf(t, columns, u.types, at)
	u.inserts.Store(key, statement)
	return statement
}

func spellInsertOf(t *mapping.Table, columns []int, types []string, at *catalog.Table) string {
	var names, values, sets []string
	for _, i := range columns {
		c := &t.Columns[i]
		names = append(names, mapping.Quote(c.Name))
		values = append(values, fmt.Sprintf("r.c%d::%s", i, types[i]))
		if i >= t.Keys {
			sets = append(sets, mapping.Quote(c.Name)+" = excluded."+mapping.Quote(c.Name))
		}
	}
	action := "NOTHING"
	if len(sets) > 0 {
		action = "UPDATE SET " + strings.Join(sets, ", ")
	}
	conflict := fmt.Sprintf(" ON CONFLICT (%s) DO %s", strings.Join(names[:t.Keys], ", "), action)
	if at.Rules > 0 {
		conflict = "" // a table with rules takes none; what others insert meanwhile is refused, and updated later
	}
	return fmt.Sprintf("INSERT INTO %s (%s) %sSELECT %s FROM %s%s", mapping.QuoteTable(t.Name), strings.Join(names, ", "),
		overridesOf(t, at), strings.Join(values, ", "), spellUnnestOf(t, columns), conflict)
}

// update returns the update of some columns, of which the first are the key's.
//
// The ids are there twice: the planner then takes them from the key's index, and joins the
// few rows that it has found. By the join alone it may read the whole table. Of a key of
// several columns there is no such list that an index finds.
func (u *unnesting) update(t *mapping.Table, columns []int) string {
	key := fmt.Sprint(columns)
	if known, ok := u.updates.Load(key); ok {
		return known.(string)
	}
	sets := make([]string, len(columns)-t.Keys)
	for n, i := range columns[t.Keys:] {
		sets[n] = fmt.Sprintf("%s = r.c%d::%s", mapping.Quote(t.Columns[i].Name), i, u.types[i])
	}
	var keys []string
	for n, name := range t.KeyNames() {
		keys = append(keys, fmt.Sprintf("t.%s = r.c%d::%s", mapping.Quote(name), n, u.types[n]))
	}
	if !t.Composite() {
		keys = append(keys, fmt.Sprintf("t.%s = ANY($1::text[]::%s[])", mapping.Quote(t.Columns[0].Name), u.types[0]))
	}
	statement := fmt.Sprintf("UPDATE %s AS t SET %s FROM %s WHERE %s", mapping.QuoteTable(t.Name), strings.Join(sets, ", "),
		spellUnnestOf(t, columns), strings.Join(keys, " AND "))
	u.updates.Store(key, statement)
	return statement
}

// arraysOf are the values of changes by column.
func arraysOf(t *mapping.Table, changes []schema.Change, columns []int) ([]any, error) {
	arrays := make([]any, len(columns))
	keys, err := t.PlainKeys(changes)
	if err != nil {
		return nil, err
	}
	for n, i := range columns {
		if i < t.Keys {
			some := make(texts, len(changes))
			for j := range keys[i] {
				some[j] = &keys[i][j]
			}
			arrays[n] = some
			continue
		}
		array, err := arrayOf(t, i, changes)
		if err != nil {
			return nil, err
		}
		arrays[n] = array
	}
	return arrays, nil
}

func arrayOf(t *mapping.Table, i int, changes []schema.Change) (any, error) {
	some, plain := make(texts, len(changes)), make([]string, len(changes))
	for j := range changes {
		text := changes[j].Values[t.Columns[i].At]
		if text == schema.Null || text == "" {
			continue
		}
		var err error
		if plain[j], err = mapping.PlainText(t.Columns[i].Field, text); err != nil {
			return nil, fmt.Errorf("record %q: field %s: %w", changes[j].ID, t.Columns[i].Field.Name, err)
		}
		some[j] = &plain[j]
	}
	if t.Columns[i].Field.Type != schema.Bytes {
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
