package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
)

// streaming turns events on.
func streaming(more ...func(*api.Config)) option {
	return func(b *bundle, cfg *api.Config) {
		b.streams = true
		for _, change := range more {
			change(cfg)
		}
	}
}

// event is a server-sent event.
type event struct {
	name, id string
	data     struct {
		Entity   string
		ID       json.RawMessage
		Version  json.RawMessage
		Attempts int
		Error    *struct{ Kind, Column string }
	}
}

// listen opens a stream and returns its events; the channel is closed when it ends.
func (b *bundle) listen(ctx context.Context, query string, headers ...string) <-chan event {
	b.t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+"/v1/events"+query, nil)
	require.NoError(b.t, err)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Set(name, value)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(b.t, err)
	require.Equal(b.t, http.StatusOK, response.StatusCode)
	require.Equal(b.t, "text/event-stream", response.Header.Get("Content-Type"))
	events := make(chan event, 1000)
	go func() {
		defer close(events)
		defer response.Body.Close()
		var e event
		for lines := bufio.NewScanner(response.Body); lines.Scan(); {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "event":
				e.name = value
			case "id":
				e.id = value
			case "data":
				_ = json.Unmarshal([]byte(value), &e.data) // the test looks at it
			case "":
				if e.name != "" {
					events <- e
				}
				e = event{}
			}
		}
	}()
	return events
}

// next returns the next event and checks what it is.
func next(t *testing.T, events <-chan event, name, id string) event {
	t.Helper()
	select {
	case e, ok := <-events:
		require.True(t, ok, "the stream has ended")
		require.Equal(t, name+" "+id, e.name+" "+string(e.data.ID))
		return e
	case <-time.After(testkit.Patience):
		require.Fail(t, "no event", "%s %s", name, id)
	}
	return event{}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	b := setup(t, streaming())
	all, users := b.listen(t.Context(), ""), b.listen(t.Context(), "?entity=user&entity=user")
	b.do("PUT", "/v1/product/7", `{"name":"P"}`).want(t, 202)
	b.flush()
	first := next(t, all, "persisted", "7")
	require.Equal(t, "product", first.data.Entity)

	b.do("PUT", "/v1/user/a", `{"name":"A","email":"same@x"}`).want(t, 202)
	b.flush()
	next(t, all, "persisted", `"a"`)
	one := next(t, users, "persisted", `"a"`)
	a := b.do("PUT", "/v1/user/b", `{"name":"B","email":"same@x"}`).want(t, 202)
	b.flush()
	held := next(t, users, "held", `"b"`)
	require.Equal(t, a.version(t), string(held.data.Version))
	require.Equal(t, "unique", held.data.Error.Kind)
	require.Equal(t, "email", held.data.Error.Column)
	require.Equal(t, 1, held.data.Attempts)
	next(t, all, "held", `"b"`)

	e := b.entities["user"]
	require.NoError(t, b.backlog.Tell(t.Context(), e, e.Partition("b"), "resolved",
		[]schema.Versioned{{ID: "b", Version: 1}}))
	next(t, users, "resolved", `"b"`)

	// A resumed stream begins with what came after its last event, or a little before.
	resumed := b.listen(t.Context(), "?entity=user", "Last-Event-ID: "+one.id)
	next(t, resumed, "persisted", `"a"`)
	next(t, resumed, "held", `"b"`)
	next(t, resumed, "resolved", `"b"`)
	b.do("PUT", "/v1/user/c", `{"name":"C"}`).want(t, 202)
	b.flush()
	for _, events := range []<-chan event{users, resumed} {
		next(t, events, "persisted", `"c"`) // each once
	}
}

