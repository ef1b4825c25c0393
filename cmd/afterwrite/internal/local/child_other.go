//go:build !linux

package local

import (
	"os/exec"
	"syscall"
)

// Start starts a child. exited is closed when it has ended.
func Start(cmd *exec.Cmd, _ syscall.Signal) (exited <-chan struct{}, err error) {
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // how it ended is in its log
	}()
	return ended, nil
}
