package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
)

// What the server refuses before any handler is asked is a problem like any other error.
func TestUnreadRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	server := httptest.NewUnstartedServer(b.handler)
	server.Listener = api.Listener(server.Listener, testkit.Logger(t))
	server.Config.MaxHeaderBytes = 4096
	server.Start()
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	require.NoError(t, err)
	const host = "Host: x\r\n"
	for _, c := range []struct {
		what, request string
		code          int
		name, says    string
	}{
		{"no HTTP", "hello\r\n\r\n", 400, "malformed-request", "the request line or a header"},
		{"no Host", "GET /healthz HTTP/1.1\r\n\r\n", 400, "malformed-request", ": missing required Host header"},
		{"broken Host", "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "malformed-request",
			": malformed Host header"},
		{"broken header", "GET /healthz HTTP/1.1\r\n" + host + "a b: c\r\n\r\n", 400, "malformed-request", ""},
		{"broken escape", "GET /v1/user/%zz HTTP/1.1\r\n" + host + "\r\n", 400, "malformed-request", ""},
		{"two lengths", "PUT /v1/user/u HTTP/1.1\r\n" + host + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400,
			"malformed-request", ""},
		{"large header", "GET /healthz HTTP/1.1\r\n" + host + "A: " + strings.Repeat("a", 10_000) + "\r\n\r\n", 431,
			"header-too-large", "too many bytes"},
		{"long path", "GET /v1/user/" + strings.Repeat("a", 10_000) + " HTTP/1.1\r\n" + host + "\r\n", 431,
			"header-too-large", ""},
		{"expectation", "PUT /v1/user/u HTTP/1.1\r\n" + host + "Expect: coffee\r\nContent-Length: 2\r\n\r\n{}", 417,
			"expectation-failed", "100-continue"},
		{"expectation of HTTP/1.0", "GET /healthz HTTP/1.0\r\nExpect: coffee\r\n\r\n", 417, "expectation-failed", ""},
		{"transfer encoding", "PUT /v1/user/u HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501,
			"transfer-encoding", "chunked"},
		{"version", "GET /healthz HTTP/3.0\r\n" + host + "\r\n", 505, "http-version", "HTTP/1.1 or HTTP/1.0"},
		// These reach the API, whose answers stay as they are.
		{"double slash", "PUT //v1/user/u HTTP/1.1\r\n" + host + "Content-Length: 0\r\nConnection: close\r\n\r\n", 404,
			"unknown-route", ""},
		{"unclean path", "PUT /v1/../v1/user/u HTTP/1.1\r\n" + host + "Content-Length: 0\r\nConnection: close\r\n\r\n",
			404, "unknown-route", ""},
		{"large body", fmt.Sprintf("PUT /v1/user/u HTTP/1.1\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", host, 2<<20), 413, "body-too-large", ""},
	} {
		t.Run(c.what, func(t *testing.T) {
			conn, err := net.Dial("tcp", at.Host)
			require.NoError(t, err)
			defer conn.Close()
			_, err = io.WriteString(conn, c.request)
			require.NoError(t, err)
			response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodPut, URL: at})
			require.NoError(t, err)
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			require.True(t, response.Close)
			require.NotEmpty(t, response.Header.Get("X-Request-Id"))
			require.NotEmpty(t, response.Header.Get("Date"))
			require.Contains(t, answer{response, string(text)}.problem(t, c.code, c.name).Detail, c.says)
		})
	}
	b.do("GET", "/v1/user/u", "").problem(t, 404, "not-found")
}