// TestEventsWithIntsAsStrings: what JavaScript reads of an event, or of a record's status, has every digit. An
// EventSource cannot send Prefer, so a parameter does the same. Other streams keep their numbers.
func TestEventsWithIntsAsStrings(t *testing.T) {
	t.Parallel()
	b := setup(t, streaming())
	const most, prefer = "9007199254740993", "Prefer: ints=string"
	plain, parameter := b.listen(t.Context(), ""), b.listen(t.Context(), "?entity=product&entity=user&ints=string")
	header := b.listen(t.Context(), "", prefer)
	put := b.do("PUT", "/v1/product/"+most, `{"name":"P"}`).want(t, 202)
	b.flush()
	same := `\","version":5,"id":7`
	b.do("PUT", "/v1/user/-?id="+url.QueryEscape(same), `{"name":"A"}`).want(t, 202)
	b.flush()
	next(t, plain, "persisted", most)
	quoted, err := json.Marshal(same)
	require.NoError(t, err)
	next(t, plain, "persisted", string(quoted))
	for _, events := range []<-chan event{parameter, header} {
		require.Equal(t, `"`+put.version(t)+`"`, string(next(t, events, "persisted", `"`+most+`"`).data.Version))
		require.Regexp(t, `^"[0-9]{16}"$`, string(next(t, events, "persisted", string(quoted)).data.Version))
	}
	resumed := b.listen(t.Context(), "?entity=product&last_event_id=1&ints=string") // what is stored, too
	next(t, resumed, "persisted", `"`+most+`"`)
	b.do("GET", "/v1/events?ints=number", "").problem(t, 400, "bad-parameter")

	status := b.do("GET", "/v1/product/"+most+"/status", "", prefer).want(t, 200).body
	require.Contains(t, status, `"id":"`+most+`"`)
	require.Contains(t, status, `"version":"`+put.version(t)+`"`)
	require.Contains(t, b.do("GET", "/v1/product/"+most+"/status", "").want(t, 200).body, `"id":`+most+`,`)
}

func TestEventsSayThatSomeWereDropped(t *testing.T) {
	t.Parallel()
	b := setup(t, streaming())
	e := b.entities["product"]
	for i := range 1000 { // far more than the stream keeps
		require.NoError(t, b.backlog.Tell(t.Context(), e, 0, "resolved",
			[]schema.Versioned{{ID: fmt.Sprint(i), Version: 1}}))
	}
	events := b.listen(t.Context(), "?entity=product", "Last-Event-ID: 1")
	gap := <-events
	require.Equal(t, "gap", gap.name)
	require.Empty(t, gap.id)
	require.Equal(t, "product", gap.data.Entity)
	for e := range events {
		require.Equal(t, "resolved", e.name)
		if string(e.data.ID) == "999" {
			return
		}
	}
}

// The time limits of the server, which are on whole requests and answers, do not cut a
// stream off.
func TestEventsOutliveTheServersLimits(t *testing.T) {
	t.Parallel()
	b := setup(t, streaming())
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.ReadTimeout, server.Config.WriteTimeout = 2*time.Second, 2*time.Second
	server.Start()
	t.Cleanup(server.Close)
	plain := b.url
	b.url = server.URL
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	events := b.listen(ctx, "?entity=user")
	b.url = plain
	select {
	case <-events:
		require.Fail(t, "the stream has ended")
	case <-time.After(2500 * time.Millisecond): // longer than the limits
	}
	b.do("PUT", "/v1/user/a", `{"name":"A"}`).want(t, 202)
	b.flush()
	next(t, events, "persisted", `"a"`)
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	b := setup(t, streaming(func(c *api.Config) { c.MaxStreams, c.Stopping = 1, stopping }))
	ctx, leave := context.WithCancel(t.Context())
	first := b.listen(ctx, "")
	a := b.do("GET", "/v1/events", "")
	a.problem(t, 503, "too-many-streams")
	require.NotEmpty(t, a.Header.Get("Retry-After"))
	leave()
	for range first { // to its end
	}
	testkit.Eventually(t, "who leaves makes room", func() bool {
		return b.do("HEAD", "/v1/events",
			"").StatusCode == 200
	})
	second := b.listen(t.Context(), "?entity=user")
	close(stopping)
	for range second { // it ends with the process
	}
}

