package postgres

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

func pgCode(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) && len(e.Code) == 5 {
		return e.Code
	}
	return ""
}

func (*postgres) Missing(err error) bool {
	return slices.Contains([]string{"42P01", "42703", "3F000"}, pgCode(err))
}

// Incomparable is a type without an operator (42883), as json, xml and point, or a composite one, of which a parameter
// has no type of its own (0A000).
func (*postgres) Incomparable(err error) bool {
	return slices.Contains([]string{"42883", "0A000"}, pgCode(err))
}

// Denied leaves out the rows that a policy does not let in, which are refused.
func (*postgres) Denied(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "42501" && !hiddenByPolicy(e)
}

// Away is a read-only server or session (25006), resources that have run out (53), an
// operator who ends sessions (57P), errors of the system beneath (58), and damaged data
// or indexes (XX001, XX002).
func (d *postgres) Away(err error) bool {
	code := pgCode(err)
	switch {
	case code == "":
		return false
	case d.ReadOnly(err) || code == "XX001" || code == "XX002":
		return true
	}
	return strings.HasPrefix(code, "57P") || slices.Contains([]string{"53", "58"}, code[:2])
}

func (*postgres) ReadOnly(err error) bool { return pgCode(err) == "25006" }

// Conflict is a failed serialization (40001) or a deadlock (40P01).
func (*postgres) Conflict(err error) bool {
	code := pgCode(err)
	return code == "40001" || code == "40P01"
}

func (d *postgres) Blocked(err error) bool { return pgCode(err) == "55P03" || d.Conflict(err) }

// Suspect leaves out permissions (42501), which only an operator can fix, and a lost
// connection.
func (*postgres) Suspect(err error) bool {
	code := pgCode(err)
	var e *pgconn.PgError
	switch {
	case code == "", code == "42501", errors.As(err, &e) && ofValue(e):
		return false
	case code == "57014":
		return true
	}
	return slices.Contains([]string{"0A", "40", "42", "XX"}, code[:2])
}

// OfTable is a statement that the server cannot plan or may not run (42), that asks for what
// it does not support (0A), or that meets an object in another state than it needs (55).
func (*postgres) OfTable(err error) bool {
	code := pgCode(err)
	var e *pgconn.PgError
	if errors.As(err, &e) && (hiddenByPolicy(e) || ofValue(e)) {
		return false
	}
	return code != "" && code != "55P03" && slices.Contains([]string{"0A", "42", "55"}, code[:2])
}

// Hung is a statement that was cancelled (57014), by its timeout as a rule, or that did not
// get a lock in time (55P03).
func (*postgres) Hung(err error) bool {
	code := pgCode(err)
	return code == "57014" || code == "55P03"
}

func (*postgres) Classify(err error) (schema.Refusal, bool) {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return schema.Refusal{}, false
	}
	kind, ok := postgresKind(e.Code)
	switch {
	case hiddenByPolicy(e):
		kind, ok = schema.KindCheck, true
	case !ok && ofValue(e):
		kind, ok = schema.KindType, true
	case !ok && raised(e):
		kind, ok = schema.KindPoison, true
	}
	if !ok {
		return schema.Refusal{}, false
	}
	// Not the detail: it holds the values, and would make every message its own group.
	return fault.Refusal(kind, e.ConstraintName, e.ColumnName, e.Message), true
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

// hiddenByPolicy tells a row that a policy of row-level security hides, or does not let in, from a role without a right
// to the table. Both have the code 42501; the server's function that reports it is not translated, as messages are.
func hiddenByPolicy(e *pgconn.PgError) bool {
	return e.Code == "42501" && e.Routine == "ExecWithCheckOptions"
}

// ofValue reports whether a type could not read the text of a value, though the code is that of a statement: one of
// tsvector, ltree or jsonpath is a syntax error (42601, 42602), one of regclass a missing table or schema (42P01,
// 3F000). Such an error has a position if it is of our statement, and another context than a parameter if it is of a
// function.
func ofValue(e *pgconn.PgError) bool {
	switch {
	case len(e.Code) != 5 || e.Position != 0 || e.InternalPosition != 0:
		return false
	case ofParameter.MatchString(e.Where): // hstore has XX000, that of an error within the server
		return !slices.Contains([]string{"0A", "53", "57", "58"}, e.Code[:2])
	}
	return e.Where == "" && slices.Contains([]string{"42601", "42602", "42P01", "3F000"}, e.Code)
}

// raised reports whether a trigger or function has raised an error with a code of its author's, such as 45000 or ZZ001.
// Codes by which the server tells of its own troubles are taken for such.
func raised(e *pgconn.PgError) bool {
	return e.Routine == "exec_stmt_raise" && len(e.Code) == 5 &&
		!slices.Contains([]string{"08", "0A", "25", "40", "42", "53", "55", "57", "58", "XX"}, e.Code[:2])
}

// ofParameter matches the context of a parameter that could not be read, in any language.
var ofParameter = regexp.MustCompile(`^[^\n"]* \$\d+( = [^\n]*)?$`)

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
