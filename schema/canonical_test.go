package schema_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// initialised returns f as an entity keeps it, its defaults filled and its bounds read.
func initialised(t testing.TB, f schema.Field) *schema.Field {
	t.Helper()
	f.Name = "f"
	e := &schema.Entity{Name: "thing", Fields: []schema.Field{f}}
	require.NoError(t, e.Init())
	return &e.Fields[0]
}

// raw is a value as a request carries it.
func raw(s string) json.RawMessage { return json.RawMessage(s) }

// accepted is a value, its canonical text, and what a database driver is handed.
type accepted struct {
	in      any
	text    string
	decoded any
}

// refused is a value and a part of the reason why no field of the type takes it.
type refused struct {
	in     any
	reason string
}

func checkType(t *testing.T, f schema.Field, good []accepted, bad []refused) {
	t.Helper()
	field := initialised(t, f)
	good = append(good, accepted{nil, "null", nil}, accepted{raw("null"), "null", nil},
		accepted{raw(" null\n"), "null", nil})
	for _, c := range good {
		text, err := field.Canonical(c.in)
		require.NoError(t, err, "%v %s", f.Type, c.in)
		require.Equal(t, c.text, text, "%v %s", f.Type, c.in)
		require.True(t, json.Valid([]byte(text)), "%s is JSON", text)

		again, err := field.Canonical(raw(text))
		require.NoError(t, err, "canonical text %s", text)
		require.Equal(t, text, again, "the canonical form is its own canonical form")

		decoded, err := field.Decode(text)
		require.NoError(t, err)
		require.Equal(t, c.decoded, decoded, "decoded %s", text)
	}
	bad = append(bad, refused{raw(""), "is not JSON"}, refused{raw(" "), "is not JSON"})
	for _, c := range bad {
		text, err := field.Canonical(c.in)
		require.Error(t, err, "%v %#v was taken as %s", f.Type, c.in, text)
		require.ErrorContains(t, err, c.reason, "%v %#v", f.Type, c.in)
	}
}

func TestCanonicalText(t *testing.T) {
	for _, typ := range []schema.FieldType{schema.String, schema.Text} {
		checkType(t, schema.Field{Type: typ, MaxLength: 12}, []accepted{
			{raw(`""`), `""`, ""},
			{raw(`"John"`), `"John"`, "John"},
			{raw("\t\"x\" \r\n"), `"x"`, "x"},
			{"John", `"John"`, "John"},
			{raw(`"\u004aohn\/"`), `"John/"`, "John/"},
			{raw(`"<&>"`), `"<&>"`, "<&>"},
			{raw(`"\u003c"`), `"<"`, "<"},
			{raw(`"a\"b\\c"`), `"a\"b\\c"`, `a"b\c`},
			{raw(`"\u000a\t\u0001\u001f"`), `"\n\t\u0001\u001f"`, "\n\t\x01\x1f"},
			{"\x7f", "\"\x7f\"", "\x7f"},
			{raw(`"\u65e5\u672c"`), `"日本"`, "日本"},
			{raw(`"\ud83d\ude00"`), `"😀"`, "😀"},
			{raw(`"\u2028"`), "\"\u2028\"", "\u2028"},
			{"\ufffd", "\"\ufffd\"", "\ufffd"},
			{"日本日本日本日本日本日本", `"日本日本日本日本日本日本"`, "日本日本日本日本日本日本"}, // 12 code points, 36 bytes
			{raw(`"\n\n\n\n\n\n\n\n\n\n\n\n"`), `"\n\n\n\n\n\n\n\n\n\n\n\n"`, strings.Repeat("\n", 12)},
			{"e\u0301", "\"e\u0301\"", "e\u0301"}, // not normalised: no two spellings are made one
		}, []refused{
			{raw(`1`), "must be a string"}, {raw(`true`), "must be a string"}, {raw(`{}`), "must be a string"},
			{raw(`["a"]`), "must be a string"}, {1, "must be a string"}, {[]byte("a"), "must be a string"},
			{raw(`"a`), "valid JSON string"}, {raw(`"`), "valid JSON string"}, {raw(`"a"b"`), "valid JSON string"},
			{raw(`"a" "b"`), "valid JSON string"}, {raw("\"a\nb\""), "valid JSON string"},
			{raw(`"\x"`), "valid JSON string"},
			{raw(`"\ud800"`), "valid JSON string"}, {raw(`"\ude00\ud83d"`), "valid JSON string"},
			{raw(`"\ud83dx"`), "valid JSON string"},
			{raw("\"\xff\""), "valid JSON string"}, {"\xff", "UTF-8"}, {"\xed\xa0\x80", "UTF-8"},
			{raw(`"a\u0000"`), "NUL"}, {raw("\"a\x00\""), "valid JSON string"}, {"a\x00", "NUL"},
			{"日本日本日本日本日本日本日", "13 characters, at most 12"},
			{raw(`"\u0041BCDEFGHIJKLM"`), "13 characters, at most 12"},
		})
	}
}

