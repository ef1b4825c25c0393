package request

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

func testEntity(t testing.TB) *schema.Entity {
	t.Helper()
	e := &schema.Entity{Name: "user", Fields: []schema.Field{
		{Name: "name", Type: schema.String}, {Name: "age", Type: schema.Int}, {Name: "profile", Type: schema.JSON},
	}}
	require.NoError(t, e.Init())
	return e
}

// FuzzFields: the decoder takes only what every strict reader takes alike, keeps the
// text of each value, and leaves nothing behind for its next use.
func FuzzFields(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"a","age":1e2,"profile":{"a":[1,{"b":null}]}}`, `{"name":"a","name":"b"}`, `{"id":7,"nope":[]}`,
		`{"\u006eame":"\ud800"}`, `[]`, `{"a":1}{}`, `{"a":NaN}`, "{\"a\":\"\xff\"}", ``, ` {"age" : -0 } `,
		`{"a":"\u0000"}`,
	} {
		f.Add([]byte(seed))
	}
	e := testEntity(f)
	var d Decoder
	f.Fuzz(func(t *testing.T, input []byte) {
		before := bytes.Clone(input)
		fields := make(schema.Fields)
		id, err := d.Fields(input, e, fields)
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
		again := make(schema.Fields)
		_, err = d.Fields(input, e, again)
		require.NoError(t, err)
		require.True(t, reflect.DeepEqual(fields, again))
	})
}

func BenchmarkFields(b *testing.B) {
	e := testEntity(b)
	input := []byte(`{"name":"Ann Example","age":30,"profile":{"a":[1,2,3]}}`)
	var d Decoder
	fields := make(schema.Fields)
	b.ReportAllocs()
	for b.Loop() {
		clear(fields)
		if _, err := d.Fields(input, e, fields); err != nil {
			b.Fatal(err)
		}
	}
}
