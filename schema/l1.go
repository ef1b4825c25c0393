package schema

import (
	"fmt"
	"time"
)

// L1 bounds what a process caches in its own memory. The zero value caches nothing. A change by another process arrives
// as an event, after about one round trip. A lost event is detected; Age bounds how old a value read from the L1 can
// be.
type L1 struct {
	Bytes int64         // memory of the values and keys; 0: off
	Age   time.Duration // 0: DefaultL1Age
}

// Bounds of an [L1].
const (
	DefaultL1Age = 5 * time.Second
	MaxL1Age     = time.Hour
	MinL1Bytes   = 64 << 10
)

// On reports whether the L1 is enabled.
func (l L1) On() bool { return l.Bytes > 0 }

// Check reports the first setting that is out of bounds, by its configuration name.
func (l L1) Check() error {
	switch {
	case l.Bytes < 0 || (l.Bytes > 0 && l.Bytes < MinL1Bytes):
		return fmt.Errorf("l1.bytes must be 0 or at least %d", MinL1Bytes)
	case l.Age < 0 || l.Age > MaxL1Age:
		return fmt.Errorf("l1.age must be from 0s to %s", MaxL1Age)
	}
	return nil
}