func TestCanonicalInt(t *testing.T) {
	checkType(t, schema.Field{Type: schema.Int}, []accepted{
		{raw("0"), "0", int64(0)}, {raw("-0"), "0", int64(0)}, {raw("25"), "25", int64(25)},
		{raw(" -25 "), "-25", int64(-25)},
		{raw("9223372036854775807"), "9223372036854775807", int64(math.MaxInt64)},
		{raw("-9223372036854775808"), "-9223372036854775808", int64(math.MinInt64)},
		{raw("9007199254740993"), "9007199254740993", int64(1<<53 + 1)}, // a float64 would lose it
		{1, "1", int64(1)}, {int8(-8), "-8", int64(-8)}, {int16(16), "16", int64(16)}, {int32(32), "32", int64(32)},
		{int64(math.MinInt64), "-9223372036854775808", int64(math.MinInt64)},
		{uint(1), "1", int64(1)}, {uint8(8), "8", int64(8)}, {uint16(16), "16", int64(16)},
		{uint32(32), "32", int64(32)},
		{uint64(math.MaxInt64), "9223372036854775807", int64(math.MaxInt64)},
		{json.Number("-7"), "-7", int64(-7)},
	}, []refused{
		{raw("9223372036854775808"), "beyond 64 bits"}, {raw("-9223372036854775809"), "beyond 64 bits"},
		{raw("1" + strings.Repeat("0", 400)), "beyond 64 bits"}, {uint64(math.MaxUint64), "beyond 64 bits"},
		{uint64(1 << 63), "beyond 64 bits"}, {json.Number("9223372036854775808"), "beyond 64 bits"},
		{raw("1.0"), "whole number"}, {raw("1e3"), "whole number"}, {raw("1E3"), "whole number"},
		{raw("-0.0"), "whole number"},
		{raw("007"), "whole number"}, {raw("+7"), "whole number"}, {raw("0x7"), "whole number"},
		{raw("1_000"), "whole number"},
		{raw("--1"), "whole number"}, {raw("-"), "whole number"}, {raw("1 2"), "whole number"},
		{raw("NaN"), "whole number"},
		{raw(`"7"`), "whole number"}, {raw("true"), "whole number"}, {raw("[1]"), "whole number"},
		{raw("{}"), "whole number"},
		{"7", "whole number"}, {7.0, "whole number"}, {true, "whole number"}, {json.Number(""), "whole number"},
		{json.Number("1.0"), "whole number"},
	})
	checkType(t, schema.Field{Type: schema.Int, Min: "0", Max: "150"}, []accepted{
		{0, "0", int64(0)}, {150, "150", int64(150)},
	}, []refused{{-1, "too small: -1, at least 0"}, {raw("151"), "too large: 151, at most 150"}})
}

