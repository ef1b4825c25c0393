package redact_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/redact"
	"github.com/afterwrite/afterwrite/schema"
)

func redacting(t *testing.T) *schema.Entity {
	t.Helper()
	e := &schema.Entity{Name: "person", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	for _, f := range schema.FieldTypes {
		e.Fields = append(e.Fields, schema.Field{Name: "f_" + string(f), Type: f, Redact: true})
	}
	require.NoError(t, e.Init())
	return e
}

// Whatever a database quotes of a redacted field, in its own spelling, is gone.
func TestRedact(t *testing.T) {
	t.Parallel()
	e := redacting(t)
	for kind, c := range map[schema.FieldType]struct{ value, text, want string }{
		schema.String: {`"ada@example.com"`, `Key (email)=(ada@example.com) already exists: ada@example.com`,
			`Key (email)=((redacted)) already exists: (redacted)`},
		schema.Text: {`"O'Brien \"x\""`, `'O''Brien "x"' and O'Brien "x" and O'Brien \"x\"`,
			`'(redacted)' and (redacted) and (redacted)`},
		schema.Int:     {"9223372036854775807", "value 9223372036854775807 is bad", "value (redacted) is bad"},
		schema.Float:   {"12.5", "12.5 is bad", "(redacted) is bad"},
		schema.Decimal: {`"12.50"`, "12.50 is bad", "(redacted) is bad"},
		schema.Bool:    {"true", "true is bad", "true is bad"},
		schema.Time: {`"2026-01-31T12:00:00.5Z"`, "2026-01-31 12:00:00.5+00 or 2026-01-31T12:00:00.5Z",
			"(redacted)+00 or (redacted)"},
		schema.JSON: {`{"card":["4111 1111",{"n":31337}],"a":1}`,
			`4111 1111, 31337, 1, {"card":["4111 1111",{"n":31337}],"a":1}`, "(redacted), (redacted), 1, (redacted)"},
		schema.Bytes: {`"c2VjcmV0"`, `\x736563726574 X'736563726574' secret c2VjcmV0`,
			`\x(redacted) X'(redacted)' (redacted) (redacted)`},
		schema.UUID: {`"0198c2e5-0000-7000-8000-000000000001"`, `bad 0198c2e5-0000-7000-8000-000000000001`,
			`bad (redacted)`},
	} {
		values := make(schema.Values, len(e.Fields))
		for i := range values {
			if values[i] = schema.Null; e.Fields[i].Type == kind && e.Fields[i].Redact {
				values[i] = c.value
			}
		}
		got := redact.Text(e, c.text, values)
		require.Equal(t, c.want, got, kind)
		require.Equal(t, got, redact.Text(e, got, values), "again")
	}
}

func TestRedactLeavesTheRest(t *testing.T) {
	t.Parallel()
	e := redacting(t)
	values := make(schema.Values, len(e.Fields))
	values[0], values[1] = `"shown"`, `"ab"`
	require.Equal(t, "null shown ab", redact.Text(e, "null shown ab", values, nil))
	values[1] = `"red"`
	require.Equal(t, "(redacted) hair", redact.Text(e, "red hair", values))
	require.Equal(t, "(redacted) hair", redact.Text(e, redact.Text(e, "red hair", values), values))
	other := make(schema.Values, len(e.Fields))
	other[1] = `"red hair"`
	require.Equal(t, "(redacted), (redacted)", redact.Text(e, "red hair, red", values, other), "the longest first")
}

// A message that was cut within the value tells nothing of its beginning.
func TestRedactCutMessage(t *testing.T) {
	t.Parallel()
	e := redacting(t)
	values := make(schema.Values, len(e.Fields))
	values[1] = `"` + strings.Repeat("abc", 400) + `"`
	text := "taken: " + strings.Repeat("abc", 400)
	require.Equal(t, "taken: (redacted)", redact.Text(e, text[:schema.MaxRefusalMessage], values))
	require.Equal(t, "taken: (redacted)", redact.Text(e, text, values))
	require.Equal(t, "taken: abc", redact.Text(e, "taken: abc", values), "a short one is whole")
}

// Each spelling that a database, or a trigger, makes of a value is found.
func TestRedactSpellings(t *testing.T) {
	t.Parallel()
	e := redacting(t)
	at := map[schema.FieldType]int{}
	for i := range e.Fields[1:] {
		at[e.Fields[i+1].Type] = i + 1
	}
	for _, c := range []struct {
		of     schema.FieldType
		value  string
		quotes []string
	}{
		{schema.Float, "1e+15", []string{"1e+15", "1E15", "1.0e+15", "1000000000000000"}},
		{schema.Float, "1.2345678901234567e-7", []string{"1.2345678901234567e-07", "1.23456789012346e-07"}},
		{schema.Decimal, `"1200.50"`, []string{"1200.50", "1200.5"}},
		{schema.String, `"Grüße\\O'Neil"`, []string{"GRÜSSE", "grüße\\\\o'neil", `Gr\u00fc\u00dfe\\O'Neil`, "Grüße\\O''N"}[1:]},
		{schema.String, `"4000-1111-2222"`, []string{"'4000-111...'", "4000-1111-"}},
		{schema.JSON, `{"pin":"31\"337","n":1e20}`, []string{`{"n": 1e+20, "pin": "31\"337"}`, `31"337`,
			"100000000000000000000"}},
	} {
		values := make(schema.Values, len(e.Fields))
		for i := range values {
			values[i] = schema.Null
		}
		values[at[c.of]] = c.value
		for _, quote := range c.quotes {
			got := redact.Text(e, "it says "+quote+" here", values)
			require.Contains(t, got, redact.Mark, "%s in %s", c.value, quote)
			for _, part := range []string{"31\"337", "4000", "e+15", "Neil", "neil", "1200"} {
				require.NotContains(t, got, part)
			}
		}
	}
}
