package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// diskSize is how much a [Disk] holds while it is not full. It is kept in memory, as far as
// it is used.
const diskSize = 1 << 30

// Disk is a file system of a test, in memory, that can be full: what a server writes to it
// then fails as on any full disk, with ENOSPC.
type Disk struct {
	t   testing.TB
	dir string
}

// NewDisk mounts a disk for this test alone. It fails where this process may not mount.
func NewDisk(t testing.TB) (*Disk, error) {
	t.Helper()
	dir, err := scratchDir("disk")
	if err != nil {
		return nil, err
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("mode=0711,size=%d", diskSize)); err != nil {
		return nil, fmt.Errorf("mount a disk for the test: %w", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	return &Disk{t: t, dir: dir}, nil
}

// Dir makes a directory on the disk. No disk is given where a server may lie anywhere.
func (d *Disk) Dir(kind string) (string, error) {
	if d == nil {
		return scratchDir(kind)
	}
	return os.MkdirTemp(d.dir, kind+"-")
}

// Fill leaves not one free page, until Free. What has its page is still written.
func (d *Disk) Fill() {
	var err error
	for range 100 { // what is written meanwhile makes the size too small
		var now syscall.Statfs_t
		if err = syscall.Statfs(d.dir, &now); err != nil {
			break
		}
		if err = d.resize((now.Blocks - now.Bfree) * uint64(now.Bsize)); err == nil {
			return
		}
	}
	d.t.Errorf("fill %s: %v", filepath.Base(d.dir), err)
}

// Free gives the disk its room again.
func (d *Disk) Free() {
	if err := d.resize(diskSize); err != nil {
		d.t.Errorf("free %s: %v", filepath.Base(d.dir), err)
	}
}

func (d *Disk) resize(bytes uint64) error {
	return syscall.Mount("tmpfs", d.dir, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", bytes))
}
