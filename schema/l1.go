package schema

import (
	"fmt"
	"time"
)

// L1 bounds what a process caches in its own memory. Changes arrive as events; Age bounds how old a value can be if
// one is lost.
type L1 struct {
	Bytes int64         // memory of the values and keys; 0: off
	Age   time.Duration // 0: 5s
}

const minL1Bytes = 64 << 10

// Check reports the first setting that is out of bounds, by its name.
func (l L1) Check() error {
	switch {
	case l.Bytes < 0 || (l.Bytes > 0 && l.Bytes < minL1Bytes):
		return fmt.Errorf("l1.bytes must be 0 or at least %d", minL1Bytes)
	case l.Age < 0 || l.Age > MaxL1Age:
		return fmt.Errorf("l1.age must be from 0s to %s", MaxL1Age)
	}
	return nil
}