func TestCanonicalFloat(t *testing.T) {
	checkType(t, schema.Field{Type: schema.Float}, []accepted{
		{raw("0"), "0", 0.0}, {raw("-0"), "0", 0.0}, {raw("-0.0"), "0", 0.0}, {raw("0e9"), "0", 0.0},
		{math.Copysign(0, -1), "0", 0.0},
		{raw("1.0"), "1", 1.0}, {raw("1e3"), "1000", 1000.0}, {raw("1E+2"), "100", 100.0}, {raw("1.50"), "1.5", 1.5},
		{raw("0.1"), "0.1", 0.1}, {raw("0.1000000000000000055511151231257827"), "0.1", 0.1},
		{raw("1e21"), "1e+21", 1e21}, {raw("1e-7"), "1e-7", 1e-7},
		{raw("123456789012345680000"), "123456789012345680000", 123456789012345680000.0},
		{raw("5e-324"), "5e-324", 5e-324}, {raw("1e-400"), "0", 0.0},
		{raw("1.7976931348623157e308"), "1.7976931348623157e+308", math.MaxFloat64},
		{0.5, "0.5", 0.5}, {float32(0.5), "0.5", 0.5}, {7, "7", 7.0}, {json.Number("2.50"), "2.5", 2.5},
		{math.SmallestNonzeroFloat64, "5e-324", 5e-324},
	}, []refused{
		{raw("1e999"), "beyond a 64-bit float"}, {raw("-1e999"), "beyond a 64-bit float"},
		{raw("1.8e308"), "beyond a 64-bit float"},
		{math.NaN(), "finite"}, {math.Inf(1), "finite"}, {math.Inf(-1), "finite"}, {float32(math.Inf(1)), "finite"},
		{raw("NaN"), "a number"}, {raw("Infinity"), "a number"}, {raw("-Inf"), "a number"}, {raw("inf"), "a number"},
		{raw(`"1"`), "a number"}, {raw("true"), "a number"},
		{raw("0x1p-2"), "a number"}, {raw("1_0"), "a number"}, {raw(".5"), "a number"}, {raw("5."), "a number"},
		{raw("01"), "a number"}, {raw("1e"), "a number"},
		{raw("[1]"), "a number"}, {"1", "a number"}, {json.Number(""), "a number"}, {json.Number("x"), "a number"},
	})
	checkType(t, schema.Field{Type: schema.Float, Min: "-1.5", Max: "0.1"}, []accepted{
		{-1.5, "-1.5", -1.5}, {raw("0.1"), "0.1", 0.1},
	}, []refused{{raw("-1.51"), "too small"}, {raw("0.11"), "too large"}})
}

func TestCanonicalDecimal(t *testing.T) {
	checkType(t, schema.Field{Type: schema.Decimal, Precision: 6, Scale: 2}, []accepted{
		{raw(`"12.5"`), `"12.50"`, "12.50"}, {"12", `"12.00"`, "12.00"}, {"0", `"0.00"`, "0.00"},
		{"-0.00", `"0.00"`, "0.00"}, {"-0", `"0.00"`, "0.00"}, {"-0.01", `"-0.01"`, "-0.01"},
		{"007.5", `"7.50"`, "7.50"}, {"0009999.99", `"9999.99"`, "9999.99"}, {"-9999.99", `"-9999.99"`, "-9999.99"},
		{raw(`"\u0031.5"`), `"1.50"`, "1.50"},
	}, []refused{
		{"10000", "5 digits before the point, at most 4"}, {"1.234", "3 digits after the point, at most 2"},
		{"1.500", "3 digits after the point"},
		{"1e3", "string of digits"}, {"1E3", "string of digits"}, {"+1", "string of digits"},
		{".5", "string of digits"}, {"5.", "string of digits"},
		{"", "string of digits"}, {"-", "string of digits"}, {"--1", "string of digits"}, {" 1", "string of digits"},
		{"1,5", "string of digits"},
		{"1.2.3", "string of digits"}, {"NaN", "string of digits"}, {"Infinity", "string of digits"},
		{"0x1", "string of digits"}, {"١", "string of digits"}, {"1\x00", "string of digits"},
		{raw("12.5"), "string of digits"}, {raw("12"), "string of digits"}, {raw("true"), "string of digits"},
		{raw("{}"), "string of digits"},
		{12.5, "string of digits"}, {12, "string of digits"}, {json.Number("12.5"), "string of digits"},
	})
	checkType(t, schema.Field{Type: schema.Decimal, Min: "0", Max: "99999999999999999999.99"}, []accepted{
		{"99999999999999999999.99", `"99999999999999999999.99"`, "99999999999999999999.99"}, // beyond any machine word
	}, []refused{{"100000000000000000000", "too large"}, {"-0.01", "too small"}})
	checkType(t, schema.Field{Type: schema.Decimal, Precision: 3, Scale: 3}, []accepted{
		{"0.125", `"0.125"`, "0.125"}, {"000.1", `"0.100"`, "0.100"},
	}, []refused{{"1", "1 digits before the point, at most 0"}})
	checkType(t, schema.Field{Type: schema.Decimal, Precision: 30}, []accepted{
		{"123456789012345678901234567890", `"123456789012345678901234567890"`, "123456789012345678901234567890"},
		{"-0", `"0"`, "0"},
	}, []refused{{"1.0", "1 digits after the point, at most 0"}})
}

