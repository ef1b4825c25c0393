package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"
)

// printJSON prints a result for programs.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// oneLine keeps a cell in its row, and from the terminal's controls: an id or a JSON text may
// hold tabs and newlines, an escape (of one byte, or U+009B) that moves the cursor, or a mark
// that turns the direction of the text around. What is not shown as it is has the form \u202e.
func oneLine(cell string) string {
	if !strings.ContainsFunc(cell, controls) {
		return cell
	}
	var b strings.Builder
	for _, r := range cell {
		switch {
		case r == '\t' || r == '\n' || r == '\r':
			b.WriteByte(' ')
		case controls(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// controls reports whether a character commands a terminal, or is not seen: control and
// format characters, and the separators of lines and paragraphs.
func controls(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}

// table prints rows in columns.
func table(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = oneLine(cell)
		}
		if _, err := fmt.Fprintln(t, strings.Join(cells, "\t")); err != nil {
			return err
		}
	}
	return t.Flush()
}

// bar shows how far a long command is, on a terminal only. total below zero is unknown.
type bar struct{ *progressbar.ProgressBar }

func (a *app) bar(total int64, what string) bar {
	return bar{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(a.err),
		progressbar.OptionSetVisibility(isTerminal(a.err)),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// The bar's errors are those of drawing on the terminal, which nobody can act on.
func (b bar) add(n int)   { _ = b.Add(n) }
func (b bar) set(n int64) { _ = b.Set64(n) }
func (b bar) done()       { _ = b.Finish() }

// moment prints a time for people, "–" for none.
func moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// count prints a number and its noun.
func count[T ~int | ~int64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func orUnknown(s string) string { return cmp.Or(s, "unknown") }
