//go:build !linux

package main

import (
	"os/exec"
	"syscall"
)

// start starts a child. exited is closed when it has ended.
func start(cmd *exec.Cmd, _ syscall.Signal) (exited <-chan struct{}, err error) {
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
