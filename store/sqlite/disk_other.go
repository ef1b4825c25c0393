//go:build !linux && !darwin

package sqlite

// freeBytes cannot tell the space of a disk here.
func freeBytes(string) (uint64, bool) { return 0, false }
