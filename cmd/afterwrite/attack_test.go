package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// memoryUnderAttack is what an API may take at its highest, in bytes, whatever is sent to it.
const memoryUnderAttack = 512 << 20

// highest is the most memory that a process has had, in bytes.
func (s *server) highest() int {
	s.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	require.NoError(s.t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	require.NotNil(s.t, found)
	kb, err := strconv.Atoi(string(found[1]))
	require.NoError(s.t, err)
	return kb << 10
}

// attack is one kind of hostile client. once does it one time, and may take long.
type attack struct {
	name string
	many int // clients that do it at the same time
	once func(ctx context.Context, d *deployment, text string)
}

// send posts a body and reads the whole answer, for as long as the context allows.
func send(ctx context.Context, d *deployment, text, method, path string, body io.Reader, headers ...string) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+d.api+path, body)
	if err != nil {
		return
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+text)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return // cut off: that is an answer to an attack, too
	}
	defer answer.Body.Close()
	_, _ = io.Copy(io.Discard, answer.Body)
}

// raw sends bytes and reads, slowly, what comes.
func raw(ctx context.Context, d *deployment, text string, slowly bool) {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", d.api)
	if err != nil {
		return
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	_, _ = io.WriteString(c, text)
	buf := make([]byte, 16)
	for {
		if _, err := c.Read(buf); err != nil {
			return
		}
		if slowly {
			time.Sleep(50 * time.Millisecond) // a reader that is as slow as it dares
		}
	}
}

// zeros is a body of blanks without end, up to n bytes, between two texts.
func blanks(before string, n int64, after string) io.Reader {
	return io.MultiReader(strings.NewReader(before), io.LimitReader(endless{}, n), strings.NewReader(after))
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// unknown is an object with that many names that the entity does not have.
func unknown(names int) string {
	var b strings.Builder
	b.WriteString(`{"name":"x"`)
	for i := range names {
		fmt.Fprintf(&b, `,"u%d":%d`, i, i)
	}
	return b.String() + "}"
}

var attacks = []attack{
	{"a largest batch of blanks", 6, func(ctx context.Context, d *deployment, text string) {
		send(ctx, d, text, "POST", "/v1/batch", blanks("[", 63<<20, "]"))
	}},
	{"a batch of 10,000 unknown names an item", 4, func(ctx context.Context, d *deployment, text string) {
		item := `{"op":"put","entity":"user","id":"x","fields":` + unknown(10_000) + "}"
		send(ctx, d, text, "POST", "/v1/batch", strings.NewReader("["+strings.Repeat(item+",", 200)+item+"]"))
	}},
	{"a batch of 10,000 small writes with keys of their own", 4, func(ctx context.Context, d *deployment, text string) {
		var b strings.Builder
		for i := range 10_000 {
			fmt.Fprintf(&b, `{"op":"put","entity":"user","id":"a%d","fields":{"name":"x"},"idempotency_key":"%d-%d"}`+
				"\n", i, time.Now().UnixNano(), i)
		}
		send(ctx, d, text, "POST", "/v1/batch", strings.NewReader(b.String()), "Content-Type", "application/x-ndjson")
	}},
	{"arrays in arrays", 2, func(ctx context.Context, d *deployment, text string) {
		send(ctx, d, text, "PUT", "/v1/user/deep", strings.NewReader(`{"name":"x","profile":`+
			strings.Repeat("[", 400_000)+strings.Repeat("]", 400_000)+"}"))
	}},
	{"a body that does not come", 40, func(ctx context.Context, d *deployment, text string) {
		raw(ctx, d, "PUT /v1/user/slow HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+text+
			"\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{", false)
	}},
	{"a head that does not end", 40, func(ctx context.Context, d *deployment, _ string) {
		raw(ctx, d, "GET /v1/user/a HTTP/1.1\r\nHost: localhost\r\nX-A: "+strings.Repeat("a", 500_000), false)
	}},
	{"answers that are not read", 20, func(ctx context.Context, d *deployment, text string) {
		raw(ctx, d, strings.Repeat("GET /v1/user?limit=1000 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+text+
			"\r\n\r\n", 20), true)
	}},
	{"a multi-get of all that a line holds", 4, func(ctx context.Context, d *deployment, text string) {
		send(ctx, d, text, "GET", "/v1/user?ids="+strings.Repeat("large,", 2000)+"large", nil)
	}},
	{"event streams", 40, func(ctx context.Context, d *deployment, text string) {
		raw(ctx, d, "GET /v1/events?entity=user HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+text+"\r\n\r\n",
			true)
	}},
	{"waits", 40, func(ctx context.Context, d *deployment, text string) {
		send(ctx, d, text, "PUT", "/v1/user/wait", strings.NewReader(`{"name":"x"}`), "Prefer", "wait=50")
	}},
	{"tokens that are none", 4, func(ctx context.Context, d *deployment, _ string) {
		send(ctx, d, strings.Repeat("x", 4000), "POST", "/v1/batch", blanks("[", 8<<20, "]"))
	}},
	{"two lengths of one request", 4, func(ctx context.Context, d *deployment, text string) {
		raw(ctx, d, "PUT /v1/user/smuggled HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "+text+
			"\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false)
	}},
}

// TestI6AllAttacksAtOnce: what one token and callers without one do to an API at the same time
// takes less memory than its bound, and the requests of another token go on.
func TestI6AllAttacksAtOnce(t *testing.T) {
	t.Parallel()
	d := exposed(t, testkit.SQLite(t))
	made := func(name string) string {
		return d.json(d.ok("token", "new", name, "--scope", "user:read,write", "--json"))["token"].(string)
	}
	hostile, kind := made("hostile"), made("kind")
	api := d.start("api")
	d.start("worker")
	d.becomes(202, hostile, "PUT", "/v1/user/large", `{"name":"x","profile":"`+strings.Repeat("x", 500_000)+`"}`)
	d.becomes(202, kind, "PUT", "/v1/user/kind", `{"name":"0"}`)

	ctx, end := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	defer clients.Wait()
	defer end()
	counts := make([]atomic.Int64, len(attacks))
	for i, a := range attacks {
		for range a.many {
			clients.Go(func() {
				for ctx.Err() == nil {
					within, cancel := context.WithTimeout(ctx, 20*time.Second)
					a.once(within, d, hostile)
					cancel()
					counts[i].Add(1)
				}
			})
		}
	}
	// The other token writes and reads while each attack comes at least twice.
	served := 0
	testkit.Within(t, 3*testkit.Patience, "each attack was made twice", func() bool {
		served++
		name := fmt.Sprint(served)
		code, body := d.as(kind, "PUT", "/v1/user/kind", `{"name":"`+name+`"}`)
		require.Equal(t, 202, code, body)
		code, body = d.as(kind, "GET", "/v1/user/kind", "")
		require.Equal(t, 200, code, body)
		require.Contains(t, body, `"name":"`+name+`"`)
		for i := range counts {
			if counts[i].Load() < 2 {
				return false
			}
		}
		return true
	})
	end()
	clients.Wait()
	for i, a := range attacks {
		t.Logf("%-52s %d", a.name, counts[i].Load())
	}
	t.Logf("served to the other token: %d; memory of the API at its highest: %d MiB", served, api.highest()>>20)
	require.Less(t, api.highest(), memoryUnderAttack)
	code, _ := d.as(kind, "GET", "/v1/user/smuggled", "")
	require.Equal(t, 404, code)
}

// TestNoRequestHidesInAnother: what two servers could read as two requests is answered as
// one, or refused, and its connection is closed (RFC 9112, 6.3 and 11.2).
func TestNoRequestHidesInAnother(t *testing.T) {
	t.Parallel()
	d := exposed(t, testkit.SQLite(t))
	text := d.json(d.ok("token", "new", "writer", "--scope", "user:read,write", "--json"))["token"].(string)
	d.start("api")
	d.becomes(404, text, "GET", "/v1/user/a", "")
	hidden := "PUT /v1/user/hidden HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + text +
		"\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"name\":\"x\"}"
	head := "PUT /v1/user/outer HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + text +
		"\r\nContent-Type: application/json\r\n"
	for name, request := range map[string]string{
		"a length and chunks": head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"two lengths":         head + "Content-Length: 12\r\nContent-Length: 2\r\n\r\n{}" + hidden,
		"a list of lengths":   head + "Content-Length: 2, 12\r\n\r\n{}" + hidden,
		"a signed length":     head + "Content-Length: +2\r\n\r\n{}" + hidden,
		"an unknown coding":   head + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
		"two codings":         head + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a blank in a name":   head + "Content-Length : 2\r\n\r\n{}" + hidden,
		"a folded line":       head + "X-A: a\r\n Content-Length: 400\r\n\r\n{}" + hidden,
		"a bare feed":         head + "X-A: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"a wrong chunk":       head + "Transfer-Encoding: chunked\r\n\r\n2;\nxx\r\n{}\r\n0\r\n\r\n" + hidden,
		"a feed in the path": strings.Replace(head, "outer", "outer%0d%0aX:", 1) + "Content-Length: 2\r\n\r\n{}" +
			hidden,
		"two hosts": head + "Host: evil.example\r\nContent-Length: 2\r\n\r\n{}" + hidden,
		"an old protocol": strings.Replace(head, "HTTP/1.1", "HTTP/1.0", 1) +
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
		"an old protocol, kept alive": strings.Replace(head, "HTTP/1.1", "HTTP/1.0\r\nConnection: keep-alive", 1) +
			"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + hidden,
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", d.api)
			require.NoError(t, err)
			defer c.Close()
			id := strings.NewReplacer(" ", "-", ",", "").Replace(name)
			_, err = io.WriteString(c, strings.Replace(request, "/v1/user/hidden", "/v1/user/"+id, 1))
			require.NoError(t, err)
			require.NoError(t, c.(*net.TCPConn).CloseWrite())
			answers := bufio.NewReader(c)
			for {
				answer, err := http.ReadResponse(answers, nil)
				if err != nil {
					break
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				require.NotEqual(t, 200, answer.StatusCode, "a PUT without a wait is never answered 200")
				if name == "a wrong chunk" {
					require.Equal(t, 400, answer.StatusCode, "408 asks to send it again")
				}
			}
			code, body := d.as(text, "GET", "/v1/user/"+id, "")
			if name == "a feed in the path" || name == "a folded line" || name == "a bare feed" {
				return // they end where the RFC lets a server end them: what follows is a request of its own
			}
			require.Equal(t, 404, code, body)
		})
	}
}
