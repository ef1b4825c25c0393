package testkit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
)

// scratch is the directory of this test binary, made at first use. Everybody may
// enter it, because PostgreSQL runs as another user than root.
var scratch = sync.OnceValues(func() (*directory, error) {
	path, err := os.MkdirTemp(enterable(), "afterwrite-test-")
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o711); err != nil {
		return nil, err
	}
	alive, err := removeAtExit(path)
	return &directory{path, alive}, err
})

type directory struct {
	path  string
	alive *os.File // while it is open the directory stays; never closed, but by the kernel
}

// enterable returns the first temporary directory that any user can reach.
func enterable() string {
	for _, dir := range []string{os.TempDir(), "/tmp", "/var/tmp"} {
		if reachable(dir) {
			return dir
		}
	}
	return os.TempDir()
}

// reachable reports whether a directory and all its parents may be entered by anybody.
func reachable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

// sweepScript waits for the end of the pipe, gives the servers a moment to die, and
// removes the directory until it stays away, disks first.
const sweepScript = `cat >/dev/null
for n in 1 2 3 4 5 6 7 8 9 10; do
	sleep 0.3
	for disk in "$1"/disk-*; do umount -l "$disk" 2>/dev/null; done
	rm -rf "$1" 2>/dev/null && [ ! -e "$1" ] && exit
done`

// removeAtExit has a shell remove dir after this process has ended, by whatever
// cause. It returns the writing end of the shell's standard input, which only this
// process holds.
func removeAtExit(dir string) (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", sweepScript, "sh", dir)
	cmd.Dir = "/"
	cmd.Stdin = r
	// A group of its own: an interrupt at the terminal must not end it first.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the shell that removes %s: %w", dir, err)
	}
	return w, cmd.Process.Release()
}

// scratchDir makes a directory for one server.
func scratchDir(kind string) (string, error) {
	root, err := scratch()
	if err != nil {
		return "", err
	}
	return os.MkdirTemp(root.path, kind+"-")
}
