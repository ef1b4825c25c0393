// Package catalog reads what a database says about a table: columns with their exact types, indexes, triggers, foreign
// keys, policies. It needs no driver: each dialect passes its connection and calls its reader, such as [ReadPostgres]
// or [ReadSQLite].
//
// From it the store decides which columns hold their fields exactly, which indexes are missing, and whether a table is
// plain enough for an upsert.
package catalog

import (
	"context"
	"database/sql"
	"strings"
)

// Querier runs queries: a [sql.DB], [sql.Conn] or [sql.Tx].
type Querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// Kind is the kind of a name in the FROM clause.
type Kind string

// The kinds of tables.
const (
	Plain       Kind = "table"
	Partitioned Kind = "partitioned table"
	View        Kind = "view"
	Foreign     Kind = "foreign table"
	Virtual     Kind = "virtual table" // SQLite
)

// Table is what a database says about one table. It is read-only once it has been read.
type Table struct {
	Name         string
	ID           string // PostgreSQL: its oid, which no other table has
	Kind         Kind
	Columns      []Column
	Indexes      []Index      // unique indexes, including those of constraints, without invalid ones
	Others       []string     // names of indexes that are not unique
	Invalid      []string     // PostgreSQL: names of indexes left by a failed CREATE INDEX CONCURRENTLY
	Triggers     []Trigger    // enabled or not, without those that the database creates for foreign keys
	Watches      []Trigger    // those of [WatchPrefix], which Triggers leaves out
	ForeignKeys  []ForeignKey // from this table to others
	References   []ForeignKey // from others, or from itself, to this table
	Checks       []string     // its CHECK and exclusion constraints; SQLite lists none
	Rules        int          // PostgreSQL: rewrite rules, without a view's own
	RowSecurity  bool         // PostgreSQL: policies apply to the connected role
	Policies     bool         // PostgreSQL: policies apply to some roles
	PartitionKey []string     // PostgreSQL: columns; an expression is ""
	Unlogged     bool         // PostgreSQL: a crash of the database empties it
	CaseFolding  bool         // names of columns are compared without regard to case
	Text         string       // SQLite: the statement that created it
	Strict       bool         // SQLite: STRICT
	Flaw         string       // why it cannot hold records, or ""
	FlawFix      string       // what to do about it
	NoRowID      bool         // SQLite: WITHOUT ROWID
}

// Column is one column.
type Column struct {
	Name      string
	Type      string   // as declared, with length or precision: "numeric(10,2)", "VARCHAR(20)"
	Base      string   // below all domains, without length, as PostgreSQL spells it; SQLite: the affinity
	Class     Class    // kind of the base type
	Domain    string   // outermost domain, or ""
	Enum      []string // labels of an enum, in its order
	Length    int      // characters of a text, bits of a bit string; 0: no limit
	Precision int      // digits of a numeric; 0: no limit
	Scale     int      // digits of a numeric after its point, if it has a precision
	Fraction  int      // digits of a second that a time keeps: 0 to 6; -1: not a time
	NotNull   bool     // of the column or of a domain
	Default   string   // expression, or ""
	Sequence  bool     // the default draws from a sequence
	Barred    string   // PostgreSQL: the name of its sequence, if the role may not draw from that
	Identity  Identity
	Generated bool   // computed from other columns: accepts no value
	RowEnd    bool   // MariaDB: the end of a row of a system versioned table, the same in all rows of today
	Hidden    bool   // SQLite: left out of SELECT *
	Collation string // other than the database's own or binary, or ""
	Folds     bool   // treats some different values as equal: a collation, or a type such as citext
	Replaces  string // MySQL: why the server may store another value than it was given, or ""
	Bytes     int    // MySQL: bytes of a text without a length, from which it cuts blanks off; 0: no limit
}

// AnyCase reports whether the column takes a text in another case for the same.
func (c Column) AnyCase() bool {
	return strings.HasSuffix(c.Collation, "_ci") || strings.EqualFold(c.Collation, "NOCASE")
}

// Class is the kind of a type.
type Class string

// The classes of types.
const (
	Scalar    Class = "scalar"
	Enum      Class = "enum"
	Array     Class = "array"
	Composite Class = "composite"
	Range     Class = "range"
)

// Identity says how a column gets its numbers.
type Identity string

// The kinds of identity columns. SQLite's INTEGER PRIMARY KEY is one by default.
const (
	NoIdentity Identity = ""
	ByDefault  Identity = "BY DEFAULT"
	Always     Identity = "ALWAYS" // accepts no value
)

