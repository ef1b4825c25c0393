package api_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
)

// proxied has the test's own address pass on the addresses of callers.
func proxied(c *api.Config) { c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")} }

func from(caller int) string { return fmt.Sprintf("X-Forwarded-For: 198.51.100.%d", caller) }

// upload begins a request whose body does not come to its end.
func (b *bundle) upload(method, path string, caller int, claimed int, sent string) net.Conn {
	b.t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = c.Close() })
	_, err = fmt.Fprintf(c,
		"%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n%s\r\nContent-Length: %d\r\n\r\n%s",
		method, path, from(caller), claimed, sent)
	require.NoError(b.t, err)
	return c
}

// answered reads the status of the answer to an upload.
func answered(t testing.TB, c net.Conn) int {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(60*time.Second)))
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// TestI6ACallerHoldsItsShareOfMemory: what bodies that come slowly hold is bounded for each
// caller, and over all; it is given back.
func TestI6ACallerHoldsItsShareOfMemory(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(proxied), configure(func(c *api.Config) {
		c.MaxMemory, c.SlowGrace = 512<<10,
			time.Minute
	}))
	body := `{"name":"N","profile":"` + strings.Repeat("x", 150<<10) + `"}`
	held := func() string { return b.do("GET", "/metrics", "").body }
	memory := func() (n int) {
		_, value, _ := strings.Cut(held(), "\nafterwrite_http_memory_bytes ")
		value, _, _ = strings.Cut(value, "\n")
		f, err := strconv.ParseFloat(value, 64)
		require.NoError(t, err)
		return int(f)
	}
	var slow []net.Conn
	for caller := range 2 {
		slow = append(slow, b.upload("PUT", fmt.Sprintf("/v1/user/slow%d", caller), caller, len(body),
			body[:len(body)-1]))
		testkit.Eventually(t, "a body is held", func() bool { return memory() >= (caller+1)*len(body) })
		// Another of the same caller is beyond its share, of others it is not.
		b.do("PUT", "/v1/user/same", body, from(caller)).problem(t, 429, "share-used-up")
		b.do("PUT", "/v1/user/small", `{"name":"small"}`, from(caller)).want(t, 202)
	}
	slow = append(slow, b.upload("PUT", "/v1/user/slow2", 2, len(body), body[:len(body)-1]))
	testkit.Eventually(t, "all memory is held", func() bool { return memory() >= 3*len(body) })
	b.do("PUT", "/v1/user/other", body, from(9)).problem(t, 503, "memory-full")
	require.Contains(t, held(), `afterwrite_http_share_rejections_total{resource="memory"}`)
	for _, c := range slow {
		_, err := c.Write([]byte("}"))
		require.NoError(t, err)
		require.Equal(t, 202, answered(t, c))
	}
	testkit.Eventually(t, "the share is free again", func() bool {
		return b.do("PUT", "/v1/user/same", body,
			from(0)).StatusCode == 202
	})
	testkit.Eventually(t, "all is given back", func() bool {
		return strings.Contains(held(),
			"afterwrite_http_memory_bytes 0\n")
	})
}

// TestI6BatchesThatComeSlowlyTakeNoPlace: others' batches go on, and one of the same caller.
func TestI6BatchesThatComeSlowlyTakeNoPlace(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(proxied), configure(func(c *api.Config) { c.MaxBatches, c.MaxBatchBody = 2, 1<<20 }))
	part := `[{"op":"put","entity":"user","id":"a","fields":{"name":"` + strings.Repeat("x", 40<<10)
	for range 8 {
		b.upload("POST", "/v1/batch", 1, 900<<10, part)
	}
	testkit.Eventually(t, "the uploads are held", func() bool {
		return strings.Contains(b.do("GET", "/metrics", "").body, "afterwrite_http_batch_memory_bytes ") &&
			!strings.Contains(b.do("GET", "/metrics", "").body, "afterwrite_http_batch_memory_bytes 0\n")
	})
	batch := `[{"op":"put","entity":"user","id":"b","fields":{"name":"B"}}]`
	for caller := range 3 {
		require.Contains(t, b.do("POST", "/v1/batch", batch, from(caller)).want(t, 200).body, `"status":202`)
	}
	// A caller's batches hold as many bytes as one largest batch has.
	large := "[" + strings.Repeat(" ", 900<<10) + "]"
	b.do("POST", "/v1/batch", large, from(1)).problem(t, 429, "share-used-up")
	b.do("POST", "/v1/batch", large, from(2)).want(t, 200)
}

// TestI6SlowBodiesEnd: a body that does not come holds its memory and its connection for the grace, no longer, be it
// large or small, read or rejected unread. Of a body below 256 KiB net/http reads the rest before it answers.
func TestI6SlowBodiesEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.SlowGrace = 300 * time.Millisecond }))
	for _, path := range []string{"PUT /v1/user/a", "POST /v1/batch"} {
		method, path, _ := strings.Cut(path, " ")
		for _, size := range []int{900 << 10, 100 << 10, 10 << 10, 2} {
			require.Equal(t, 408, answered(t, b.upload(method, path, 0, size, `[`)), "%s %d", path, size)
		}
	}
	require.Contains(t, b.do("GET", "/metrics", "").body, `afterwrite_http_too_slow_total{side="body"} 8`)
	b.do("GET", "/v1/user/a", "").want(t, 404)
	for _, size := range []int{100 << 10, 10 << 10, 2} {
		c := b.upload("PUT", "/v1/none/a", 0, size, `{`)
		require.Equal(t, 404, answered(t, c))
		_, err := io.Copy(io.Discard, c)
		require.NoError(t, err, "the connection ends, too: %d", size)
	}
}

