package schema_test

import (
	"encoding/json"
	"errors"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

func faults(t *testing.T, err error) []string {
	t.Helper()
	var invalid *schema.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.True(t, errors.Is(err, schema.ErrInvalid))
	names := make([]string, len(invalid.Fields))
	for i, f := range invalid.Fields {
		names[i] = f.Field
	}
	return names
}

func TestWhole(t *testing.T) {
	e := account(t)
	values, err := e.Whole(schema.Fields{"name": "John", "score": raw("1.50"), "logins": nil})
	require.NoError(t, err)
	require.Equal(t, schema.Values{
		`"John"`, "null", "null", "1.5", `"7.50"`, "true", "null", "null", "null", "null",
	}, values, "an absent field is its default, else null; an explicit null stays null")

	_, err = e.Whole(nil)
	require.Equal(t, []string{"name"}, faults(t, err), "a required field that has a default may be absent")

	_, err = e.Whole(schema.Fields{"name": raw("7"), "nope": 1, "logins": -1, "active": nil, "id": "x"})
	require.Equal(t, []string{"active", "id", "logins", "name", "nope"}, faults(t, err),
		"each field at fault once, in order")
	require.EqualError(t, err,
		"active is required; id is not a field of account; logins is too small: -1, at least 0; name must be a string; nope is not a field of account")
}

func TestPartial(t *testing.T) {
	e := account(t)
	values, err := e.Partial(schema.Fields{"bio": nil, "profile": raw(`{"a": 1}`)})
	require.NoError(t, err)
	require.Equal(t, schema.Values{"", "null", "", "", "", "", "", `{"a": 1}`, "", ""}, values)

	values, err = e.Partial(nil)
	require.NoError(t, err)
	require.Equal(t, make(schema.Values, len(e.Fields)), values)

	_, err = e.Partial(schema.Fields{"name": nil, "score": "x"})
	require.Equal(t, []string{"name", "score"}, faults(t, err))
}

func TestRecordIsWrittenAndRead(t *testing.T) {
	e := account(t)
	values, err := e.Whole(schema.Fields{
		"name": "a\"b<日本>", "bio": "", "logins": int64(math.MaxInt64), "score": 1e21, "balance": "-0.1",
		"joined": "2026-01-31T12:00:00+01:00", "profile": raw(`{"z": [1.00], "a":"\u0041"}`), "avatar": []byte{0},
		"token": nil,
	})
	require.NoError(t, err)

	record := e.AppendRecord(nil, "日\"本", values)
	require.Equal(t, `{"id":"日\"本","name":"a\"b<日本>","bio":"","logins":9223372036854775807,"score":1e+21,"balance":"-0.10",`+
		`"active":true,"joined":"2026-01-31T11:00:00Z","profile":{"z": [1.00], "a":"\u0041"},"avatar":"AA==","token":null}`, string(record))
	require.True(t, json.Valid(record))

	fields := parsed(t, e.AppendFields(nil, values))
	again, err := e.Whole(fields)
	require.NoError(t, err)
	require.Equal(t, values, again)
}

// parsed reads the fields of a JSON object.
func parsed(t require.TestingT, object []byte) schema.Fields {
	var texts map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(object, &texts))
	fields := schema.Fields{}
	for name, text := range texts {
		fields[name] = text
	}
	return fields
}

func TestAppendLeavesAbsentFieldsOut(t *testing.T) {
	e := account(t)
	values, err := e.Partial(schema.Fields{"logins": 1, "bio": nil})
	require.NoError(t, err)
	require.Equal(t, `{"bio":null,"logins":1}`, string(e.AppendFields(nil, values)))
	require.Equal(t, `{}`, string(e.AppendFields(nil, nil)))
	require.Equal(t, `[{"id":"7"}`, string(e.AppendRecord([]byte("["), "7", nil)))

	numbered := entityWithID(t, schema.ID{Type: schema.Int})
	require.Equal(t, `{"id":7,"f":null}`, string(numbered.AppendRecord(nil, "7", schema.Values{"null"})))
}
