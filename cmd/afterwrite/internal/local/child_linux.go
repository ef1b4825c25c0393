package local

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Start starts a child in a process group of its own, so that a Ctrl-C in the terminal
// does not stop it before its parent is done with it, and lets it end with its parent
// even when that is killed: by the signal death. exited is closed when it has ended.
func Start(cmd *exec.Cmd, death syscall.Signal) (exited <-chan struct{}, err error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		// The death signal comes when the thread that started the child ends.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // how it ended is in its log
		}
	}()
	return ended, <-started
}
