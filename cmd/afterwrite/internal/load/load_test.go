package load

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

func readAll(t *testing.T, source rows) (all []row, bad []badRow, err error) {
	t.Helper()
	for {
		r, err := source.next()
		var b badRow
		switch {
		case errors.Is(err, io.EOF):
			return all, bad, nil
		case errors.As(err, &b):
			bad = append(bad, b)
		case err != nil:
			return all, bad, err
		default:
			all = append(all, r)
		}
	}
}

func TestNDJSON(t *testing.T) {
	t.Parallel()
	e := testkit.Entity(t, "everything")
	text := "\ufeff{\"id\":\"a\",\"n\":9007199254740993}\r\n\n{\"id\":\"7\",\"x\":null}\n[]\n{\"id\":\"b\"} x\n{\"id\":true}\n{\"id\":\"\xff\"}\n{\"id\":\"é\\u0041\",\"s\":\"last\"}"
	source, err := newRows("ndjson", strings.NewReader(text), e, 1000, 0)
	require.NoError(t, err)
	all, bad, err := readAll(t, source)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.Equal(t, "a 7 éA", all[0].id+" "+all[1].id+" "+all[2].id)
	require.Equal(t, "9007199254740993", fmt.Sprintf("%s", all[0].fields["n"]))
	require.Equal(t, "null", fmt.Sprintf("%s", all[1].fields["x"]))
	lines := []int{}
	for _, b := range bad {
		lines = append(lines, b.line)
	}
	require.Equal(t, []int{4, 5, 6, 7}, lines)

	long := strings.Repeat("x", 200_000)
	all, bad, err = readAll(t, newNDJSON(strings.NewReader(`{"id":"a"}`+"\n"+long+"\n"+`{"id":"b"}`+"\n"+long), e,
		1000))
	require.NoError(t, err)
	require.Len(t, all, 2)
	require.Equal(t, 3, all[1].line, "the next line is found")
	require.Equal(t, []badRow{{2, "is longer than api.max_body"}, {4, "is longer than api.max_body"}}, bad)
}

// An id is spelt as a batch of the HTTP API takes it.
func TestNDJSONIDs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ entity, id, says string }{
		{"user", `"5"`, ""},
		{"user", `5`, "has an id that is no string: an id of user is one, in quotes"},
		{"user", `null`, "no string"},
		{"user", `""`, "has an empty id"},
		{"product", `5`, ""},
		{"product", `"5"`, "has an id that is no number: an id of product is a whole number"},
		{"product", `null`, "no number"},
		{"player", `"0190a5e4-0000-7000-8000-000000000000"`, ""},
		{"player", `5`, "no string"},
	} {
		_, bad, err := readAll(t, newNDJSON(strings.NewReader(`{"id":`+c.id+`}`), testkit.Entity(t, c.entity), 1000))
		require.NoError(t, err)
		if c.says == "" {
			require.Empty(t, bad)
			continue
		}
		require.Len(t, bad, 1, c)
		require.Contains(t, bad[0].Error(), c.says)
	}
	_, bad, err := readAll(t, newNDJSON(strings.NewReader("{}"), testkit.Entity(t, "user"), 1000))
	require.NoError(t, err)
	require.Equal(t, []badRow{{1, `has no "id"`}}, bad)
}

func TestCSV(t *testing.T) {
	t.Parallel()
	e := testkit.Entity(t, "everything")
	source, err := newCSV(strings.NewReader("id,int,json,bool,string,decimal\na,5,\"{\"\"k\"\": [1]}\",true,\"x\ny\",1.5\nb,,,,,\nc,1\n,1,,,,\nd,7,,,z,\n"), e, 1000, 0)
	require.NoError(t, err)
	all, bad, err := readAll(t, source)
	require.NoError(t, err)
	require.Len(t, all, 3)
	values, err := e.Whole(all[0].fields)
	require.NoError(t, err)
	text := string(e.AppendFields(nil, values))
	require.Contains(t, text, `"string":"x\ny"`)
	require.Contains(t, text, `"json":{"k": [1]}`)
	require.Empty(t, all[1].fields, "an empty cell is an absent field")
	require.Equal(t, []badRow{{5, "has 2 cells, the header 6"}, {6, "has no id"}}, bad)
	require.Equal(t, 7, all[2].line)

	for text, reason := range map[string]string{
		"": "no header", "id,nope\n": `column "nope"`, "int\n": `no column "id"`, "id,int,int\n": "twice",
	} {
		_, err := newCSV(strings.NewReader(text), e, 1000, 0)
		require.ErrorContains(t, err, reason)
	}
}