func TestCanonicalBool(t *testing.T) {
	checkType(t, schema.Field{Type: schema.Bool}, []accepted{
		{raw("true"), "true", true}, {raw(" false "), "false", false}, {true, "true", true}, {false, "false", false},
	}, []refused{
		{raw("True"), "true or false"}, {raw(`"true"`), "true or false"}, {raw("1"), "true or false"},
		{raw("0"), "true or false"},
		{"true", "true or false"}, {1, "true or false"},
	})
}

func TestCanonicalTime(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		require.NoError(t, err)
		return v.UTC()
	}
	checkType(t, schema.Field{Type: schema.Time}, []accepted{
		{raw(`"2026-01-31T12:00:00Z"`), `"2026-01-31T12:00:00Z"`, at("2026-01-31T12:00:00Z")},
		{"2026-01-31T12:00:00+05:30", `"2026-01-31T06:30:00Z"`, at("2026-01-31T06:30:00Z")},
		{"2026-01-01T00:30:00+01:00", `"2025-12-31T23:30:00Z"`, at("2025-12-31T23:30:00Z")},
		{"2026-01-31t12:00:00z", `"2026-01-31T12:00:00Z"`, at("2026-01-31T12:00:00Z")},
		{raw(`"2026-01-31T12:00:00.5z"`), `"2026-01-31T12:00:00.5Z"`, at("2026-01-31T12:00:00.5Z")},
		{"2026-01-31T12:00:00-00:00", `"2026-01-31T12:00:00Z"`, at("2026-01-31T12:00:00Z")},
		{"2026-01-31T12:00:00.123456Z", `"2026-01-31T12:00:00.123456Z"`, at("2026-01-31T12:00:00.123456Z")},
		{"2026-01-31T12:00:00.120000Z", `"2026-01-31T12:00:00.12Z"`, at("2026-01-31T12:00:00.12Z")},
		{"2026-01-31T12:00:00.000000+01:00", `"2026-01-31T11:00:00Z"`, at("2026-01-31T11:00:00Z")},
		{"0001-01-01T00:00:00Z", `"0001-01-01T00:00:00Z"`, at("0001-01-01T00:00:00Z")},
		{"9999-12-31T23:59:59.999999Z", `"9999-12-31T23:59:59.999999Z"`, at("9999-12-31T23:59:59.999999Z")},
		{"2024-02-29T00:00:00Z", `"2024-02-29T00:00:00Z"`, at("2024-02-29T00:00:00Z")},
		{time.Date(2026, 1, 31, 12, 0, 0, 1000, time.FixedZone("", 3600)), `"2026-01-31T11:00:00.000001Z"`,
			at("2026-01-31T11:00:00.000001Z")},
	}, []refused{
		{"2026-01-31T12:00:00.1234567Z", "finer"}, {"2026-01-31T12:00:00.1234560Z", "finer"},
		{"2026-01-31T12:00:00.0000000001Z", "finer"},
		{time.Unix(0, 1), "finer"},
		{"0000-01-01T00:00:00Z", "years 1 to 9999"}, {"0001-01-01T00:00:00+01:00", "years 1 to 9999"},
		{"9999-12-31T23:59:59-01:00", "years 1 to 9999"},
		{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "years 1 to 9999"},
		{"10000-01-01T00:00:00Z", "RFC 3339"}, {"-001-01-01T00:00:00Z", "RFC 3339"},
		{"2026-01-31T12:00:00,5Z", "RFC 3339"}, {"2026-01-31T12:00:00", "RFC 3339"},
		{"2026-01-31 12:00:00Z", "RFC 3339"}, {"2026-01-31", "RFC 3339"},
		{"2026-1-31T12:00:00Z", "RFC 3339"}, {"2026-01-31T2:00:00Z", "RFC 3339"}, {"2026-02-30T12:00:00Z", "RFC 3339"},
		{"2025-02-29T00:00:00Z", "RFC 3339"},
		{"2026-01-31T24:00:00Z", "RFC 3339"}, {"2026-01-31T23:59:60Z", "RFC 3339"},
		{"2026-01-31T12:00:00+24:00", "RFC 3339"}, {"2026-01-31T12:00:00+0100", "RFC 3339"},
		{"2026-01-31T12:00:00.Z", "RFC 3339"}, {"", "RFC 3339"}, {"now", "RFC 3339"}, {raw("1769860800"), "RFC 3339"},
		{1769860800, "RFC 3339"},
	})
}

