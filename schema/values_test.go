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

func TestDeltas(t *testing.T) {
	e := account(t)
	deltas, err := e.Deltas(schema.Fields{"logins": raw("-9223372036854775808")})
	require.NoError(t, err)
	require.Equal(t, []schema.Delta{{Field: 2, By: math.MinInt64}}, deltas,
		"the field's bounds are for the sum, not for the addend")

	two := &schema.Entity{Name: "two", Fields: []schema.Field{{Name: "b", Type: schema.Int},
		{Name: "a", Type: schema.Int}}}
	require.NoError(t, two.Init())
	deltas, err = two.Deltas(schema.Fields{"a": 1, "b": raw("2")})
	require.NoError(t, err)
	require.Equal(t, []schema.Delta{{0, 2}, {1, 1}}, deltas, "in the order of the fields")

	_, err = e.Deltas(nil)
	require.Equal(t, []string{"fields"}, faults(t, err))
	_, err = e.Deltas(schema.Fields{"logins": nil, "score": 1, "nope": 1})
	require.Equal(t, []string{"logins", "nope", "score"}, faults(t, err))
	_, err = e.Deltas(schema.Fields{"logins": raw("9223372036854775808")})
	require.ErrorContains(t, err, "logins is beyond 64 bits")
	_, err = e.Deltas(schema.Fields{"logins": raw("1.5")})
	require.ErrorContains(t, err, "logins must be a whole number")
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

	fields, err := e.ParseFields(e.AppendFields(nil, values))
	require.NoError(t, err)
	again, err := e.Whole(fields)
	require.NoError(t, err)
	require.Equal(t, values, again)
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

func TestParseFieldsRefuses(t *testing.T) {
	e := account(t)
	for _, s := range []string{"", "[]", "{", `{"a":}`, "7"} {
		_, err := e.ParseFields([]byte(s))
		require.Error(t, err, s)
	}
}
