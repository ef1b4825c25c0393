package afterwrite_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
)

func redacting(t *testing.T) *afterwrite.Entity {
	t.Helper()
	e := &afterwrite.Entity{Name: "person", Fields: []afterwrite.Field{{Name: "name", Type: afterwrite.String}}}
	for _, f := range afterwrite.FieldTypes {
		e.Fields = append(e.Fields, afterwrite.Field{Name: "f_" + string(f), Type: f, Redact: true})
	}
	require.NoError(t, e.Init())
	return e
}

// Whatever a database quotes of a redacted field, in its own spelling, is gone.
func TestRedact(t *testing.T) {
	t.Parallel()
	e := redacting(t)
	for kind, c := range map[afterwrite.FieldType]struct{ value, text, want string }{
		afterwrite.String:  {`"ada@example.com"`, `Key (email)=(ada@example.com) already exists: ada@example.com`, `Key (email)=((redacted)) already exists: (redacted)`},
		afterwrite.Text:    {`"O'Brien \"x\""`, `'O''Brien "x"' and O'Brien "x" and O'Brien \"x\"`, `'(redacted)' and (redacted) and (redacted)`},
		afterwrite.Int:     {"9223372036854775807", "value 9223372036854775807 is bad", "value (redacted) is bad"},
		afterwrite.Float:   {"12.5", "12.5 is bad", "(redacted) is bad"},
		afterwrite.Decimal: {`"12.50"`, "12.50 is bad", "(redacted) is bad"},
		afterwrite.Bool:    {"true", "true is bad", "true is bad"},
		afterwrite.Time:    {`"2026-01-31T12:00:00.5Z"`, "2026-01-31 12:00:00.5+00 or 2026-01-31T12:00:00.5Z", "(redacted)+00 or (redacted)"},
		afterwrite.JSON:    {`{"card":["4111 1111",{"n":31337}],"a":1}`, `4111 1111, 31337, 1, {"card":["4111 1111",{"n":31337}],"a":1}`, "(redacted), (redacted), 1, (redacted)"},
		afterwrite.Bytes:   {`"c2VjcmV0"`, `\x736563726574 X'736563726574' secret c2VjcmV0`, `\x(redacted) X'(redacted)' (redacted) (redacted)`},
		afterwrite.UUID:    {`"0198c2e5-0000-7000-8000-000000000001"`, `bad 0198c2e5-0000-7000-8000-000000000001`, `bad (redacted)`},
	} {
		values := make(afterwrite.Values, len(e.Fields))
		for i := range values {
			if values[i] = afterwrite.Null; e.Fields[i].Type == kind && e.Fields[i].Redact {
				values[i] = c.value
			}
		}
		got := e.Redact(c.text, values)
		require.Equal(t, c.want, got, kind)
		require.Equal(t, got, e.Redact(got, values), "again")
	}
}

func TestRedactLeavesTheRest(t *testing.T) {
	t.Parallel()
	e := redacting(t)
	values := make(afterwrite.Values, len(e.Fields))
	values[0], values[1] = `"shown"`, `"ab"`
	require.Equal(t, "null shown ab", e.Redact("null shown ab", values, nil))
	values[1] = `"red"`
	require.Equal(t, "(redacted) hair", e.Redact("red hair", values))
	require.Equal(t, "(redacted) hair", e.Redact(e.Redact("red hair", values), values))
	other := make(afterwrite.Values, len(e.Fields))
	other[1] = `"red hair"`
	require.Equal(t, "(redacted), (redacted)", e.Redact("red hair, red", values, other), "the longest first")
}

// A message that was cut within the value tells nothing of its beginning.
func TestRedactCutMessage(t *testing.T) {
	t.Parallel()
	e := redacting(t)
	values := make(afterwrite.Values, len(e.Fields))
	values[1] = `"` + strings.Repeat("abc", 400) + `"`
	text := "taken: " + strings.Repeat("abc", 400)
	require.Equal(t, "taken: (redacted)", e.Redact(text[:afterwrite.MaxRefusalMessage], values))
	require.Equal(t, "taken: (redacted)", e.Redact(text, values))
	require.Equal(t, "taken: abc", e.Redact("taken: abc", values), "a short one is whole")
}