func TestCanonicalJSON(t *testing.T) {
	same := func(s string) accepted { return accepted{raw(s), s, s} }
	checkType(t, schema.Field{Type: schema.JSON}, []accepted{
		same(`{"b":1,  "a" : [ ] }`), // spaces and order stay
		same(`{"n":123456789012345678901234567890.123456789e-400}`),
		same(`[1.0,1.00,-0,1E2]`), same(`"\u0041\/"`), same(`""`), same(`0`), same(`true`), same(`[null]`),
		same("{\n}"),
		same(`{"":"","日本":"😀"}`), same(`{"a":{"a":{"a":1}}}`), same(`"\ud83d\ude00"`),
		{raw(" {} \n"), "{}", "{}"},
		{map[string]any{"b": "<&>\u2028", "a": nil}, "{\"a\":null,\"b\":\"<&>\u2028\"}",
			"{\"a\":null,\"b\":\"<&>\u2028\"}"},
		{[]int64{math.MaxInt64}, "[9223372036854775807]", "[9223372036854775807]"},
		{"a string", `"a string"`, `"a string"`}, {7, "7", "7"},
		{json.Number("1.00"), "1.00", "1.00"}, {map[string]any{"n": json.Number("1e400")}, `{"n":1e400}`,
			`{"n":1e400}`},
		{struct {
			A []string `json:"a"`
			B []byte   `json:"b,omitempty"`
		}{}, `{"a":null}`, `{"a":null}`},
		same(strings.Repeat("[", 512) + strings.Repeat("]", 512)),
	}, []refused{
		{raw(`{"a":1,"a":2}`), "duplicate"}, {raw(`{"a":1,"\u0061":2}`), "duplicate"},
		{raw(`[{"x":{"a":1,"a":1}}]`), "duplicate"},
		{raw(`{"a":"\u0000"}`), "NUL"}, {raw(`{"\u0000":1}`), "NUL"}, {raw(`"\u0000"`), "NUL"},
		{raw("\"\x00\""), "not valid JSON"}, {map[string]any{"a": "\x00"}, "NUL"},
		{raw(`"\ud800"`), "not valid JSON"}, {raw(`{"\udc00":1}`), "not valid JSON"},
		{raw("\"\xff\""), "not valid JSON"}, {map[string]string{"a": "\xff"}, "cannot be marshalled"},
		{raw(`{`), "not valid JSON"}, {raw(`{"a"}`), "not valid JSON"}, {raw(`[1,]`), "not valid JSON"},
		{raw(`{} {}`), "more than one"}, {raw(`1 2`), "more than one"}, {raw(`{}x`), "not valid JSON"},
		{raw(`'a'`), "not valid JSON"}, {raw(`NaN`), "not valid JSON"}, {raw(`01`), "more than one"},
		{raw(`// a`), "not valid JSON"}, {raw("\u00a01"), "not valid JSON"},
		{math.NaN(), "cannot be marshalled"}, {make(chan int), "cannot be marshalled"},
		{func() {}, "cannot be marshalled"},
		{raw(strings.Repeat("[", 512+1) + strings.Repeat("]", 512+1)),
			"deeper than 512"},
		{raw(strings.Repeat("[", 1_000_000)), "deeper than 512"},
		{raw(strings.Repeat(`{"a":`, 1_000_000)), "deeper than 512"},
	})
	checkType(t, schema.Field{Type: schema.JSON, MaxLength: 6}, []accepted{same(`"日本日本"`)},
		[]refused{{raw(`"日本日本日"`), "7 characters, at most 6"}})
}

