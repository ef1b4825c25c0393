//go:build unix

package local

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockWait is how long LockDir waits for the Redis of a dev that was killed to end.
const lockWait = 3 * time.Second

// LockDir makes sure that one dev runs on a data directory. The lock ends when every
// process that has the file open has ended: a redis-server child is given it, so that no
// other is started on its files while it still writes them.
func LockDir(ctx context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	for deadline := time.Now().Add(lockWait); ; {
		if TryLock(f) == nil {
			return f, nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			f.Close()
			return nil, fmt.Errorf("another `afterwrite dev` runs on %s: stop it, or choose another directory with --data", dir)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TryLock locks an open file until the last process that has it open ends, or returns the
// error that another holds the lock.
func TryLock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// IsOwn reports whether a file is this user's.
func IsOwn(info fs.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}
