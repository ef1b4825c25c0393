package store_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

// What a process flushes is in the file at the path, though another file was put there, as a restored backup is, while
// it had the former open; and is in none, and said to be in none, where the file was removed.
func TestASQLiteFileThatIsReplaced(t *testing.T) {
	t.Parallel()
	e := account(t)
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "test.db"), filepath.Join(dir, "backup.db")
	b := setup(t, "sqlite://"+path, []*schema.Entity{e})
	_, err := testkit.SQL(t, "sqlite://"+path).ExecContext(t.Context(), "VACUUM INTO ?", backup)
	require.NoError(t, err)
	b.flush(e, accounts(2)...)
	require.Len(t, b.load(e, "u0001"), 1)

	for _, end := range []string{"-wal", "-shm"} {
		require.NoError(t, os.Remove(path+end))
	}
	require.NoError(t, os.Rename(backup, path))
	b.flush(e, accounts(1)...)
	var rows int
	query := "SELECT count(*) FROM " + e.Table
	require.NoError(t, testkit.SQL(t, "sqlite://"+path).QueryRowContext(t.Context(), query).Scan(&rows))
	require.Equal(t, 1, rows, "the rows of the former file are gone with it")
	testkit.Eventually(t, "readers read the file, too", func() bool { return len(b.load(e, "u0001")) == 0 })

	require.NoError(t, os.Remove(path))
	_, err = b.Flush(t.Context(), e, 0, batch(accounts(1)...))
	require.True(t, fault.Away(err), "%v", err)
}
