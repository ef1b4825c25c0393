//go:build linux || darwin

package sqlite

import "syscall"

// freeBytes is the space that the disk of a directory has for this user; false where it
// cannot be told.
func freeBytes(directory string) (uint64, bool) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(directory, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true
}
