package store_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/survey"
)

// Rights of columns, which a role lacks, are named before a write waits for them; and a read says that it is denied.
func TestRightsThatTheRoleLacksAreNamed(t *testing.T) {
	onEach(t, func(t *testing.T, raw string) {
		e := account(t)
		owner := setup(t, raw, []*schema.Entity{e})
		if owner.Dialect() == "sqlite" {
			lines, err := survey.Of(owner.Store).Rights(t.Context())
			require.NoError(t, err)
			require.Empty(t, lines)
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		role := "role_" + strings.TrimPrefix(u.Path, "/")[len(u.Path)-10:]
		to := role
		if owner.Dialect() == "mysql" {
			to = role + "@'127.0.0.1'"
			owner.exec("CREATE USER " + to)
			t.Cleanup(func() { owner.exec("DROP USER " + to) })
		} else {
			owner.exec("CREATE ROLE " + role + " LOGIN")
			owner.exec("GRANT USAGE ON SCHEMA public TO " + role)
		}
		u.User = url.User(role)
		lacks := func(grant string) (*bench, []string) {
			owner.exec("GRANT " + grant + " ON accounts TO " + to)
			b := open(t, u.String(), []*schema.Entity{e})
			lines, err := survey.Of(b.Store).Rights(t.Context())
			require.NoError(t, err)
			return b, lines
		}
		b, lines := lacks("SELECT (id, age), UPDATE (age)")
		require.Len(t, lines, 1)
		require.Contains(t, lines[0], "no right to SELECT, INSERT, UPDATE, DELETE the columns of account; GRANT ")
		_, err = b.Load(t.Context(), e, []string{"a"})
		require.ErrorIs(t, err, schema.ErrSchema)
		require.Contains(t, problem.Of(err).Detail, "no right to read the table accounts")

		// A program that locks the table, as CREATE INDEX does for long, keeps no process from starting.
		lock, known := "LOCK TABLE accounts IN ACCESS EXCLUSIVE MODE", lines
		if owner.Dialect() == "mysql" {
			lock, known = "LOCK TABLES accounts WRITE", nil
		}
		db := owner.connect()
		db.SetMaxOpenConns(1)
		tx, err := db.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), lock)
		require.NoError(t, err)
		lines, err = survey.Of(b.Store).Rights(t.Context())
		require.NoError(t, err)
		require.Equal(t, known, lines)
		require.NoError(t, tx.Rollback())
		if owner.Dialect() == "mysql" {
			_, err = db.ExecContext(t.Context(), "UNLOCK TABLES")
			require.NoError(t, err)
		}

		_, lines = lacks("SELECT, INSERT, DELETE, UPDATE (email, age)")
		require.Empty(t, lines)
	})
}