// Within quotes every byte is the value's, also at the seams of small reads.
func TestCSVKeepsCarriageReturns(t *testing.T) {
	t.Parallel()
	e := testkit.Entity(t, "everything")
	text := "id,string\r\n\"a\r\n\",\"x\r\ny\rz\"\"\r\n\"\r\nb,\"\xff\"\r\nc,plain\r\n"
	r, err := newCSV(iotest.OneByteReader(strings.NewReader(text)), e, 1000, 0)
	require.NoError(t, err)
	all, bad, err := readAll(t, r)
	require.NoError(t, err)
	require.Empty(t, bad)
	require.Len(t, all, 3)
	require.Equal(t, "a\r\n", all[0].id)
	require.Equal(t, "x\r\ny\rz\"\r\n", all[0].fields["string"])
	require.NotContains(t, all[1].fields["string"], "\r", "a byte that is not UTF-8 stays one")
	require.False(t, utf8.ValidString(all[1].fields["string"].(string)))
	require.Equal(t, "plain", all[2].fields["string"])
}

func TestCSVRowsAreBounded(t *testing.T) {
	t.Parallel()
	source, err := newCSV(strings.NewReader("id,string\na,\""+strings.Repeat("x\n", 100_000)),
		testkit.Entity(t, "everything"), 1000, 0)
	require.NoError(t, err)
	_, _, err = readAll(t, source)
	require.ErrorIs(t, err, errRowTooLong)
}

func FuzzRows(f *testing.F) {
	f.Add(`{"id":"a","name":"x"}`, "id,name\na,b\n")
	f.Add("{\"id\":1}\n{}\n", "id\n\"a\n")
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	require.NoError(f, e.Init())
	f.Fuzz(func(t *testing.T, nd, csv string) {
		all, _, _ := readAll(t, newNDJSON(strings.NewReader(nd), e, 1000))
		if source, err := newCSV(strings.NewReader(csv), e, 1000, 0); err == nil {
			more, _, _ := readAll(t, source)
			all = append(all, more...)
		}
		for _, r := range all {
			if r.line < 1 || r.id == "" {
				t.Fatalf("a row without line or id: %+v", r)
			}
		}
	})
}

// moody is an acceptor that answers a share of the writes with passing errors. It keeps
// what it has accepted, and the order.
type moody struct {
	mu    sync.Mutex // guards the rest
	calls int
	last  map[string]string
}

func (m *moody) DoAll(_ context.Context, rs []producer.Request) []producer.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	moods := []error{nil, schema.ErrBacklogFull, schema.ErrOutcomeUnknown, nil, schema.ErrUnavailable}
	results := make([]producer.Result, len(rs))
	for i, r := range rs {
		m.calls++
		err := moods[m.calls%len(moods)]
		if _, there := m.last[r.ID]; there && r.Op == cache.OpCreate {
			err = schema.ErrExists
		} else if err == nil || errors.Is(err, schema.ErrOutcomeUnknown) {
			m.last[r.ID] = fmt.Sprintf("%s", r.Fields["n"])
		}
		results[i].Err = err
	}
	return results
}

func loadText(t *testing.T, to acceptor, op cache.Op, f loadFlags, text string) (loadSummary, error) {
	t.Helper()
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "n", Type: schema.Int}}}
	require.NoError(t, e.Init())
	a := &app{&cli.App{Streams: cli.Streams{Err: io.Discard}}}
	l := newLoading(to, e, op, f, a.Bar(-1, ""))
	err := l.run(t.Context(), newNDJSON(strings.NewReader(text), e, 1000))
	return l.summary(), err
}

// What had no room is tried again, and never takes effect after a later row of its id.
func TestLoadKeepsTheOrderOverRetries(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, `{"id":"%d","n":%d}`+"\n", i%150, i)
	}
	m := &moody{last: map[string]string{}}
	s, err := loadText(t, m, cache.OpPut, loadFlags{patience: time.Minute}, b.String())
	require.NoError(t, err)
	require.EqualValues(t, 300, s.Accepted)
	require.Zero(t, s.Rejected)
	require.Positive(t, s.Waits)
	for i := range 150 {
		require.Equal(t, fmt.Sprint(i+150), m.last[fmt.Sprint(i)])
	}
}

// A create whose answer was lost meets itself; one of a record that was there does not.
func TestLoadCreatesOverLostAnswers(t *testing.T) {
	t.Parallel()
	m := &moody{last: map[string]string{"there": "1"}}
	text := `{"id":"there","n":2}` + "\n"
	for i := range 50 {
		text += fmt.Sprintf(`{"id":"%d","n":%d}`+"\n", i, i)
	}
	s, err := loadText(t, m, cache.OpCreate, loadFlags{patience: time.Minute, maxErrors: 10}, text)
	require.NoError(t, err)
	require.EqualValues(t, 50, s.Accepted)
	require.Equal(t, []rejected{{1, "there", schema.ErrExists.Error()}}, s.Errors)
}