// Filled reports whether the database gives a value to a row that is inserted without the column.
func (c Column) Filled() bool { return c.Default != "" || c.Identity != NoIdentity || c.Generated }

// Computed reports whether the column accepts only the database's own values.
func (c Column) Computed() bool { return c.Generated || c.Identity == Always }

// Index is a unique index or constraint.
type Index struct {
	Name       string // SQLite: "" is the INTEGER PRIMARY KEY
	Primary    bool
	Constraint bool // it belongs to a constraint of the same name
	Deferrable bool // checked late; ON CONFLICT cannot use it
	Parts      []Part
	Where      string // condition of a partial index, or ""
	NullsSame  bool   // NULLS NOT DISTINCT
}

// Part is one column or expression of an index.
type Part struct {
	Column     string // "" for an expression
	Expression string
	Collation  string // collation that treats different values as equal, or ""; PostgreSQL: also such a type
}

// Over reports whether the index makes exactly these columns unique together, in any order, for all rows, and
// distinguishes all values.
func (x Index) Over(columns ...string) bool {
	return x.Where == "" && x.over(columns) && !x.folds()
}

// OverWhere is [Index.Over] for the rows that meet a condition, in any of the spellings that [SameCondition] accepts.
func (x Index) OverWhere(where string, columns ...string) bool {
	return x.Where != "" && x.over(columns) && SameCondition(x.Where, where)
}

func (x Index) over(columns []string) bool {
	if len(x.Parts) != len(columns) || x.NullsSame {
		return false
	}
	for _, p := range x.Parts {
		if p.Column == "" || !has(columns, p.Column) {
			return false
		}
	}
	return true
}

// folds reports whether the index treats some different values as equal.
func (x Index) folds() bool {
	for _, p := range x.Parts {
		if p.Collation != "" {
			return true
		}
	}
	return false
}

func has(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// Event is an event that fires a trigger.
type Event string

// The events of triggers.
const (
	Insert Event = "INSERT"
	Update Event = "UPDATE"
	Delete Event = "DELETE"
)

// WatchPrefix begins the names of the triggers with which the store notes what other programs write. They change no
// row, so they say nothing about how the table takes a write.
const WatchPrefix = "afterwrite_watch_"

// setTriggers keeps the triggers that were read.
func (t *Table) setTriggers(all []Trigger) {
	for _, trigger := range all {
		if strings.HasPrefix(trigger.Name, WatchPrefix) {
			t.Watches = append(t.Watches, trigger)
		} else {
			t.Triggers = append(t.Triggers, trigger)
		}
	}
}

// Trigger is a trigger of the table itself.
type Trigger struct {
	Name     string
	Before   bool // BEFORE or INSTEAD OF
	Instead  bool
	Row      bool // FOR EACH ROW
	Events   []Event
	Columns  []string // of UPDATE OF; nil is all
	Deferred bool     // PostgreSQL: can run as late as COMMIT
	Enabled  bool     // fires for writes of an ordinary session
	Source   string   // what it does: SQLite and MySQL: its text; PostgreSQL: that of its function
	Body     string   // SQLite: its text; PostgreSQL: its function and a hash of the function's text
}

// On reports whether the trigger is enabled and fires on one of the events.
func (t Trigger) On(events ...Event) bool {
	if !t.Enabled {
		return false
	}
	for _, e := range events {
		for _, own := range t.Events {
			if own == e {
				return true
			}
		}
	}
	return false
}

// ForeignKey is a foreign key between two tables.
type ForeignKey struct {
	Name       string // SQLite has no names
	Table      string // table that refers; PostgreSQL: spelled as an identifier
	TableID    string // what distinguishes it from tables of the same name in other schemas
	Columns    []string
	RefTable   string // table that is referred to
	RefColumns []string
	OnDelete   string // "NO ACTION", "RESTRICT", "CASCADE", "SET NULL", "SET DEFAULT"
	OnUpdate   string
	Deferrable bool
	Enforced   bool // SQLite enforces keys only if the connection requests it, as the store does
}

// Changes reports whether the database changes rows of other tables by itself when a row of this one is deleted, or
// gets other values.
func (t *Table) Changes() bool {
	for _, key := range t.References {
		if Follows(key.OnDelete) || Follows(key.OnUpdate) {
			return true
		}
	}
	return false
}

// Follows reports whether an action of a foreign key changes the rows that refer.
func Follows(action string) bool {
	return action == "CASCADE" || action == "SET NULL" || action == "SET DEFAULT"
}

// Exists reports whether the table exists.
func (t *Table) Exists() bool { return len(t.Columns) > 0 }

// Column returns the column that a quoted name means in SQL.
func (t *Table) Column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name || (t.CaseFolding && strings.EqualFold(c.Name, name)) {
			return c, true
		}
	}
	return Column{}, false
}

