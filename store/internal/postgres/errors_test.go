package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// A row that a policy hides is its record's fault, a right that the role lacks is no record's. Both have one code.
func TestAPolicyIsNoMissingRight(t *testing.T) {
	t.Parallel()
	d := &postgres{}
	hidden := &pgconn.PgError{Code: "42501", Routine: "ExecWithCheckOptions", Message: "new row violates"}
	r, refused := d.Classify(hidden)
	require.True(t, refused)
	require.Equal(t, schema.KindCheck, r.Kind)
	require.False(t, d.OfTable(hidden))
	denied := &pgconn.PgError{Code: "42501", Routine: "aclcheck_error", Message: "permission denied"}
	_, refused = d.Classify(denied)
	require.False(t, refused)
	require.True(t, d.OfTable(denied))
}

// A text that a type cannot read is its record's fault though the code is that of a statement.
func TestAValueIsNoStatement(t *testing.T) {
	t.Parallel()
	d := &postgres{}
	for where, ofValue := range map[string]bool{
		"": true, "unnamed portal parameter $3 = '...'": true, "unbenanntes Portal, Parameter $3": true,
		"PL/pgSQL function f() line 1 at SQL statement":                                        false,
		"SQL statement \"INSERT INTO a VALUES ($1)\"\nPL/pgSQL function f() line 1 at EXECUTE": false,
	} {
		for _, code := range []string{"42601", "3F000"} {
			r, refused := d.Classify(&pgconn.PgError{Code: code, Where: where})
			require.Equal(t, ofValue, refused, where)
			if refused {
				require.Equal(t, schema.KindType, r.Kind)
				require.False(t, d.OfTable(&pgconn.PgError{Code: code, Where: where}), "no record of the table fails alike")
				require.False(t, d.Suspect(&pgconn.PgError{Code: code, Where: where}))
			}
			_, refused = d.Classify(&pgconn.PgError{Code: code, Where: where, Position: 13})
			require.False(t, refused)
		}
	}
}

// A type of an extension may call what it cannot read an error within the server.
func TestAValueThatATypeCannotReadIsRefused(t *testing.T) {
	t.Parallel()
	d := &postgres{}
	for code, want := range map[string]schema.Kind{
		"XX000": schema.KindType, "23514": schema.KindCheck, "22001": schema.KindRange, "57014": "", "53200": "",
		"0A000": "",
	} {
		r, refused := d.Classify(&pgconn.PgError{Code: code, Where: "unnamed portal parameter $3 = '...'"})
		require.Equal(t, want != "", refused, code)
		require.Equal(t, want, r.Kind)
	}
	_, refused := d.Classify(&pgconn.PgError{Code: "XX000"})
	require.False(t, refused)
}
