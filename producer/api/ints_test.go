package api_test

import (
	"compress/gzip"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// TestIntsAsStrings: what JavaScript reads and writes back has every digit.
func TestIntsAsStrings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const most, prefer = "9007199254740993", "Prefer: ints=string"
	put := b.do("PUT", "/v1/everything/a", `{"int":"`+most+`","string":"5"}`, prefer).want(t, 202)
	require.Equal(t, "ints=string", put.Header.Get("Preference-Applied"))
	require.Regexp(t, `"version":"[0-9]{16}"`, put.body)
	require.Contains(t, b.do("GET", "/v1/everything/a", "").want(t, 200).body, `"int":`+most+`,`)
	got := b.do("GET", "/v1/everything/a", "", prefer).want(t, 200)
	require.Contains(t, got.body, `"int":"`+most+`",`)
	require.Contains(t, got.body, `"string":"5"`)
	require.Contains(t, got.Header.Values("Vary"), "Prefer")
	// There and back through a reader that knows only floats, as JavaScript's.
	var record map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.body), &record))
	again, err := json.Marshal(record)
	require.NoError(t, err)
	b.do("PUT", "/v1/everything/a", string(again), "If-Match: "+got.Header.Get("ETag")).want(t, 202)
	require.Contains(t, b.do("GET", "/v1/everything/a", "").want(t, 200).body, `"int":`+most+`,`)

	b.do("POST", "/v1/product", `{"id":"`+most+`","name":"N","stock":"-0"}`).want(t, 202)
	b.flush()
	require.Contains(t, b.do("GET", "/v1/product/"+most, "", prefer).want(t, 200).body, `{"id":"`+most+`",`)
	require.Contains(t, b.do("GET", "/v1/product?limit=1", "", prefer).want(t, 200).body, `{"id":"`+most+`",`)
	many := b.do("GET", "/v1/product?ids="+most+",7", "", prefer).want(t, 200).body
	require.Contains(t, many, `{"id":"`+most+`",`)
	require.Contains(t, many, `"missing":["7"]`)
	require.Regexp(t, `"versions":\["[0-9]{16}"\]`, many)
	require.Contains(t, b.do("POST", "/v1/product/"+most+"/increment", `{"stock":"`+most+`"}`, prefer).want(t,
		202).body, `"stock":"`+most+`"`)
	batch := b.do("POST", "/v1/batch", `[{"op":"patch","entity":"product","id":"`+most+`","fields":{"stock":"5"}}]`,
		prefer).want(t, 200).body
	require.Regexp(t, `"id":"`+most+`","version":"[0-9]{16}"`, batch)
	for _, bad := range []string{`"5.0"`, `""`, `"-"`, `"5 "`, `"0x5"`, `"1e3"`, `"9223372036854775808"`, `"--5"`} {
		b.do("PATCH", "/v1/product/"+most, `{"stock":`+bad+`}`).problem(t, 422, "invalid")
	}
}

// TestVersionsSurviveCompression: a proxy that compresses makes a tag weak, or gives it a
// suffix; the caller sends that back.
func TestVersionsSurviveCompression(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/v1/user/a", `{"name":"`+strings.Repeat("x", 200)+`"}`).want(t, 202)
	for name, url := range map[string]string{
		"nginx": testkit.Nginx(t, `gzip on; gzip_types application/json; gzip_min_length 0; gzip_proxied any; gzip_http_version 1.0;
			server { listen $LISTEN; location / { proxy_pass `+b.url+`; } }`).URL,
		"haproxy": testkit.HAProxy(t, `
defaults
	mode http
	timeout connect 5s
	timeout client 10s
	timeout server 10s
listen api
	bind $LISTEN
	compression algo gzip
	compression type application/json
	server api `+strings.TrimPrefix(b.url, "http://")).URL,
	} {
		r, err := http.NewRequest("GET", url+"/v1/user/a", nil)
		require.NoError(t, err)
		r.Header.Set("Accept-Encoding", "gzip")
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.Equal(t, "gzip", answer.Header.Get("Content-Encoding"), name)
		_, err = gzip.NewReader(answer.Body)
		require.NoError(t, err)
		_ = answer.Body.Close()
		tag := answer.Header.Get("ETag")
		require.True(t, strings.HasPrefix(tag, "W/"), "%s: %s", name, tag)
		through := *b
		through.url = url
		through.do("GET", "/v1/user/a", "", "If-None-Match: "+tag).want(t, 304)
		through.do("PATCH", "/v1/user/a", `{"age":1}`, "If-Match: "+tag).want(t, 202)
		through.do("PATCH", "/v1/user/a", `{"age":2}`, "If-Match: "+tag).want(t, 412)
	}
	for _, form := range []string{`"%s-gzip"`, `"%s-br"`, `W/"%s"`, `W/"%s--gzip"`, `"%s;gzip"`} {
		version := strings.Trim(b.do("GET", "/v1/user/a", "").Header.Get("ETag"), `"`)
		tag := strings.Replace(form, "%s", version, 1)
		b.do("GET", "/v1/user/a", "", "If-None-Match: "+tag).want(t, 304)
		b.do("PATCH", "/v1/user/a", `{"age":3}`, "If-Match: "+tag).want(t, 202)
		version = strings.Trim(b.do("GET", "/v1/user/a", "").Header.Get("ETag"), `"`)
		text, err := json.Marshal(strings.Replace(form, "%s", version, 1))
		require.NoError(t, err)
		require.Contains(t,
			b.do("POST", "/v1/batch", `[{"op":"patch","entity":"user","id":"a","fields":{"age":4},"if_match":`+
				string(text)+`}]`).want(t, 200).body, `"status":202`)
	}
	for _, tag := range []string{`"%s-x"`, `"%s0"`, `"x%s"`, `"%s-gzipx"`, `"-gzip"`} {
		version := strings.Trim(b.do("GET", "/v1/user/a", "").Header.Get("ETag"), `"`)
		b.do("PATCH", "/v1/user/a", `{"age":5}`, "If-Match: "+strings.Replace(tag, "%s", version, 1)).want(t, 412)
	}
}