// TestSlowBodiesThatKeepTheRate: a client that is slow, and not slower than the least rate, is served.
func TestSlowBodiesThatKeepTheRate(t *testing.T) {
	t.Parallel()
	grace := time.Second
	b := setup(t, configure(func(c *api.Config) { c.SlowGrace = grace }))
	body := `{"name":"N","profile":"` + strings.Repeat("x", 256<<10) + `"}`
	c := b.upload("PUT", "/v1/user/slow", 0, len(body), body[:len(body)-1])
	time.Sleep(grace + grace/2) // the rest may come 8 s later at that rate
	_, err := c.Write([]byte(body[len(body)-1:]))
	require.NoError(t, err)
	require.Equal(t, 202, answered(t, c))
}

// TestAWaitIsNotTimedAsItsBody: the wait for the persistence is not cut off by the time that the body had.
func TestAWaitIsNotTimedAsItsBody(t *testing.T) {
	t.Parallel()
	grace := 2 * time.Second // a body of a few bytes comes within it, on a slow machine too
	b := setup(t, configure(func(c *api.Config) { c.SlowGrace = grace }))
	done := b.waiting("PUT", "/v1/user/slow", `{"name":"S"}`, "wait=30")
	b.isPending("/v1/user/slow")
	time.Sleep(grace + time.Second/2) // the deadline of the body has passed
	b.flush()
	require.Contains(t, (<-done).want(t, 200).body, `"status":"persisted"`)
}

// TestI6SlowReadersEnd: an answer that is not read holds its memory for the grace, no longer.
func TestI6SlowReadersEnd(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.SlowGrace = 300 * time.Millisecond }))
	var ids []string
	for i := range 24 {
		id := fmt.Sprint("r", i)
		b.do("PUT", "/v1/user/"+id, `{"name":"N","profile":"`+strings.Repeat("x", 600<<10)+`"}`).want(t, 202)
		ids = append(ids, id)
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(b.url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	_, err = fmt.Fprintf(c, "GET /v1/user?ids=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", strings.Join(ids, ","))
	require.NoError(t, err)
	testkit.Eventually(t, "the answer is cut off", func() bool {
		return strings.Contains(b.do("GET", "/metrics", "").body, `afterwrite_http_too_slow_total{side="answer"} 1`)
	})
	testkit.Eventually(t, "its memory is given back", func() bool {
		return strings.Contains(b.do("GET", "/metrics", "").body, "afterwrite_http_memory_bytes 0\n")
	})
}

// TestI6EventStreamsAreShared: one caller does not take all of them.
func TestI6EventStreamsAreShared(t *testing.T) {
	t.Parallel()
	b := setup(t, streaming(proxied, func(c *api.Config) { c.MaxStreams = 8 }))
	open := func(caller int) int {
		r, err := http.NewRequestWithContext(t.Context(), "GET", b.url+"/v1/events", nil)
		require.NoError(t, err)
		r.Header.Set("X-Forwarded-For", strings.TrimPrefix(from(caller), "X-Forwarded-For: "))
		answer, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		t.Cleanup(func() { _ = answer.Body.Close() })
		return answer.StatusCode
	}
	for range 4 {
		require.Equal(t, 200, open(1))
	}
	require.Equal(t, 429, open(1))
	require.Equal(t, 200, open(2))
}

// TestI6UnknownNamesAreBounded: an object of unknown names costs what a hundred of them cost.
func TestI6UnknownNamesAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var item strings.Builder
	item.WriteString(`{"op":"put","entity":"user","id":"a","fields":{"name":"A"`)
	for i := range 60_000 {
		fmt.Fprintf(&item, `,"unknown%d":1`, i)
	}
	item.WriteString("}}")
	batch := "[" + item.String() + strings.Repeat(","+item.String(), 9) +
		`,{"op":"put","entity":"user","id":"b","fields":{"name":"B"}}]`
	a := b.do("POST", "/v1/batch", batch).want(t, 200)
	require.Less(t, len(a.body), 200<<10)
	require.Equal(t, 10, strings.Count(a.body, `"status":422`)/2, "each item, and its problem")
	require.Contains(t, a.body, `"status":202`)
	fields := item.String()[strings.Index(item.String(), `{"name"`) : item.Len()-1]
	p := b.do("PUT", "/v1/user/a", fields).problem(t, 422, "invalid")
	require.Len(t, p.Errors, 100)
	// Many items with many errors each name what fits.
	small := `{"op":"put","entity":"user","id":"a","fields":{"name":"A"` +
		item.String()[strings.Index(item.String(), `,"unknown0`):][:2000]
	small = small[:strings.LastIndex(small, ",")] + "}}"
	a = b.do("POST", "/v1/batch", "["+small+strings.Repeat(","+small, 999)+"]").want(t, 200)
	require.Less(t, len(a.body), 2<<20)
	require.Equal(t, 1000, strings.Count(a.body, `"status":422`)/2)
}
