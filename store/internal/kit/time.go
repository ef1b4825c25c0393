package kit

import (
	"fmt"
	"time"
)

// TimeLayout is how a time is written as text, in UTC, so that the order of the texts is the
// order of the times.
const TimeLayout = "2006-01-02 15:04:05.999999999-07:00"

// ParseTime reads a time as any of the databases spells it. Without a zone it is UTC; what is
// finer than a microsecond is cut.
func ParseTime(s string) (time.Time, error) {
	for _, layout := range []string{
		time.RFC3339Nano, TimeLayout, "2006-01-02 15:04:05.999999999", "2006-01-02T15:04:05.999999999", time.DateOnly,
	} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time", s)
}

// Instant is a time as every database keeps it: UTC, at most microseconds.
func Instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
