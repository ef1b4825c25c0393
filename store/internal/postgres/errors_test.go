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
