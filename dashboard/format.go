package dashboard

import (
	"fmt"
	"strconv"
	"time"
)

// number prints every digit of n, with separators: 9,223,372,036,854,775,807.
func number(n int64) string {
	digits := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, digits = "-", digits[1:]
	}
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return sign + digits
}

// duration prints d with the precision that helps at its size: 40 ms, 3.2 s, 2 min 5 s.
func duration(d time.Duration) string {
	whole := func(unit time.Duration) int64 { return int64(d / unit) }
	two := func(large, small time.Duration, l, s string) string {
		if rest := int64(d % large / small); rest > 0 {
			return fmt.Sprintf("%s %s %d %s", number(whole(large)), l, rest, s)
		}
		return number(whole(large)) + " " + l
	}
	switch {
	case d < 0:
		return "-" + duration(-max(d, -1<<62))
	case d == 0:
		return "0 s"
	case d < time.Millisecond:
		return "under 1 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", whole(time.Millisecond))
	case d < 10*time.Second:
		return fmt.Sprintf("%d.%d s", whole(time.Second), d%time.Second/(100*time.Millisecond))
	case d < time.Minute:
		return fmt.Sprintf("%d s", whole(time.Second))
	case d < time.Hour:
		return two(time.Minute, time.Second, "min", "s")
	case d < 24*time.Hour:
		return two(time.Hour, time.Minute, "h", "min")
	}
	return two(24*time.Hour, time.Hour, "d", "h")
}

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