func TestCanonicalBytes(t *testing.T) {
	checkType(t, schema.Field{Type: schema.Bytes, MaxLength: 4}, []accepted{
		{raw(`""`), `""`, []byte{}}, {[]byte{}, `""`, []byte{}}, {[]byte(nil), `""`, []byte{}},
		{[]byte{0, 1, 255}, `"AAH/"`, []byte{0, 1, 255}}, {raw(`"AAH\/"`), `"AAH/"`, []byte{0, 1, 255}},
		{"AA==", `"AA=="`, []byte{0}}, {"AAA=", `"AAA="`, []byte{0, 0}}, {[]byte("abcd"), `"YWJjZA=="`, []byte("abcd")},
	}, []refused{
		{[]byte("abcde"), "5 bytes, at most 4"}, {raw(`"YWJjZGU="`), "5 bytes, at most 4"},
		{"AA", "base64"}, {"AAA", "base64"}, {"A", "base64"}, {"AB==", "base64"}, {"AA==AA==", "base64"},
		{"AA= =", "base64"}, {"AA\n==", "base64"}, {"AA==\r\n", "base64"},
		{"_-8=", "base64"}, {"日本", "base64"}, {"AA==\x00", "base64"}, {raw("0"), "base64"}, {raw("[0]"), "base64"},
		{7, "base64"},
	})
}

func TestCanonicalUUID(t *testing.T) {
	const u = "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"
	checkType(t, schema.Field{Type: schema.UUID}, []accepted{
		{raw(`"` + u + `"`), `"` + u + `"`, u}, {strings.ToUpper(u), `"` + u + `"`, u},
		{uuid.MustParse(u), `"` + u + `"`, u},
		{"00000000-0000-0000-0000-000000000000", `"00000000-0000-0000-0000-000000000000"`,
			"00000000-0000-0000-0000-000000000000"},
	}, []refused{
		{"", "UUID"}, {strings.ReplaceAll(u, "-", ""), "UUID"}, {"{" + u + "}", "UUID"}, {"urn:uuid:" + u, "UUID"},
		{u[:35] + "g", "UUID"}, {u[:35] + "\x00", "UUID"},
		{"018f4e7a3b5c-7d2e-9f10-1a2b-3c4d5e6f", "UUID"}, {raw("1"), "UUID"}, {1, "UUID"}, {[]byte(u), "UUID"},
	})
}

// A row that another program wrote may break the field's limits; it is read as it is.
func TestEncodeKnowsNoLimits(t *testing.T) {
	for _, c := range []struct {
		field schema.Field
		in    any
		want  string
	}{
		{schema.Field{Type: schema.String, MaxLength: 1}, "long", `"long"`},
		{schema.Field{Type: schema.Int, Max: "1"}, 9, "9"},
		{schema.Field{Type: schema.Float, Min: "1"}, 0.5, "0.5"},
		{schema.Field{Type: schema.Decimal, Precision: 3, Scale: 1}, "123456.789", `"123456.789"`},
		{schema.Field{Type: schema.Bytes, MaxLength: 1}, []byte("abc"), `"YWJj"`},
		{schema.Field{Type: schema.JSON, MaxLength: 1}, raw("[1, 2]"), "[1, 2]"},
	} {
		f := initialised(t, c.field)
		_, err := f.Canonical(c.in)
		require.Error(t, err, "a write of %v is refused", c.in)
		text, err := f.Encode(c.in)
		require.NoError(t, err)
		require.Equal(t, c.want, text)
	}
}

func TestDecodeOfAbsence(t *testing.T) {
	for _, typ := range schema.FieldTypes {
		f := initialised(t, schema.Field{Type: typ})
		for _, text := range []string{"", "null"} {
			v, err := f.Decode(text)
			require.NoError(t, err)
			require.Nil(t, v)
		}
	}
}