// broken is a file that cannot be read to its end.
type broken struct{ rows }

func (b broken) next() (row, error) {
	r, err := b.rows.next()
	if errors.Is(err, io.EOF) {
		err = errors.New("the disk is gone")
	}
	return r, err
}

// What was read before the file breaks, or before too many rows are refused, is written,
// and nothing is called refused that was not.
func TestLoadWritesWhatCameBeforeAFault(t *testing.T) {
	t.Parallel()
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "n", Type: schema.Int}}}
	require.NoError(t, e.Init())
	var text strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&text, `{"id":"%d","n":1}`+"\n", i)
	}
	load := func(source rows) (loadSummary, error) {
		a := &app{&cli.App{Streams: cli.Streams{Err: io.Discard}}}
		l := newLoading(&moody{last: map[string]string{}}, e, cache.OpPut,
			loadFlags{patience: time.Minute, maxErrors: 1}, a.Bar(-1, ""))
		err := l.run(t.Context(), source)
		return l.summary(), err
	}
	s, err := load(broken{newNDJSON(strings.NewReader(text.String()), e, 1000)})
	require.ErrorContains(t, err, "the disk is gone")
	require.EqualValues(t, 3000, s.Accepted)
	require.Empty(t, s.Errors)
	s, err = load(newNDJSON(strings.NewReader(text.String()+"x\nx\nx\n"), e, 1000))
	require.ErrorIs(t, err, errTooMany)
	require.EqualValues(t, 3000, s.Accepted)
	require.Len(t, s.Errors, 2)
}

// refusing answers every write with an error.
type refusing struct{ err error }

func (r refusing) DoAll(_ context.Context, rs []producer.Request) []producer.Result {
	results := make([]producer.Result, len(rs))
	for i := range results {
		results[i].Err = r.err
	}
	return results
}

// Rows may turn out to be too many when the file is at its end.
func TestLoadTellsOfTooManyAtTheEnd(t *testing.T) {
	t.Parallel()
	text := `{"id":"a"}` + "\n" + `{"id":"b"}`
	s, err := loadText(t, refusing{schema.ErrNotFound}, cache.OpPatch, loadFlags{patience: time.Minute, maxErrors: 1},
		text)
	require.ErrorIs(t, err, errTooMany)
	require.Len(t, s.Errors, 2)
	_, err = loadText(t, refusing{schema.ErrNotFound}, cache.OpPatch, loadFlags{patience: time.Minute, maxErrors: 2},
		text)
	require.NoError(t, err)
}

func TestLoadIsNotPatientForEver(t *testing.T) {
	t.Parallel()
	_, err := loadText(t, refusing{schema.ErrBacklogFull}, cache.OpPut, loadFlags{patience: time.Millisecond},
		`{"id":"a"}`)
	require.ErrorIs(t, err, schema.ErrBacklogFull)
	require.ErrorContains(t, err, "line 1 was not accepted")
}

// A file that is no text is told by its first bytes, in one line.
func TestLoadTellsOfAFileThatIsNoText(t *testing.T) {
	t.Parallel()
	e := testkit.Entity(t, "user")
	for start, says := range map[string]string{
		"PK\x03\x04": "ZIP", "\xff\xfei\x00": "UTF-16",
		"\xfe\xff\x00i": "UTF-16",
	} {
		for _, format := range []string{"csv", "ndjson"} {
			_, err := newRows(format, strings.NewReader(start+strings.Repeat("x", 1000)), e, 1000, 0)
			require.ErrorContains(t, err, says)
		}
	}
	_, err := newRows("csv", strings.NewReader(strings.Repeat("x", 900)+"\n1"), e, 1000, 0)
	require.ErrorContains(t, err, "not a field of user")
	require.Less(t, len(err.Error()), 200)
	for _, text := range []string{"", "{", `{"id":"a"}`} {
		source, err := newRows("ndjson", iotest.OneByteReader(strings.NewReader(text)), e, 1000, 0)
		require.NoError(t, err)
		all, _, err := readAll(t, source)
		require.NoError(t, err)
		require.Len(t, all, len(text)/10)
	}
	source, err := newRows("ndjson", io.MultiReader(strings.NewReader("{}"), iotest.ErrReader(context.Canceled)), e,
		1000, 0)
	require.NoError(t, err)
	_, _, err = readAll(t, source)
	require.ErrorIs(t, err, context.Canceled)
}

