package migrations

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Of two migrations with one number a database that has one would never get the other.
func TestOwnMigrationsHaveNumbersOfTheirOwn(t *testing.T) {
	for _, dialect := range []string{"sqlite", "postgres", "mysql"} {
		all, err := Of(dialect)
		require.NoError(t, err)
		files := map[int64]string{}
		for _, m := range all {
			require.Empty(t, files[m.Version], "of %s", m.file)
			files[m.Version] = m.file
		}
	}
}

func TestStatementsOfAMigration(t *testing.T) {
	require.Equal(t, []string{"A", "B;\nC", "D"},
		statements("A;\n"+beginWhole+"B;\nC;\n"+endWhole+"D;\n"))
}
