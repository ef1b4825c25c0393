package dashboard

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/store/ledger"
)

// Bounds of an export: the newest so many lines of the filter. Older ones are had by
// narrowing it, for example by time.
const (
	exportPage = 500
	exportMax  = 100_000
)

// export streams lines as CSV or JSON, as ?format= asks, a page at a time: next returns
// no line at the end. JSON is a list of objects whose values are strings.
func (d *dashboard) export(w http.ResponseWriter, r *http.Request, name string, columns []string,
	next func() ([][]string, error)) {
	format := r.URL.Query().Get("format")
	out, kind := lines(newCSV(w)), "text/csv; charset=utf-8"
	if format == "json" {
		out, kind = &jsonLines{w: w}, "application/json"
	} else if format != "csv" {
		d.fail(w, r, http.StatusBadRequest, "format is csv or json.")
		return
	}
	some, err := next()
	if err != nil {
		d.broken(w, r, "export", err)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="afterwrite-`+name+"."+format+`"`)
	out.begin(columns)
	deadline := http.NewResponseController(w)
	for n := 0; len(some) > 0 && n < exportMax; n += exportPage {
		_ = deadline.SetWriteDeadline(time.Now().Add(time.Minute)) // not every server has one
		for _, line := range some {
			if out.line(line) != nil {
				return // the viewer has left
			}
		}
		if some, err = next(); err != nil {
			d.Log.WarnContext(r.Context(), "export cut off", "of", name, "error", err)
			panic(http.ErrAbortHandler) // half a file must not look whole
		}
	}
	out.end()
}

// exportList is export for what is whole in memory.
func (d *dashboard) exportList(w http.ResponseWriter, r *http.Request, name string, columns []string, list [][]string) {
	d.export(w, r, name, columns, func() ([][]string, error) {
		some := list
		list = nil
		return some, nil
	})
}

// lines writes one line after another.
type lines interface {
	begin(columns []string)
	line(values []string) error
	end()
}

type csvLines struct{ *csv.Writer }

func newCSV(w io.Writer) csvLines { return csvLines{csv.NewWriter(w)} }

func (c csvLines) begin(columns []string) { _ = c.Write(columns) }
func (c csvLines) end()                   { c.Flush() }

// line keeps spreadsheets from taking a record's text for a formula.
func (c csvLines) line(values []string) error {
	for i, v := range values {
		if strings.HasPrefix(v, "=") || strings.HasPrefix(v, "+") || strings.HasPrefix(v, "@") ||
			strings.HasPrefix(v, "\t") || strings.HasPrefix(v, "\r") ||
			(strings.HasPrefix(v, "-") && !isNumber(v)) {
			values[i] = "'" + v
		}
	}
	return c.Write(values)
}

func isNumber(s string) bool {
	_, err := strconv.ParseFloat(s, 64)
	return err == nil
}

type jsonLines struct {
	w       io.Writer
	columns []string
	begun   bool
}

func (j *jsonLines) begin(columns []string) {
	j.columns = columns
	_, _ = io.WriteString(j.w, "[")
}

func (j *jsonLines) line(values []string) error {
	text := ",\n{"
	if !j.begun {
		text, j.begun = "\n{", true
	}
	for i, v := range values {
		value, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if i > 0 {
			text += ","
		}
		text += `"` + j.columns[i] + `":` + string(value)
	}
	_, err := io.WriteString(j.w, text+"}")
	return err
}

func (j *jsonLines) end() { _, _ = io.WriteString(j.w, "\n]\n") }

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

var letterColumns = []string{
	"number", "entity", "id", "version", "operation", "kind", "constraint", "column", "error", "attempts",
	"accepted_at", "died_at", "state", "resolver", "payload",
}

func (d *dashboard) exportLetters(w http.ResponseWriter, r *http.Request) {
	f, err := d.parseFilter(r.URL.Query())
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, brief(err))
		return
	}
	before := int64(0)
	d.export(w, r, "dead-letters", letterColumns, func() ([][]string, error) {
		some, err := d.Letters.List(r.Context(), f.selects(), before, exportPage)
		var lines [][]string
		for _, l := range some {
			before = l.Number
			lines = append(lines, d.letterLine(l))
		}
		return lines, err
	})
}

func (d *dashboard) letterLine(l ledger.Letter) []string {
	operation := "put"
	if l.Deleted {
		operation = "delete"
	}
	return []string{
		strconv.FormatInt(l.Number, 10), l.Entity, l.ID, l.Version.String(), operation, string(l.Refusal.Kind),
		l.Refusal.Constraint,
		l.Refusal.Column, l.Refusal.Message, strconv.Itoa(l.Attempts), stamp(l.AcceptedAt), stamp(l.DiedAt),
		letterRow{Letter: l}.State(),
		l.Resolver, d.veiled(l.Entity, l.Payload),
	}
}

// veiled is a payload without the values that its fields hide. What cannot be told apart
// is hidden wholly.
func (d *dashboard) veiled(entity, payload string) string {
	e := d.entityNamed(entity)
	if e == nil || payload == "" {
		return veil(payload)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(payload), &fields) != nil {
		return hidden
	}
	values := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		values[i] = string(fields[f.Name])
		if f.Redact && veil(values[i]) == hidden {
			values[i] = `"` + hidden + `"`
		}
	}
	return string(e.AppendFields(nil, values))
}
