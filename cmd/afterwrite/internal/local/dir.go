package local

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// MakeDir makes the data directory of dev, for this user alone. One that is there must
// be this user's and writable by no other: what is written into it holds passwords, and
// another user's link in it would lead that elsewhere.
func MakeDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	info, err := os.Stat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("look at the data directory: %w", err)
	case !IsOwn(info):
		return fmt.Errorf("the data directory %s belongs to another user: choose one of your own with --data", dir)
	case info.Mode().Perm()&0o022 != 0:
		return fmt.Errorf("the data directory %s is writable by other users: chmod go-w %s, or choose another with --data", dir, dir)
	}
	return nil
}

// WriteOwn writes a file that only this user can read, in the place of whatever has its
// name: a link there is replaced, not followed.
func WriteOwn(file string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
