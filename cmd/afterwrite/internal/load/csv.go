package load

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/afterwrite/afterwrite/schema"
)

// csvRows reads CSV with a header (RFC 4180).
type csvRows struct {
	in      *csv.Reader
	bound   *bounded
	entity  *schema.Entity
	columns []int // field position of each column, -1 for the id
	maxRow  int
}

func newCSV(in io.Reader, e *schema.Entity, maxRow int, delimiter rune) (*csvRows, error) {
	b := &bounded{in: in, left: maxRow + csvAhead}
	buffered := bufio.NewReader(b)
	if delimiter == 0 {
		delimiter = delimiterOf(buffered)
	}
	r := &csvRows{in: csv.NewReader(&returns{in: buffered}), bound: b, entity: e, maxRow: maxRow}
	r.in.ReuseRecord, r.in.Comma = true, delimiter
	header, err := r.in.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the file has no header")
	}
	if err != nil {
		return nil, fmt.Errorf("read the header: %w", err)
	}
	seen := map[string]bool{}
	for _, name := range header {
		name = strings.TrimSpace(name)
		position, ok := e.Field(name)
		if name == "id" {
			position, ok = -1, true
		}
		if !ok || seen[name] {
			return nil, fmt.Errorf("line 1: column %.100q is twice there or not a field of %s", name, e.Name)
		}
		seen[name] = true
		r.columns = append(r.columns, position)
	}
	for _, i := range e.Key() {
		if name := e.Fields[i].Name; !seen["id"] && !seen[name] {
			return nil, fmt.Errorf(`line 1: there is neither a column "id" nor one %q, a part of the key`, name)
		}
	}
	if !seen["id"] && !e.ID.Composite() {
		return nil, errors.New(`line 1: there is no column "id"`)
	}
	return r, nil
}

// delimiterOf returns the character between the names of a header, of which one is id: a comma, unless that finds no
// id and another does. Spreadsheets write semicolons where a comma is the decimal point.
func delimiterOf(in *bufio.Reader) rune {
	start, _ := in.Peek(in.Size())
	header, _, _ := strings.Cut(string(start), "\n")
	for _, delimiter := range ",;\t|" {
		for name := range strings.SplitSeq(header, string(delimiter)) {
			if name = strings.TrimSpace(name); name == "id" || name == `"id"` {
				return delimiter
			}
		}
	}
	return ','
}

func (c *csvRows) next() (row, error) {
	c.bound.left = c.maxRow + csvAhead
	cells, err := c.in.Read()
	var bad *csv.ParseError
	switch {
	case errors.Is(err, io.EOF):
		return row{}, io.EOF
	case errors.As(err, &bad) && errors.Is(err, csv.ErrFieldCount):
		return row{}, badRow{bad.StartLine, fmt.Sprintf("has %d cells, the header %d", len(cells), len(c.columns))}
	case errors.As(err, &bad): // where the next row begins is not known
		return row{}, fmt.Errorf("line %d: %w", bad.StartLine, bad.Err)
	case err != nil:
		return row{}, err
	}
	line, _ := c.in.FieldPos(0)
	r := row{line: line, fields: make(schema.Fields, len(cells))}
	for i, cell := range cells {
		cell = unmark(cell)
		switch position := c.columns[i]; {
		case position < 0:
			r.id = cell
		case cell != "":
			f := &c.entity.Fields[position]
			r.fields[f.Name] = cellValue(f.Type, cell)
		}
	}
	if r.id == "" && c.entity.ID.Composite() {
		if r.id, err = keyOf(c.entity, r.fields); err != nil {
			return row{}, badRow{line, err.Error()}
		}
	}
	if r.id == "" {
		return row{}, badRow{line, "has no id"}
	}
	return r, nil
}

// cellValue returns a cell as the field takes it: JSON text where the value is one,
// else the characters themselves. Cells are not shared with the reader's next row.
func cellValue(t schema.FieldType, cell string) any {
	switch t {
	case schema.Int, schema.Float, schema.Bool, schema.JSON:
		return json.RawMessage(cell)
	}
	return cell
}

// csvAhead is more than the reader takes in ahead of the row it returns.
const csvAhead = 8 << 10

var errRowTooLong = errors.New("a row is longer than api.max_body; a quote may not be closed")

// bounded ends reading when one row asks for too much, so that an unclosed quote does
// not take the whole file into memory.
type bounded struct {
	in   io.Reader
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errRowTooLong
	}
	n, err := b.in.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// The CSV reader drops a carriage return before a newline, also within quotes, where it
// is part of the value. So within quotes it is shown a byte that no UTF-8 has in its
// place, which cells turn back; that byte itself becomes another that no UTF-8 has.
const (
	returnMark  = 0xff
	invalidByte = 0xfe
)

// returns marks the carriage returns within quotes.
type returns struct {
	in     io.Reader
	quoted bool
}

func (r *returns) Read(p []byte) (int, error) {
	n, err := r.in.Read(p)
	for i, c := range p[:n] {
		switch {
		case c == '"': // an escaped quote is two: it ends and begins again
			r.quoted = !r.quoted
		case c == returnMark:
			p[i] = invalidByte
		case c == '\r' && r.quoted:
			p[i] = returnMark
		}
	}
	return n, err
}

// unmark gives a cell its carriage returns back.
func unmark(cell string) string {
	return strings.ReplaceAll(cell, string([]byte{returnMark}), "\r")
}