// Compressed files, the delimiters of spreadsheets and byte order marks are read without being asked for.
func TestLoadReadsWhatToolsWrite(t *testing.T) {
	t.Parallel()
	e := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}, {Name: "n",
		Type: schema.Int}}}
	require.NoError(t, e.Init())
	packed := func(with func(io.Writer) io.WriteCloser, text string) string {
		var b strings.Builder
		w := with(&b)
		_, err := io.WriteString(w, text)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.String()
	}
	zipped := func(text string) string {
		return packed(func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }, text)
	}
	zstandard := func(text string) string {
		return packed(func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			require.NoError(t, err)
			return z
		}, text)
	}
	const comma, semicolon = "id,name,n\na,x,1\nb,\"y;z\",2\n", "\ufeff\"id\";name;n\r\na;x;1\r\nb;\"y;z\";2\r\n"
	const lines = "\ufeff{\"id\":\"a\",\"name\":\"x\",\"n\":1}\n{\"id\":\"b\",\"name\":\"y;z\",\"n\":2}\n"
	for format, texts := range map[string][]string{
		"csv": {comma, semicolon, strings.ReplaceAll(comma, ",", "\t"), strings.ReplaceAll(comma, ",", "|"),
			zipped(semicolon), zstandard(semicolon)},
		"ndjson": {lines, zipped(lines), zstandard(lines)},
	} {
		for _, text := range texts {
			source, err := newRows(format, iotest.OneByteReader(strings.NewReader(text)), e, 1000, 0)
			require.NoError(t, err, "%q", text)
			all, _, err := readAll(t, source)
			require.NoError(t, err)
			require.Len(t, all, 2, "%q", text)
			require.Equal(t, "b", all[1].id)
		}
	}
	source, err := newRows("csv", strings.NewReader("name#id\nx#a\n"), e, 1000, '#')
	require.NoError(t, err)
	all, _, err := readAll(t, source)
	require.NoError(t, err)
	require.Equal(t, "a", all[0].id)
	_, err = newRows("csv", strings.NewReader(zipped(comma)[:20]), e, 1000, 0)
	require.Error(t, err)
	for file, want := range map[string]string{"a.csv.gz": "csv", "a.CSV": "csv", "a.ndjson.zst": "ndjson"} {
		got, err := loadFlags{}.formatOf(file)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// A load that ends before its file names the line before which everything is written, whatever was written after it;
// going on there writes the rest, and no row comes before an earlier one of its id.
func TestLoadGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	e := &schema.Entity{Name: "user", Partitions: 16, Fields: []schema.Field{{Name: "n", Type: schema.Int}}}
	require.NoError(t, e.Init())
	var text strings.Builder
	const count = 9000
	for i := range count {
		fmt.Fprintf(&text, `{"id":"%d","n":%d}`+"\n", i%4000, i)
	}
	written := &stops{after: 3000, at: map[string]string{}}
	load := func(ctx context.Context, from int) (loadSummary, error) {
		a := &app{&cli.App{Streams: cli.Streams{Err: io.Discard}}}
		l := newLoading(written, e, cache.OpPut, loadFlags{patience: time.Minute}, a.Bar(-1, ""))
		err := l.run(ctx, skipping{newNDJSON(strings.NewReader(text.String()), e, 1000), from})
		return l.summary(), err
	}
	ctx, cancel := context.WithCancel(t.Context())
	written.stop = cancel
	s, err := load(ctx, 1)
	require.ErrorIs(t, err, context.Canceled)
	require.Greater(t, s.GoOn, 1)
	require.Less(t, s.GoOn, count)
	for i := range s.GoOn - 1 {
		require.Contains(t, written.at, fmt.Sprint(i%4000), "line %d is before line %d", i+1, s.GoOn)
	}
	s, err = load(t.Context(), s.GoOn)
	require.NoError(t, err)
	for i := count - 4000; i < count; i++ {
		require.Equal(t, fmt.Sprint(i), written.at[fmt.Sprint(i%4000)])
	}
}

// stops accepts writes and stops its caller after some, of which the first line's is one.
type stops struct {
	mu    sync.Mutex
	after int
	stop  func()
	at    map[string]string
}

func (s *stops) DoAll(ctx context.Context, rs []producer.Request) []producer.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	results := make([]producer.Result, len(rs))
	for i, r := range rs {
		if results[i].Err = ctx.Err(); ctx.Err() == nil {
			s.at[r.ID] = fmt.Sprintf("%s", r.Fields["n"])
		}
	}
	_, begun := s.at["0"] // of the first line
	if s.after -= len(rs); s.after < 0 && begun && s.stop != nil {
		s.stop()
	}
	return results
}
