package kit

import (
	"errors"
	"time"
)

// TimeLayout is how a time is written as text, in UTC, so that the order of the texts is the
// order of the times.
const TimeLayout = "2006-01-02 15:04:05.999999999-07:00"

// ParseTime reads a time as any of the databases spells it. Without a zone it is UTC; what is
// finer than a microsecond is cut.
func ParseTime(s string) (time.Time, error) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC().Truncate(time.Microsecond), nil
		}
	}
	return time.Time{}, errors.New("it is not a time")
}

// layouts are the spellings of times that are read.
var layouts = func() []string {
	layouts := []string{time.RFC3339Nano, TimeLayout}
	for _, between := range []string{" ", "T"} {
		for _, clock := range []string{"15:04:05", "15:04"} {
			for _, zone := range []string{"", "Z07:00", "-07:00", "-07", "-0700", " -07:00", " -0700", " -0700 MST"} {
				layouts = append(layouts, "2006-01-02"+between+clock+zone)
			}
		}
	}
	return append(layouts, time.DateOnly)
}()

// Instant is a time as every database keeps it: UTC, at most microseconds.
func Instant(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
