// Package text prints numbers, times and cells of CSV for people, the same way on every surface.
package text

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Number prints every digit of n, with separators: 9,223,372,036,854,775,807.
func Number(n int64) string {
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

// Plural is the form of a word that belongs to n.
func Plural(n int64, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// Setting prints d as a configuration spells it, so that it reads back as the same: 10m, not 10m0s.
func Setting(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Duration prints d with the precision that helps at its size: 40 ms, 3.2 s, 2 min 5 s.
func Duration(d time.Duration) string {
	whole := func(unit time.Duration) int64 { return int64(d / unit) }
	two := func(large, small time.Duration, l, s string) string {
		if rest := int64(d % large / small); rest > 0 {
			return fmt.Sprintf("%s %s %d %s", Number(whole(large)), l, rest, s)
		}
		return Number(whole(large)) + " " + l
	}
	switch {
	case d < 0:
		return "-" + Duration(-max(d, -1<<62))
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

// Cells puts an apostrophe before each cell of a line of CSV that a spreadsheet would take for a formula, and returns
// the line. The characters are those of OWASP's page "CSV Injection".
func Cells(line []string) []string {
	for i, cell := range line {
		if first, size := utf8.DecodeRuneInString(cell); size > 0 && strings.ContainsRune("=+-@\t\r\n＝＋－＠", first) {
			line[i] = "'" + cell
		}
	}
	return line
}
