package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/schollz/progressbar/v3"

	"github.com/afterwrite/afterwrite/internal/text"
)

// PrintJSON prints a result for programs. What commands a terminal is escaped, which is the same text to a program.
func (a *App) PrintJSON(v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	return escapeControls(a.Out, b.Bytes())
}

// PrintResult prints what a command did: v with --json, else a line.
func (a *App) PrintResult(v any, line string, args ...any) error {
	if a.JSON {
		return a.PrintJSON(v)
	}
	_, err := fmt.Fprintf(a.Out, line, args...)
	return err
}

// PrintTable prints what a command found: v with --json, else the rows.
func (a *App) PrintTable(v any, rows [][]string) error {
	if a.JSON {
		return a.PrintJSON(v)
	}
	return Table(a.Out, rows)
}

// escapeControls writes JSON with its control and format characters escaped. They are in strings alone, but for the
// line breaks of the encoder, since it escapes those of a string itself.
func escapeControls(w io.Writer, text []byte) error {
	if !bytes.ContainsFunc(text, controls) {
		_, err := w.Write(text)
		return err
	}
	var b bytes.Buffer
	for _, r := range string(text) {
		switch high, low := utf16.EncodeRune(r); {
		case r == '\n' || !controls(r):
			b.WriteRune(r)
		case high != utf8.RuneError:
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	_, err := b.WriteTo(w)
	return err
}

// TerminalSafe returns the cells of a line of CSV as they are printed. On a terminal a character that would command it
// has the form \u202e; a file or a program gets each cell as it is.
func (a *App) TerminalSafe(cells []string) []string {
	if IsTerminal(a.Out) {
		for i := range cells {
			cells[i] = oneLine(cells[i])
		}
	}
	return cells
}

// oneLine keeps a cell in its row, and from the terminal's controls: an id or a JSON text may
// hold tabs and newlines, an escape (of one byte, or U+009B) that moves the cursor, or a mark
// that turns the direction of the text around. What is not shown as it is has the form \u202e.
func oneLine(cell string) string {
	return escaped(strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(cell))
}

// escaped is a text whose lines and tabs stay, without what commands a terminal or is not seen.
func escaped(text string) string {
	hidden := func(r rune) bool { return controls(r) && r != '\n' && r != '\t' }
	if !strings.ContainsFunc(text, hidden) {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if hidden(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Messages writes what a command says to people, escaped: it quotes files, databases and Redis. The log and the bar of
// progress, which command the terminal themselves, write to [Raw].
func Messages(w io.Writer) io.Writer { return messages{w} }

type messages struct{ raw io.Writer }

func (m messages) Write(b []byte) (int, error) {
	if _, err := io.WriteString(m.raw, escaped(string(b))); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Raw is the writer behind [Messages].
func Raw(w io.Writer) io.Writer {
	if m, ok := w.(messages); ok {
		return m.raw
	}
	return w
}

// controls reports whether a character commands a terminal, or is not seen: control and
// format characters, and the separators of lines and paragraphs.
func controls(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) || r == utf8.RuneError
}

// Table prints rows in columns.
func Table(w io.Writer, rows [][]string) error {
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

// Bar shows how far a long command is, on a terminal only. total below zero is unknown.
type Bar struct{ *progressbar.ProgressBar }

// Bar begins one.
func (a *App) Bar(total int64, what string) Bar {
	return Bar{progressbar.NewOptions64(total,
		progressbar.OptionSetWriter(Raw(a.Err)),
		progressbar.OptionSetVisibility(IsTerminal(Raw(a.Err))),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// More moves the bar on. Errors of drawing on the terminal are irrelevant.
func (b Bar) More(n int) { _ = b.Add(n) }

// At moves the bar to a place.
func (b Bar) At(n int64) { _ = b.Set64(n) }

// Done removes the bar.
func (b Bar) Done() { _ = b.Finish() }

// Moment prints a time for people, "–" for none.
func Moment(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

// Count prints a number and its noun.
func Count[T ~int | ~int64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// Counted is Count for people, of numbers that may be large.
func Counted(n int, one, many string) string {
	if n == 1 {
		many = one
	}
	return Thousands(n) + " " + many
}

// Thousands groups the digits of a number for people.
func Thousands(n int) string { return text.Number(int64(n)) }

// OrDash is a text, "–" for none.
func OrDash(s *string) string {
	if s == nil {
		return "–"
	}
	return *s
}

// Shown is a value of a record as a table has it, or why there is none.
func Shown(text string, there, deleted bool) string {
	switch {
	case deleted:
		return "(deleted)"
	case !there:
		return "(none)"
	}
	return text
}
