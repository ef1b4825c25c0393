package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// TestTableStaysAsItWasLookedAt: no ALTER TABLE passes between a flush's look at its table and its first row. Where
// one did, a table without its key took a second row for an id.
func TestTableStaysAsItWasLookedAt(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]struct {
		url   func(t *testing.T) string
		alter string
	}{
		"postgres": {func(t *testing.T) string { return testkit.Postgres(t).Database(t) },
			`SET lock_timeout = '100ms'; ALTER TABLE %s DROP CONSTRAINT %s_pkey`},
		"mariadb": {func(t *testing.T) string { return testkit.MariaDB(t).Database(t) },
			`SET STATEMENT lock_wait_timeout = 1 FOR ALTER TABLE %s DROP PRIMARY KEY`},
		"mysql": {func(t *testing.T) string { return testkit.MySQL(t).Database(t) },
			`SET SESSION lock_wait_timeout = 1; ALTER TABLE %s DROP PRIMARY KEY`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := account(t)
			b := setup(t, of.url(t), []*schema.Entity{e})
			db := b.connect()
			t.Cleanup(func() { _ = db.Close() })
			passed, tried := true, false
			look := b.faults.Inject(testkit.Refuse, func(statement string) bool {
				plain := strings.NewReplacer("`", "", `"`, "").Replace(statement)
				writes := strings.Contains(plain, "INSERT INTO "+e.Table) || strings.Contains(plain, "UPDATE "+e.Table)
				if writes && !tried {
					tried = true
					_, err := db.ExecContext(context.Background(), strings.ReplaceAll(of.alter, "%s", e.Table))
					passed = err == nil
				}
				return false
			})
			defer look.Release()
			b.flush(e, put("a", `"a@x"`, "1"))
			require.True(t, tried)
			require.False(t, passed, "the key was dropped during a flush")
		})
	}
}
