// Package format prints numbers, times and errors as the pages show them.
package format

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/text"
)

// These are as on every other surface.
var Number, Duration, Plural = text.Number, text.Duration, text.Plural

// Seconds prints a time in seconds, to a millisecond.
func Seconds(x *float64) string {
	if x == nil {
		return "—"
	}
	return strconv.FormatFloat(*x, 'f', 3, 64)
}

// Age prints how long ago a time was.
func Age(now, since time.Time) string {
	if since.IsZero() {
		return "—"
	}
	return Duration(max(now.Sub(since), 0))
}

// Until says how far away a time is.
func Until(now, at time.Time) string {
	if !at.After(now) {
		return "due"
	}
	return "in " + Duration(at.Sub(now))
}

// Instant prints a time in UTC, to the second.
func Instant(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// Size prints a number of bytes.
func Size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	x, u := float64(n), 0
	for x >= 1024 && u < len(units)-1 {
		x, u = x/1024, u+1
	}
	if u == 0 {
		return Number(n) + " B"
	}
	return fmt.Sprintf("%.1f %s", x, units[u])
}

// PerSecond prints a number of records a second.
func PerSecond(x *float64) string {
	switch {
	case x == nil:
		return "—"
	case *x > 0 && *x < 10:
		return strconv.FormatFloat(*x, 'f', 1, 64)
	}
	return Number(int64(*x + .5))
}

// Brief cuts an error to what fits a page.
func Brief(err error) string {
	if err == nil {
		return ""
	}
	return Cut(err.Error())
}

// Cut cuts a text to what fits a page.
func Cut(long string) string {
	const limit = 300
	long = strings.ToValidUTF8(long, "�")
	if r := []rune(long); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return long
}
