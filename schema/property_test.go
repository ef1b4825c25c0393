package schema_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/afterwrite/afterwrite/schema"
)

// goValue draws a Go value that a field of the type takes.
func goValue(typ schema.FieldType) *rapid.Generator[any] {
	text := rapid.String().Filter(func(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") })
	switch typ {
	case schema.Int:
		return rapid.Int64().AsAny()
	case schema.Float:
		return rapid.Float64().Filter(func(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }).AsAny()
	case schema.Decimal:
		return rapid.StringMatching(`-?[0-9]{1,36}(\.[0-9]{1,2})?`).AsAny()
	case schema.Bool:
		return rapid.Bool().AsAny()
	case schema.Time:
		micros := rapid.Int64Range(time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro(),
			time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).UnixMicro())
		return rapid.Map(micros, func(n int64) any { return time.UnixMicro(n) })
	case schema.Bytes:
		return rapid.SliceOf(rapid.Byte()).AsAny()
	case schema.UUID:
		return rapid.Map(rapid.SliceOfN(rapid.Byte(), 16, 16), func(b []byte) any { return uuid.UUID(b) })
	case schema.JSON:
		return rapid.Map(rapid.MapOf(text, rapid.SliceOf(text)), func(m map[string][]string) any { return m })
	default:
		return text.AsAny()
	}
}

// asRead is a decoded value as a database driver returns it.
func asRead(f *schema.Field, v any) any {
	if s, ok := v.(string); ok && f.Type == schema.JSON {
		return json.RawMessage(s)
	}
	return v
}

func TestCanonicalFormIsOneForm(t *testing.T) {
	for _, typ := range schema.FieldTypes {
		f := initialised(t, schema.Field{Type: typ})
		t.Run(string(typ), rapid.MakeCheck(func(t *rapid.T) {
			v := goValue(typ).Draw(t, "value")
			text, err := f.Canonical(v)
			require.NoError(t, err)
			require.True(t, json.Valid([]byte(text)))

			again, err := f.Canonical(json.RawMessage(text))
			require.NoError(t, err)
			require.Equal(t, text, again, "Canonical is idempotent")

			decoded, err := f.Decode(text)
			require.NoError(t, err)
			encoded, err := f.Encode(asRead(f, decoded))
			require.NoError(t, err)
			require.Equal(t, text, encoded, "what the database returns is what was accepted")
		}))
	}
}

func TestCanonicalKeepsTheValue(t *testing.T) {
	t.Run("int", rapid.MakeCheck(func(t *rapid.T) {
		f := schema.Field{Type: schema.Int}
		n := rapid.Int64().Draw(t, "n")
		text, err := f.Canonical(n)
		require.NoError(t, err)
		got, err := f.Decode(text)
		require.NoError(t, err)
		require.Equal(t, n, got)
	}))
	t.Run("float", rapid.MakeCheck(func(t *rapid.T) {
		f := schema.Field{Type: schema.Float}
		n := goValue(schema.Float).Draw(t, "n").(float64)
		text, err := f.Canonical(n)
		require.NoError(t, err)
		got, err := f.Decode(text)
		require.NoError(t, err)
		require.Equal(t, math.Float64bits(n+0), math.Float64bits(got.(float64)), "every bit but the sign of zero")
	}))
	t.Run("string", rapid.MakeCheck(func(t *rapid.T) {
		f := schema.Field{Type: schema.String}
		s := goValue(schema.String).Draw(t, "s").(string)
		text, err := f.Canonical(s)
		require.NoError(t, err)
		escaped, err := json.Marshal(s) // another spelling of the same string
		require.NoError(t, err)
		same, err := f.Canonical(json.RawMessage(escaped))
		require.NoError(t, err)
		require.Equal(t, text, same)
		got, err := f.Decode(text)
		require.NoError(t, err)
		require.Equal(t, s, got)
	}))
}

func TestRecordRoundTrip(t *testing.T) {
	e := account(t)
	rapid.Check(t, func(t *rapid.T) {
		fields := schema.Fields{"name": "x"}
		for i := range e.Fields {
			f := &e.Fields[i]
			if f.Name != "name" && f.Name != "logins" && rapid.Bool().Draw(t, "given") {
				fields[f.Name] = goValue(f.Type).Draw(t, f.Name)
			}
		}
		values, err := e.Whole(fields)
		require.NoError(t, err)
		again, err := e.Whole(parsed(t, e.AppendFields(nil, values)))
		require.NoError(t, err)
		require.Equal(t, values, again)
	})
}
