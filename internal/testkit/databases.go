package testkit

import (
	"path/filepath"
	"testing"

	_ "github.com/afterwrite/afterwrite/store/sqlite" // so that every store of a test opens sqlite:// URLs
)

// SQLite returns the URL of a fresh SQLite file, removed when t ends.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite://" + filepath.Join(t.TempDir(), "test.db")
}

// AllDatabases runs fn as [Databases] does, and on MySQL itself beside MariaDB.
func AllDatabases(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("mysql", func(t *testing.T) { fn(t, MySQL(t).Database(t)) })
	Databases(t, fn)
}

// Databases runs fn as a subtest on each dialect, with the URL of a fresh database.
func Databases(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, SQLite(t)) })
	t.Run("mariadb", func(t *testing.T) { fn(t, MariaDB(t).Database(t)) })
	t.Run("postgres", func(t *testing.T) { fn(t, Postgres(t).Database(t)) })
}
