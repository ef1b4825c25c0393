package load

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/zstd"

	"github.com/afterwrite/afterwrite/schema"
)

// foreign are the first bytes of files that are no text in UTF-8, and what to do with them.
var foreign = []struct{ mark, hint string }{
	{"PK\x03\x04", "the file is a ZIP archive, perhaps a spreadsheet: save it as CSV in UTF-8"},
	{"\xff\xfe", "the file is in UTF-16: convert it to UTF-8"},
	{"\xfe\xff", "the file is in UTF-16: convert it to UTF-8"},
}

// The first bytes of compressed files.
const (
	gzipMark = "\x1f\x8b"
	zstdMark = "\x28\xb5\x2f\xfd"
)

// byteOrderMark begins some files in UTF-8. It is no part of their text, wherever a text is read.
const byteOrderMark = "\ufeff"

// legible decompresses a file, takes off its byte order mark, and rejects one that begins as no text does, so that it
// is said once and not line by line. An error of the input is left to the reading of its first row.
func legible(in io.Reader) (*bufio.Reader, error) {
	buffered := bufio.NewReader(in)
	start, _ := buffered.Peek(4)
	switch {
	case strings.HasPrefix(string(start), gzipMark):
		plain, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("the file is compressed and broken: %w", err)
		}
		buffered = bufio.NewReader(plain)
	case strings.HasPrefix(string(start), zstdMark):
		plain, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return nil, fmt.Errorf("the file is compressed and broken: %w", err)
		}
		buffered = bufio.NewReader(plain)
	}
	start, _ = buffered.Peek(4)
	for _, f := range foreign {
		if strings.HasPrefix(string(start), f.mark) {
			return nil, errors.New(f.hint)
		}
	}
	if strings.HasPrefix(string(start), byteOrderMark) {
		_, _ = buffered.Discard(len(byteOrderMark))
	}
	return buffered, nil
}

// ndjson reads one JSON object a line. Empty lines are passed over.
type ndjson struct {
	in     *bufio.Reader
	entity *schema.Entity
	maxRow int // bytes of a line
	line   int
}

func newNDJSON(in io.Reader, e *schema.Entity, maxRow int) *ndjson {
	return &ndjson{in: bufio.NewReaderSize(in, 64<<10), entity: e, maxRow: maxRow}
}

func (n *ndjson) next() (row, error) {
	for {
		line, err := n.readLine()
		if err != nil {
			return row{}, err
		}
		text := strings.TrimSpace(line)
		if text == "" {
			continue
		}
		id, fields, err := parseObject([]byte(text), n.entity)
		if err != nil {
			return row{}, badRow{n.line, err.Error()}
		}
		return row{n.line, id, fields}, nil
	}
}

// readLine reads a line, of which it keeps no more than maxRow bytes: one that is longer
// is a badRow, and the next one is read after it. At the end it returns io.EOF.
func (n *ndjson) readLine() (string, error) {
	n.line++
	var text []byte
	long := false
	for {
		part, err := n.in.ReadSlice('\n')
		if long = long || len(text)+len(part) > n.maxRow; !long {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && !long && len(text) == 0:
			return "", io.EOF
		case err != nil && !errors.Is(err, io.EOF):
			return "", fmt.Errorf("read line %d: %w", n.line, err)
		case long:
			return "", badRow{n.line, "is longer than api.max_body"}
		}
		return string(text), nil
	}
}

// parseObject reads a record strictly: a name that is there twice and text that is not
// UTF-8 are errors.
func parseObject(text []byte, e *schema.Entity) (id string, fields schema.Fields, err error) {
	d := jsontext.NewDecoder(strings.NewReader(string(text)))
	if d.PeekKind() != '{' {
		return "", nil, errors.New("is not a JSON object")
	}
	if _, err := d.ReadToken(); err != nil {
		return "", nil, notJSON(err)
	}
	fields = schema.Fields{}
	for d.PeekKind() != '}' {
		name, err := d.ReadToken()
		if err != nil {
			return "", nil, notJSON(err)
		}
		key := name.String()
		value, err := d.ReadValue()
		if err != nil {
			return "", nil, notJSON(err)
		}
		if key != "id" {
			fields[key] = json.RawMessage(value.Clone())
			continue
		}
		if id, err = idText(value, e); err != nil {
			return "", nil, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return "", nil, notJSON(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return "", nil, errors.New("has something after its JSON object")
	}
	if id == "" && e.ID.Composite() {
		id, err = keyOf(e, fields)
		return id, fields, err
	}
	if id == "" {
		return "", nil, errors.New(`has no "id"`)
	}
	return id, fields, nil
}

func notJSON(err error) error { return fmt.Errorf("is not valid JSON: %w", err) }

// idText returns the text of an id: a number for an int id, else a string, as the HTTP API
// takes it: 1, 1.0 and 1e0 are one number and would be three strings.
func idText(value jsontext.Value, e *schema.Entity) (string, error) {
	switch kind := value.Kind(); {
	case e.ID.Type == schema.Int && kind == '0':
		return string(value), nil
	case e.ID.Type == schema.Int:
		return "", fmt.Errorf("has an id that is no number: an id of %s is a whole number", e.Name)
	case kind != '"':
		return "", fmt.Errorf("has an id that is no string: an id of %s is one, in quotes", e.Name)
	}
	b, err := jsontext.AppendUnquote(nil, value)
	if err == nil && len(b) == 0 {
		err = errors.New("has an empty id")
	}
	return string(b), err
}
