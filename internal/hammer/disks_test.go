package hammer

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// noSpace is how servers spell ENOSPC in their logs.
const noSpace = "No space left on device"

// felt waits until a fault shows where it should, and counts it then: a fault without
// an effect has tried nothing.
func (w *world) felt(fault string, shows func() bool) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if shows() {
			w.tally.add("felt: " + fault)
			return
		}
	}
}

// redisEndsFull fills Redis's disk while it syncs each write: it cannot keep its promise and
// ends. It is started again when there is room.
func (w *world) redisEndsFull() (end func()) {
	disk := w.disks["redis"]
	disk.Fill()
	w.felt("Redis's disk full, it ends", func() bool { return !w.redis.Running() })
	return func() {
		disk.Free()
		w.redis.Start()
	}
}

// redisRefusesFull fills Redis's disk while it syncs once in a second: it keeps what it could
// not write in memory, tries again, and takes no more (MISCONF). It is not killed meanwhile: that
// would lose what it has promised, as the table of losses says.
func (w *world) redisRefusesFull() (end func()) {
	disk, client := w.disks["redis"], w.redis.Client(w.t)
	ctx := context.WithoutCancel(w.t.Context())
	status := func(s string) bool {
		return strings.Contains(client.Info(ctx, "persistence").Val(), "aof_last_write_status:"+s)
	}
	if client.ConfigSet(ctx, "appendfsync", "everysec").Err() != nil {
		return nil
	}
	disk.Fill()
	w.felt("Redis's disk full, it refuses", func() bool { return status("err") })
	return func() {
		disk.Free()
		testkit.Eventually(w.t, "Redis has written what it kept", func() bool { return status("ok") })
		require.NoError(w.t, client.ConfigSet(ctx, "appendfsync", "always").Err())
	}
}

// rowsFull fills the database's disk while another program holds an old snapshot, so that no
// room inside the tables is used again: statements fail.
func (w *world) rowsFull() (end func()) {
	tx, err := w.sql.BeginTx(context.WithoutCancel(w.t.Context()), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		return nil
	}
	var n int
	if tx.QueryRow("SELECT count(*) FROM hammer_doc").Scan(&n) != nil {
		_ = tx.Rollback()
		return nil
	}
	full := w.databaseFull("database's disk full, no room for rows", func() {})
	return func() { full(); _ = tx.Rollback() }
}

// logFull fills the database's disk and lets PostgreSQL begin a new segment of its log, for which
// there is no room: it panics, recovers, and panics again or stays away.
func (w *world) logFull() (end func()) {
	return w.databaseFull("database's disk full, no room for its log", func() {
		_, _ = w.sql.ExecContext(w.t.Context(), "SELECT pg_switch_wal()")
	})
}

// databaseFull fills the disk of a database server until the end, when the server answers again.
func (w *world) databaseFull(fault string, then func()) (end func()) {
	disk, before := w.disks["database"], w.server.Logged(noSpace)
	disk.Fill()
	then()
	w.felt(fault, func() bool { return w.server.Logged(noSpace) > before })
	return func() {
		disk.Free()
		testkit.Eventually(w.t, "the database answers when there is room", func() bool {
			w.server.Start() // nothing, where it has not ended
			return w.sql.PingContext(w.t.Context()) == nil
		})
	}
}

// file is a SQLite database.
type file string

func newFile(t *testing.T, on *testkit.Disk) file {
	dir, err := on.Dir("sqlite")
	require.NoError(t, err)
	return file(filepath.Join(dir, "afterwrite.db"))
}

func (f file) Database(testing.TB) string { return "sqlite://" + string(f) }

// fileFull fills the disk with the database's file.
func (w *world) fileFull() (end func()) {
	disk, before := w.disks["database"], w.logged("is full")
	disk.Fill()
	w.felt("database's disk full", func() bool { return w.logged("is full") > before })
	return disk.Free
}

// fileReadOnly takes the right to write from the database's files, and lets an API and a worker open
// them again: a process that has a file open goes on writing.
func (w *world) fileReadOnly() (end func()) {
	files := func() (all []string) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			all = append(all, string(w.file)+suffix)
		}
		return all
	}
	before := w.logged("readonly database")
	for _, f := range files() {
		_ = os.Chmod(f, 0o400) // a log comes and goes
	}
	w.apis[0].signal(syscall.SIGKILL, w.build())
	w.workers[0].signal(syscall.SIGKILL, w.build())
	w.felt("database's file read-only", func() bool { return w.logged("readonly database") > before })
	return func() {
		for _, f := range files() {
			_ = os.Chmod(f, 0o600)
		}
	}
}

// fileLocked is another program's transaction, which no other may write beside.
func (w *world) fileLocked() (end func()) {
	ctx := context.WithoutCancel(w.t.Context())
	conn, err := w.sql.Conn(ctx)
	require.NoError(w.t, err)
	_, err = conn.ExecContext(ctx, "PRAGMA busy_timeout = 1000")
	require.NoError(w.t, err)
	if _, err = conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil { // a frozen process may have it
		_ = conn.Close()
		return nil
	}
	w.tally.add("felt: database locked by another program")
	return func() {
		_, err := conn.ExecContext(ctx, "ROLLBACK")
		require.NoError(w.t, err)
		_ = conn.Close()
	}
}

// logged counts the lines of the processes' logs that have a text.
func (w *world) logged(text string) (n int) {
	for _, p := range w.processes() {
		b, _ := os.ReadFile(p.log)
		n += strings.Count(string(b), text)
	}
	return n
}
