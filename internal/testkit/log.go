package testkit

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"
)

// Logger returns a logger that writes every level to t.Log. Lines after the end of
// the test are dropped, for a goroutine that outlives it must not fail another.
func Logger(t testing.TB) *slog.Logger {
	w := &lines{t: t}
	t.Cleanup(w.close)
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

type lines struct {
	t      testing.TB
	mu     sync.Mutex // guards closed, and is held while t logs, so that close waits for it
	closed bool
}

func (w *lines) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.t.Log(string(bytes.TrimRight(line, "\n")))
	}
	return len(line), nil
}

func (w *lines) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}