// Unique reports whether an index makes exactly these columns unique for all rows, and ON CONFLICT can use it.
func (t *Table) Unique(columns ...string) bool {
	_, ok := t.index(func(x Index) bool { return x.Over(t.spelled(columns)...) })
	return ok && !t.DeferrableUnique(columns...)
}

// DeferrableUnique reports whether a constraint that can be checked as late as COMMIT makes these columns unique. Then
// ON CONFLICT refuses them, also where another index is on them.
func (t *Table) DeferrableUnique(columns ...string) bool {
	_, ok := t.index(func(x Index) bool { return x.Deferrable && x.Over(t.spelled(columns)...) })
	return ok
}

// UniqueWhere reports whether an index makes exactly these columns unique for the rows that meet a condition; "" is all
// rows. An index that ON CONFLICT cannot use counts, and so does one that treats different values as equal: a further
// index would allow no more.
func (t *Table) UniqueWhere(where string, columns ...string) bool {
	names := t.spelled(columns)
	_, ok := t.index(func(x Index) bool {
		if where == "" {
			return x.Where == "" && x.over(names)
		}
		return x.OverWhere(where, names...)
	})
	return ok
}

// Loose says why a unique index on exactly these columns takes different values for the same, or returns "". exact
// reports whether that concerns only columns for which folds is true.
func (t *Table) Loose(folds func(column string) bool, columns ...string) (why string, exact bool) {
	x, ok := t.index(func(x Index) bool {
		return x.Where == "" && !x.Deferrable && x.over(t.spelled(columns)) && x.folds()
	})
	if !ok {
		return "", false
	}
	exact = true
	for _, p := range x.Parts {
		if p.Collation == "" {
			continue
		}
		if !folds(p.Column) {
			return p.Collation, false
		}
		why = p.Collation
	}
	return why, exact
}

// IndexNamed returns the unique index or constraint with a name.
func (t *Table) IndexNamed(name string) (Index, bool) {
	return t.index(func(x Index) bool { return x.Name == name })
}

func (t *Table) index(fits func(Index) bool) (Index, bool) {
	for _, x := range t.Indexes {
		if fits(x) {
			return x, true
		}
	}
	return Index{}, false
}

// spelled returns the names as the table spells them.
func (t *Table) spelled(names []string) []string {
	spelled := make([]string, len(names))
	for i, name := range names {
		spelled[i] = name
		if c, ok := t.Column(name); ok {
			spelled[i] = c.Name
		}
	}
	return spelled
}

// Fires returns the enabled triggers of one of the events.
func (t *Table) Fires(events ...Event) []Trigger {
	var fires []Trigger
	for _, trigger := range t.Triggers {
		if trigger.On(events...) {
			fires = append(fires, trigger)
		}
	}
	return fires
}

// SameCondition compares the conditions of partial indexes as text, ignoring case, quotes, casts and parentheses.
func SameCondition(a, b string) bool { return plainCondition(a) == plainCondition(b) }

func plainCondition(s string) string {
	var out strings.Builder
	literal := false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\'':
			literal = !literal
			out.WriteByte(c)
		case literal:
			out.WriteByte(c)
		case c == ':' && i+1 < len(s) && s[i+1] == ':':
			i = endOfCast(s, i+2) - 1
		case strings.IndexByte(" \t\r\n()\"`[];", c) >= 0:
		default:
			out.WriteString(strings.ToLower(string(c)))
		}
	}
	return strings.ReplaceAll(out.String(), "!=", "<>")
}

// castWords are words that go on the name of a type after a blank.
var castWords = []string{"varying", "precision", "with", "without", "time", "zone"}

// endOfCast is the place after the name of the type that begins at i.
func endOfCast(s string, i int) int {
	word := func(i int) int {
		for i < len(s) && (s[i] == '_' || s[i] == '"' || s[i] == '.' || s[i] == '[' || s[i] == ']' ||
			s[i] >= '0' && s[i] <= '9' || s[i]|32 >= 'a' && s[i]|32 <= 'z') {
			i++
		}
		return i
	}
	i = word(i)
	for i < len(s) && s[i] == ' ' {
		end := word(i + 1)
		if !has(castWords, strings.ToLower(s[i+1:end])) {
			break
		}
		i = end
	}
	if i+1 < len(s) && s[i] == '(' && s[i+1] >= '0' && s[i+1] <= '9' { // its length
		i += strings.IndexByte(s[i:]+")", ')') + 1
	}
	return min(i, len(s))
}
