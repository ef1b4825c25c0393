package schema

import (
	"fmt"
	"time"
)

// L1 bounds what a process keeps of a cache in its own memory. The zero value keeps
// nothing. A change made elsewhere reaches it by an event, in about the time of a round
// trip; an event that is lost is noticed, but Age is the longest that what was read from
// L1 can be old.
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

// On reports whether anything is kept.
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
