package api

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/problem"
)

func testEntity(t testing.TB) *afterwrite.Entity {
	t.Helper()
	e := &afterwrite.Entity{Name: "user", Fields: []afterwrite.Field{
		{Name: "name", Type: afterwrite.String}, {Name: "age", Type: afterwrite.Int}, {Name: "profile", Type: afterwrite.JSON},
	}}
	require.NoError(t, e.Init())
	return e
}

// FuzzFields: the decoder takes only what every strict reader takes alike, keeps the
// text of each value, and leaves nothing behind for its next use.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"a","age":1e2,"profile":{"a":[1,{"b":null}]}}`, `{"name":"a","name":"b"}`, `{"id":7,"nope":[]}`,
		`{"\u006eame":"\ud800"}`, `[]`, `{"a":1}{}`, `{"a":NaN}`, "{\"a\":\"\xff\"}", ``, ` {"age" : -0 } `, `{"a":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	e := testEntity(f)
	var d decoder
	f.Fuzz(func(t *testing.T, input []byte) {
		before := bytes.Clone(input)
		fields := make(afterwrite.Fields)
		id, err := d.fields(input, e, fields)
		require.Equal(t, before, input)
		if err != nil {
			p := problem.Of(err)
			require.Equal(t, 400, p.Code)
			require.True(t, json.Valid(p.AppendTo(nil, "r")))
			return
		}
		var want map[string]json.RawMessage
		require.NoError(t, json.Unmarshal(input, &want))
		if raw, ok := want["id"]; ok {
			require.Equal(t, raw, id)
			delete(want, "id")
		}
		require.Len(t, fields, len(want))
		for name, raw := range want {
			require.Equal(t, raw, fields[name], "%q", name)
		}
		again := make(afterwrite.Fields)
		_, err = d.fields(input, e, again)
		require.NoError(t, err)
		require.True(t, reflect.DeepEqual(fields, again))
	})
}

func FuzzTags(f *testing.F) {
	for _, seed := range []string{`*`, `"1"`, `W/"1", "2"`, `"a`, `,,"x",`, ``, `"a""b"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, list string) {
		tags, ok := parseTags(list)
		if ok && tags != nil {
			require.NotEmpty(t, tags)
		}
		require.LessOrEqual(t, len(strongVersions(tags)), len(tags))
	})
}

func FuzzCursor(f *testing.F) {
	e := testEntity(f)
	f.Add("a")
	f.Add("日本/\n")
	f.Fuzz(func(t *testing.T, id string) {
		if id == "" {
			return
		}
		got, err := readCursor(e, cursor(e, id))
		require.NoError(t, err)
		require.Equal(t, id, got)
		if got, err := readCursor(e, id); err == nil {
			require.Equal(t, id, cursor(e, got))
		}
	})
}

func TestHeaderStrings(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{`"a"`: "a", `"a\"b\\"`: `a"b\`, `"" `: ""} {
		if got, ok := unquoteHeader(in); ok {
			require.Equal(t, want, got)
		}
	}
	for _, bad := range []string{`"a`, `"a"b`, `"\a"`, `"a\`} {
		_, ok := unquoteHeader(bad)
		require.False(t, ok, bad)
	}
}

func BenchmarkFields(b *testing.B) {
	e := testEntity(b)
	input := []byte(`{"name":"Ann Example","age":30,"profile":{"a":[1,2,3]}}`)
	var d decoder
	fields := make(afterwrite.Fields)
	b.ReportAllocs()
	for b.Loop() {
		clear(fields)
		if _, err := d.fields(input, e, fields); err != nil {
			b.Fatal(err)
		}
	}
}
