//go:build !unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// lockDir locks nothing where the system has no advisory locks.
func lockDir(_ context.Context, dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the data directory: %w", err)
	}
	return f, nil
}

func tryLock(*os.File) error { return errors.ErrUnsupported }

func isOwn(fs.FileInfo) bool { return false }
