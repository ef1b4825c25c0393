package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

const everything = `
entities:
  everything:
    id: {type: string, max: 64}
    fields:
      string: {type: string, column: a_string}
      text: {type: text}
      int: {type: int}
      float: {type: float}
      decimal: {type: decimal, precision: 38, scale: 4}
      bool: {type: bool}
      time: {type: time}
      json: {type: json}
      bytes: {type: bytes}
      uuid: {type: uuid}
    partitions: 3
`

// extremes are values of each field as they are sent, and as they must be answered ever
// after; "" where that is the same text.
var extremes = []struct{ field, sent, answered string }{
	{"string", `""`, ""},
	{"string", `"null"`, ""},
	{"string", `"trailing "`, ""},
	{"string", `"a\"b\\c\nd\te'f` + "`" + `;--\u0001"`, ""},
	{"string", `"\u00e9 \ud83d\ude00 <&>\u2028 e\u0301"`, "\"é 😀 <&>\u2028 e\u0301\""},
	{"text", `"` + strings.Repeat("日本", 40_000) + `"`, ""},
	{"int", `9223372036854775807`, ""},
	{"int", `-9223372036854775808`, ""},
	{"int", `9007199254740993`, ""},
	{"int", `0`, ""},
	{"float", `1.7976931348623157e+308`, ""},
	{"float", `5e-324`, ""},
	{"float", `0.30000000000000004`, ""},
	{"float", `1e21`, `1e+21`},
	{"decimal", `"9999999999999999999999999999999999.9999"`, ""},
	{"decimal", `"-0.0001"`, ""},
	{"decimal", `"12.5"`, `"12.5000"`},
	{"bool", `true`, ""},
	{"bool", `false`, ""},
	{"time", `"0001-01-01T00:00:00Z"`, ""},
	{"time", `"9999-12-31T23:59:59.999999Z"`, ""},
	{"time", `"2026-01-31T12:00:00.1+05:30"`, `"2026-01-31T06:30:00.1Z"`},
	{"json", `{ "b" : 1.0,  "a": 1e400, "é":"\u00e9", "n": 12345678901234567890.10 }`, ""},
	{"json", `[[],{},"",0,-0.0,null]`, ""},
	{"bytes", `""`, ""},
	{"bytes", `"AAECAwT/"`, ""},
	{"uuid", `"018F4E7A-3B5C-7D2E-9F10-1A2B3C4D5E6F"`, `"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"`},
	{"uuid", `"00000000-0000-0000-0000-000000000000"`, ""},
}

// oddIDs are ids that mean something in a URL, in a Redis key, in a pattern or in SQL.
var oddIDs = []string{
	"/", ":", "{", "}", "{everything/0}", "*", "?", "[", "]", "%", "%2F", " ", "\n", "é", "日本", "a,b", "'", `"`, `\`,
	"NULL", "A", "a", "a ", strings.Repeat("é", 32),
}

// Extreme values of every type, and odd ids, are the same text in every answer: while
// they are pending, when they are persisted, on a page from the database, and after Redis
// has lost its copy. Both databases answer the same.
func TestI8EveryTypeThereAndBack(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, database string) {
		t.Parallel()
		d := deployEntities(t, database, testkit.SharedRedis(t), everything)
		d.ok("migrate")
		d.start("api")
		d.ready(d.api)
		want := map[string]string{}
		put := func(id, field, sent, answered string) {
			code, body := d.call(http.MethodPut, d.api, "/v1/everything/-?id="+url.QueryEscape(id),
				fmt.Sprintf(`{%q:%s}`, field, sent))
			require.Equal(t, http.StatusAccepted, code, body)
			if answered == "" {
				answered = sent
			}
			want[id] = wholeRecord(id, field, answered)
		}
		for i, x := range extremes {
			put(fmt.Sprintf("x%d", i), x.field, x.sent, x.answered)
		}
		for i, id := range oddIDs {
			put(id, "int", fmt.Sprint(i), "")
		}
		d.answers(want)
		d.start("worker")
		d.ok("flush", "--timeout", "30s")
		d.answers(want)
		d.page(want)
		d.forget()
		d.answers(want)
		require.Contains(t, d.ok("fsck"), "agree")
	})
}

// wholeRecord is the answer to a read of a record that has one field.
func wholeRecord(id, field, value string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"id":%s`, jsonText(id))
	for _, name := range []string{"string", "text", "int", "float", "decimal", "bool", "time", "json", "bytes",
		"uuid"} {
		text := "null"
		if name == field {
			text = value
		}
		fmt.Fprintf(&b, `,%q:%s`, name, text)
	}
	return b.String() + "}"
}

// answers reads each record alone.
func (d *deployment) answers(want map[string]string) {
	d.t.Helper()
	for id, record := range want {
		code, body := d.call(http.MethodGet, d.api, "/v1/everything/-?id="+url.QueryEscape(id), "")
		require.Equal(d.t, http.StatusOK, code, body)
		d.sameText(record, strings.TrimSuffix(body, "\n"))
	}
}

// page reads all records from the database.
func (d *deployment) page(want map[string]string) {
	d.t.Helper()
	code, body := d.call(http.MethodGet, d.api, "/v1/everything?limit=1000", "")
	require.Equal(d.t, http.StatusOK, code)
	for id, record := range want {
		require.True(d.t, strings.Contains(body, record), "%q is not on the page as it was accepted", id)
	}
}

func (d *deployment) sameText(want, got string) {
	d.t.Helper()
	if want != got {
		d.t.Fatalf("got\n%.300s\nand not\n%.300s", got, want)
	}
}

// forget deletes all records from Redis, as an eviction of all that may be evicted does.
func (d *deployment) forget() {
	d.t.Helper()
	client := d.redis.Client(d.t)
	keys, err := client.Keys(d.t.Context(), d.prefix+":*:r:*").Result()
	require.NoError(d.t, err)
	require.NotEmpty(d.t, keys)
	require.NoError(d.t, client.Del(d.t.Context(), keys...).Err())
}
