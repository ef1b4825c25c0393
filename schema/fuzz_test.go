package schema_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// FuzzCanonical holds, for any bytes and every type: what is taken is valid JSON
// without NUL, is its own canonical form, and comes back from a database unchanged.
func FuzzCanonical(f *testing.F) {
	var fields []*schema.Field
	for _, typ := range schema.FieldTypes {
		fields = append(fields, initialised(f, schema.Field{Type: typ}))
	}
	for _, s := range []string{
		`null`, `"a"`, `"\u0000"`, `"\ud800"`, `-0`, `1e3`, `9223372036854775808`, `"-00.10"`, `true`, `{"a":1,"a":2}`,
		`"2026-01-31T12:00:00.5+01:00"`, `"AA=="`, `"018F4E7A-3B5C-7D2E-9F10-1A2B3C4D5E6F"`, "\"\xff\"", `[1.00, 2]`,
		` 0x1`, `1_0`, `"`, `01`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		for _, field := range fields {
			text, err := field.Canonical(json.RawMessage(in))
			if err != nil {
				continue
			}
			require.True(t, json.Valid([]byte(text)), "%s: %q", field.Type, text)
			require.True(t, utf8.ValidString(text), "%s: %q", field.Type, text)
			require.False(t, strings.Contains(text, "\x00"), "%s: %q", field.Type, text)
			require.True(t, json.Valid(in), "%s took %q, which is not JSON", field.Type, in)

			again, err := field.Canonical(json.RawMessage(text))
			require.NoError(t, err, "%s: %q", field.Type, text)
			require.Equal(t, text, again)

			decoded, err := field.Decode(text)
			require.NoError(t, err, "%s: %q", field.Type, text)
			encoded, err := field.Encode(asRead(field, decoded))
			require.NoError(t, err, "%s: %q", field.Type, text)
			require.Equal(t, text, encoded)
		}
	})
}

// FuzzCanonicalID holds, for any string: an id that is taken is its own canonical
// id, falls into a partition, and has a JSON text that reads back as it.
func FuzzCanonicalID(f *testing.F) {
	var entities []*schema.Entity
	for _, typ := range []schema.FieldType{schema.String, schema.Int, schema.UUID} {
		entities = append(entities, entityWithID(f, schema.ID{Type: typ}))
	}
	for _, s := range []string{"", "1", "007", "-0", "+1", "日本", "a\x00", "a\xff", "/:{}*?[]% \n",
		"018F4E7A-3B5C-7D2E-9F10-1A2B3C4D5E6F"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, e := range entities {
			id, err := e.CanonicalID(in)
			if err != nil {
				require.ErrorIs(t, err, schema.ErrInvalid)
				continue
			}
			again, err := e.CanonicalID(id)
			require.NoError(t, err)
			require.Equal(t, id, again)
			require.Less(t, e.Partition(id), e.Partitions)

			var read any
			d := json.NewDecoder(strings.NewReader(e.IDText(id)))
			d.UseNumber()
			require.NoError(t, d.Decode(&read))
			if n, ok := read.(json.Number); ok {
				read = n.String()
			}
			require.Equal(t, id, read)
		}
	})
}
