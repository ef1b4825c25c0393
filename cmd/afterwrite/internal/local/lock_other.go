//go:build !unix

package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// LockDir locks nothing where the system has no advisory locks.
func LockDir(_ context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	return f, nil
}

// TryLock returns that it cannot.
func TryLock(*os.File) error { return errors.ErrUnsupported }

// IsOwn reports that nothing is known to be this user's.
func IsOwn(fs.FileInfo) bool { return false }