func TestEventsRefuseBadRequests(t *testing.T) {
	t.Parallel()
	b := setup(t, streaming())
	b.do("GET", "/v1/events?entity=nobody", "").problem(t, 404, "unknown-entity")
	b.do("GET", "/v1/events?entiti=user", "").problem(t, 400, "bad-parameter")
	b.do("GET", "/v1/events", "", "Last-Event-ID: x").problem(t, 400, "bad-header")
	b.do("POST", "/v1/events", "{}").problem(t, 405, "method-not-allowed")
	setup(t).do("GET", "/v1/events", "").problem(t, 404, "unknown-entity")
}

// unread opens a stream whose reader does not read, of a server that bounds what the
// kernel keeps, as the product's does.
func (b *bundle) unread(query string) net.Conn {
	b.t.Helper()
	server := httptest.NewUnstartedServer(b.handler)
	server.Config.ConnContext = api.ConnContext
	server.Start()
	b.t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = conn.Close() })
	_, err = fmt.Fprintf(conn, "GET /v1/events%s HTTP/1.1\r\nHost: x\r\n\r\n", query)
	require.NoError(b.t, err)
	_, err = io.ReadFull(conn, make([]byte, len("HTTP/1.1 200 OK")))
	require.NoError(b.t, err, "the stream has begun")
	return conn
}

// tell adds a message about many records.
func (b *bundle) tell(what string, ids ...string) {
	b.t.Helper()
	e, told := b.entities["product"], make([]schema.Versioned, len(ids))
	for i, id := range ids {
		told[i] = schema.Versioned{ID: id, Version: 1}
	}
	require.NoError(b.t, b.backlog.Tell(b.t.Context(), e, e.Partition(ids[0]), what, told))
}

// count returns n ids from one on.
func count(from, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = strconv.Itoa(from + i)
	}
	return ids
}

// A reader who does not read loses its place, and neither the process nor the kernel keeps
// much for it. Others hear everything meanwhile.
func TestI6StreamsThatDoNotReadAreDropped(t *testing.T) {
	t.Parallel()
	b := setup(t, streaming(func(c *api.Config) { c.MaxStreams, c.StreamTimeout = 2, time.Second }))
	idle := b.unread("?entity=product")
	reads := b.listen(t.Context(), "?entity=product")
	b.do("GET", "/v1/events", "").problem(t, 503, "too-many-streams")
	n := 0
	testkit.Eventually(t, "the stream is dropped", func() bool {
		b.tell("resolved", count(n, 500)...)
		for range 500 {
			next(t, reads, "resolved", strconv.Itoa(n))
			n++
		}
		return strings.Contains(b.do("GET", "/metrics", "").body, "afterwrite_http_streams_dropped_total 1\n")
	})
	require.Contains(t, b.log.String(), "event stream dropped: the client does not read")
	sent, _ := io.Copy(io.Discard, idle) // a reset is as good as an end
	require.Less(t, sent, int64(1<<20))
	testkit.Eventually(t, "its place is free", func() bool { return b.do("HEAD", "/v1/events", "").StatusCode == 200 })
}

// A reader who falls behind what the process keeps gets the rest from Redis, each event once.
func TestEventsOfASlowReader(t *testing.T) {
	t.Parallel()
	b := setup(t, streaming())
	conn := b.unread("?entity=product")
	const messages, each = 60, 500
	for i := range messages { // 3 MB of events: more than kernel and process keep
		b.tell("resolved", count(i*each, each)...)
	}
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(testkit.Patience)))
	told := map[string]int{}
	for lines := bufio.NewScanner(conn); len(told) < messages*each && lines.Scan(); {
		require.NotContains(t, lines.Text(), "event: gap")
		_, data, ok := strings.Cut(lines.Text(), `"id":`)
		if !ok {
			continue
		}
		id, _, _ := strings.Cut(data, ",")
		told[id]++
	}
	for id, n := range told {
		require.Equal(t, 1, n, id)
	}
	require.Equal(t, messages*each, len(told))
}
