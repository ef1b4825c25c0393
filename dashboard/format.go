package dashboard

import (
	"fmt"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/internal/text"
)

var number, duration, plural = text.Number, text.Duration, text.Plural

// seconds prints a time in seconds, to a millisecond.
func seconds(x *float64) string {
	if x == nil {
		return "—"
	}
	return strconv.FormatFloat(*x, 'f', 3, 64)
}

func age(now, since time.Time) string {
	if since.IsZero() {
		return "—"
	}
	return duration(max(now.Sub(since), 0))
}

// until says how far away a time is.
func until(now, at time.Time) string {
	if !at.After(now) {
		return "due"
	}
	return "in " + duration(at.Sub(now))
}

// instant prints a time in UTC, to the second.
func instant(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

// size prints a number of bytes.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	x, u := float64(n), 0
	for x >= 1024 && u < len(units)-1 {
		x, u = x/1024, u+1
	}
	if u == 0 {
		return number(n) + " B"
	}
	return fmt.Sprintf("%.1f %s", x, units[u])
}