func TestDecodeRefusesWhatIsNotCanonical(t *testing.T) {
	for typ, text := range map[schema.FieldType]string{
		schema.Int: "x", schema.Float: "x", schema.Bool: "x", schema.Time: `"x"`, schema.Bytes: `"x"`,
		schema.String: `"\x"`,
	} {
		_, err := initialised(t, schema.Field{Type: typ}).Decode(text)
		require.Error(t, err, typ)
	}
}

func entityWithID(t testing.TB, id schema.ID) *schema.Entity {
	t.Helper()
	e := &schema.Entity{Name: "thing", ID: id, Fields: []schema.Field{{Name: "f", Type: schema.Int}}}
	require.NoError(t, e.Init())
	return e
}

func TestCanonicalID(t *testing.T) {
	const u = "018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"
	for _, c := range []struct {
		id             schema.ID
		in, want, text string
		reason         string
	}{
		{schema.ID{}, "1", "1", `"1"`, ""},
		{schema.ID{}, "/ : { } * ? [ ] % \n é 日本", "/ : { } * ? [ ] % \n é 日本", `"/ : { } * ? [ ] % \n é 日本"`, ""},
		{schema.ID{}, ".", ".", `"."`, ""}, {schema.ID{}, "..", "..", `".."`, ""},
		{schema.ID{}, " A ", " A ", `" A "`, ""},
		{schema.ID{Max: 6}, "日本", "日本", `"日本"`, ""},
		{schema.ID{Max: 6}, "日本a", "", "", "7 bytes, at most 6"},
		{schema.ID{}, "", "", "", "is empty"},
		{schema.ID{}, "a\xff", "", "", "UTF-8"}, {schema.ID{}, "a\x00", "", "", "NUL"},
		{schema.ID{Type: schema.Int}, "007", "7", "7", ""}, {schema.ID{Type: schema.Int}, "-0", "0", "0", ""},
		{schema.ID{Type: schema.Int}, "-9223372036854775808", "-9223372036854775808", "-9223372036854775808", ""},
		{schema.ID{Type: schema.Int}, "9223372036854775808", "", "", "beyond 64 bits"},
		{schema.ID{Type: schema.Int}, "", "", "", "whole number"},
		{schema.ID{Type: schema.Int}, "+7", "", "", "whole number"},
		{schema.ID{Type: schema.Int}, "7.0", "", "", "whole number"},
		{schema.ID{Type: schema.Int}, " 7", "", "", "whole number"},
		{schema.ID{Type: schema.Int}, "7e0", "", "", "whole number"},
		{schema.ID{Type: schema.Int}, "٧", "", "", "whole number"},
		{schema.ID{Type: schema.UUID}, strings.ToUpper(u), u, `"` + u + `"`, ""},
		{schema.ID{Type: schema.UUID}, "{" + u + "}", "", "", "UUID"},
		{schema.ID{Type: schema.UUID}, "", "", "", "UUID"},
	} {
		e := entityWithID(t, c.id)
		got, err := e.CanonicalID(c.in)
		if c.reason != "" {
			require.ErrorIs(t, err, schema.ErrInvalid, "%q", c.in)
			require.ErrorContains(t, err, "id ")
			require.ErrorContains(t, err, c.reason)
			continue
		}
		require.NoError(t, err, "%q", c.in)
		require.Equal(t, c.want, got)
		require.Equal(t, c.text, e.IDText(got))
	}
}

// TestDigitsOfASecond: a time with more digits than its field has is rejected, and Instant leaves it those.
func TestDigitsOfASecond(t *testing.T) {
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.UTC)
	for precision, want := range map[int]string{0: ".123456Z", 3: ".123Z", 5: ".12346Z", schema.WholeSeconds: "Z"} {
		f := schema.Field{Name: "at", Type: schema.Time, Precision: precision}
		text, err := f.Canonical(f.Instant(at))
		require.NoError(t, err)
		require.Equal(t, `"2026-01-31T12:00:00`+want+`"`, text)
		_, err = f.Canonical("2026-01-31T12:00:00.123456Z")
		require.Equal(t, precision == 0, err == nil, "%d digits: %v", precision, err)
		again, err := f.Canonical(strings.Trim(text, `"`))
		require.NoError(t, err)
		require.Equal(t, text, again)
	}
}
