package store_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

// A SQLite file that could not be written when a process opened it is written as soon as it can be, without a
// restart, and while it is read: all connections of a process share one view of the write-ahead log.
func TestAFileThatCanBeWrittenAgain(t *testing.T) {
	const child = "TESTKIT_READ_ONLY_FILE"
	e := account(t)
	path := os.Getenv(child)
	if path == "" { // another process has the file open, and its log
		path = filepath.Join(t.TempDir(), "test.db")
		setup(t, "sqlite://"+path, []*schema.Entity{e}).flush(e, accounts(2)...)
		modes(t, path, 0o400)
		command := []string{os.Args[0], "-test.run=^" + t.Name() + "$", "-test.v"}
		if os.Getuid() == 0 { // to root every file can be written
			command = append([]string{"setpriv", "--bounding-set=-dac_override", "--inh-caps=-dac_override"}, command...)
		}
		run := exec.CommandContext(t.Context(), command[0], command[1:]...)
		run.Env = append(os.Environ(), child+"="+path)
		out, err := run.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: "+t.Name())
		return
	}
	b := open(t, "sqlite://"+path, []*schema.Entity{e})
	require.Len(t, b.load(e, "u0001"), 1) // its connection stays
	var over atomic.Bool
	var readers sync.WaitGroup
	for range 4 { // some reader has a connection at any moment
		readers.Go(func() {
			for !over.Load() {
				_, _ = b.Load(t.Context(), e, []string{"u0001"}) // it may fail while nobody can write
			}
		})
	}
	defer readers.Wait()
	defer over.Store(true)
	write := func() error {
		_, err := b.Flush(t.Context(), e, 0, batch(accounts(3)...))
		return err
	}
	for range 3 {
		err := write()
		require.True(t, fault.Away(err), "%v", err)
	}
	modes(t, path, 0o600)
	testkit.Eventually(t, "it is written", func() bool { return write() == nil })
	require.Len(t, b.load(e, "u0000", "u0001", "u0002"), 3)
}

// modes changes the modes of a file of SQLite and of those of its log.
func modes(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		require.NoError(t, os.Chmod(path+suffix, mode))
	}
}
