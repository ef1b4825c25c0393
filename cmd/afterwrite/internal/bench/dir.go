package bench

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/local"
)

const benchDirs = "afterwrite-bench-"

// benchDir makes the directory of a run, after it has removed those of runs that were
// killed. Every process of a run has its lock file open, which is locked until the last of
// them has ended.
func benchDir() (dir string, lock *os.File, err error) {
	removeDeadBenches()
	for {
		if dir, err = os.MkdirTemp("", benchDirs); err != nil {
			return "", nil, fmt.Errorf("make a directory: %w", err)
		}
		path := filepath.Join(dir, "lock")
		if lock, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); errors.Is(err, os.ErrNotExist) {
			continue
		} else if err != nil {
			return "", nil, fmt.Errorf("make a directory: %w", err)
		}
		// Before it was locked another run may have taken it for a dead one's.
		err = local.TryLock(lock)
		if (err == nil || errors.Is(err, errors.ErrUnsupported)) && isAt(lock, path) {
			return dir, lock, nil
		}
		lock.Close()
	}
}

func isAt(f *os.File, path string) bool {
	there, err := os.Stat(path)
	here, err2 := f.Stat()
	return err == nil && err2 == nil && os.SameFile(there, here)
}

// removeDeadBenches removes the directories of this user's runs of which no process is left.
// One that has no lock file yet, or cannot be locked, is left alone.
func removeDeadBenches() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), benchDirs+"*")) // the pattern is none that fails
	for _, dir := range dirs {
		if info, err := os.Lstat(dir); err != nil || !info.IsDir() || !local.IsOwn(info) {
			continue
		}
		lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if local.TryLock(lock) == nil {
			_ = os.RemoveAll(dir) // what cannot be removed harms nothing
		}
		lock.Close()
	}
}
