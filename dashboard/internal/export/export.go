// Package export writes lists as CSV or JSON.
package export

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"time"

	"github.com/afterwrite/afterwrite/internal/text"
)

// Bounds of an export: the newest so many lines of the filter. Older ones are had by
// narrowing it, for example by time.
const (
	Page = 500
	Max  = 100_000
)

// New returns lines of a format, csv or json, and their media type; nil where it is neither.
func New(format string, w io.Writer) (lines Lines, mediaType string) {
	switch format {
	case "csv":
		return csvLines{csv.NewWriter(w)}, "text/csv; charset=utf-8"
	case "json":
		return &jsonLines{w: w}, "application/json"
	}
	return nil, ""
}

// Lines writes one line after another.
type Lines interface {
	Begin(columns []string)
	Line(values []string) error
	End()
}

type csvLines struct{ *csv.Writer }

func (c csvLines) Begin(columns []string) { _ = c.Write(columns) }
func (c csvLines) End()                   { c.Flush() }

func (c csvLines) Line(values []string) error { return c.Write(text.Cells(values)) }

type jsonLines struct {
	w       io.Writer
	columns []string
	begun   bool
}

func (j *jsonLines) Begin(columns []string) {
	j.columns = columns
	_, _ = io.WriteString(j.w, "[")
}

func (j *jsonLines) Line(values []string) error {
	line := ",\n{"
	if !j.begun {
		line, j.begun = "\n{", true
	}
	for i, v := range values {
		value, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if i > 0 {
			line += ","
		}
		line += `"` + j.columns[i] + `":` + string(value)
	}
	_, err := io.WriteString(j.w, line+"}")
	return err
}

func (j *jsonLines) End() { _, _ = io.WriteString(j.w, "\n]\n") }

// Stamp is a time in an export.
func Stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
