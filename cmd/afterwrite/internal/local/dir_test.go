package local

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The data directory is this user's alone, and a file in it is written in the place of a
// link, not through it.
func TestDataDirIsOfThisUserAlone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	require.NoError(t, MakeDir(dir))
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())

	secret := filepath.Join(t.TempDir(), "elsewhere")
	require.NoError(t, os.WriteFile(secret, []byte("kept"), 0o644))
	file := filepath.Join(dir, "env")
	require.NoError(t, os.Symlink(secret, file))
	require.NoError(t, WriteOwn(file, []byte("new")))
	text, err := os.ReadFile(secret)
	require.NoError(t, err)
	require.Equal(t, "kept", string(text))
	info, err = os.Lstat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)

	for _, mode := range []os.FileMode{0o777, 0o770, 0o707} {
		require.NoError(t, os.Chmod(dir, mode))
		require.ErrorContains(t, MakeDir(dir), "writable by other users")
	}
	require.NoError(t, os.Chmod(dir, 0o755))
	require.NoError(t, MakeDir(dir))
	if os.Getuid() == 0 {
		require.NoError(t, os.Chown(dir, 12345, 12345))
		require.ErrorContains(t, MakeDir(dir), "belongs to another user")
	}
}
