package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// receiver takes spans over OTLP, as a collector does.
type receiver struct {
	*httptest.Server
	hold chan struct{} // if set, no request is answered before it is closed

	mu    sync.Mutex // guards the rest
	spans []received
	raw   bytes.Buffer
	posts int
}

// received is a span, and the service that sent it.
type received struct {
	*tracepb.Span
	service string
}

func receive(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		r.posts++
		r.mu.Unlock()
		if r.hold != nil {
			<-r.hold
			return
		}
		if err := r.take(request); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	t.Cleanup(func() {
		if t.Failed() {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, s := range r.spans {
				t.Logf("%s: %s %x %x in %x", s.service, s.Name, s.TraceId, s.SpanId, s.ParentSpanId)
			}
		}
	})
	return r
}

func (r *receiver) take(request *http.Request) error {
	if request.URL.Path != "/v1/traces" {
		return fmt.Errorf("path %s", request.URL.Path)
	}
	body := request.Body
	if request.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if body, err = gzip.NewReader(body); err != nil {
			return err
		}
	}
	text, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	var message collector.ExportTraceServiceRequest
	if err := proto.Unmarshal(text, &message); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw.Write(text)
	for _, of := range message.ResourceSpans {
		service := ""
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				r.spans = append(r.spans, received{s, service})
			}
		}
	}
	return nil
}

// of are the spans of a trace with that name.
func (r *receiver) of(trace, name string) []received {
	r.mu.Lock()
	defer r.mu.Unlock()
	var some []received
	for _, s := range r.spans {
		if hex.EncodeToString(s.TraceId) == trace && s.Name == name {
			some = append(some, s)
		}
	}
	return some
}

// wait waits for a span and returns the first.
func (r *receiver) wait(t *testing.T, trace, name string) received {
	t.Helper()
	testkit.Eventually(t, "a span "+name, func() bool { return len(r.of(trace, name)) > 0 })
	return r.of(trace, name)[0]
}

func (s received) attribute(name string) string {
	for _, a := range s.Attributes {
		if a.Key == name {
			return fmt.Sprint(a.Value.GetStringValue(), a.Value.GetIntValue())
		}
	}
	return ""
}

// traceOf makes up the ids of a caller's trace.
func traceOf(n int) (trace, span, header string) {
	trace, span = fmt.Sprintf("%032x", 0xa0000+n), fmt.Sprintf("%016x", 0xb0000+n)
	return trace, span, "Traceparent: 00-" + trace + "-" + span + "-01"
}

// traces has the processes of a deployment export their spans, without delay.
func (d *deployment) traces(to *receiver, more ...string) {
	d.env = append(append(d.env, "OTEL_EXPORTER_OTLP_ENDPOINT="+to.URL, "OTEL_BSP_SCHEDULE_DELAY=20"), more...)
}

// TestTracing follows a write from its request through Redis and the flush into the database, by the spans that an
// API and a worker export.
func TestTracing(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, followAWrite)
}

func followAWrite(t *testing.T, database string) {
	t.Parallel()
	r, d := receive(t), deploy(t, database)
	d.traces(r, "OTEL_EXPORTER_OTLP_COMPRESSION=gzip")
	api, worker := d.serve()
	api.says("tracing is on")
	stream := d.follow("persisted")
	trace, caller, header := traceOf(1)
	answer, text := d.exchange("PUT", "/v1/user/u1", `{"name":"never-in-a-span"}`, header, "X-Request-Id: r-1")
	require.Equal(t, http.StatusAccepted, answer.StatusCode, text)

	request := r.wait(t, trace, "PUT /v1/{entity}/{id}")
	require.Equal(t, "afterwrite-api", request.service)
	require.Equal(t, caller, hex.EncodeToString(request.ParentSpanId))
	require.Equal(t, "/v1/{entity}/{id}", strings.TrimSuffix(request.attribute("http.route"), "0"))
	require.Contains(t, request.attribute("afterwrite.request_id"), "r-1")
	write := r.wait(t, trace, "write user")
	require.Equal(t, request.SpanId, write.ParentSpanId)
	persist := r.wait(t, trace, "persist user")
	require.Equal(t, "afterwrite-worker", persist.service)
	require.Equal(t, write.SpanId, persist.ParentSpanId)
	require.Contains(t, persist.attribute("afterwrite.status"), "persisted")
	flush := r.wait(t, trace, "flush user")
	require.Len(t, flush.Links, 1)
	require.Equal(t, write.SpanId, flush.Links[0].SpanId)
	require.Equal(t, flush.SpanId, persist.Links[0].SpanId)
	insert := "INSERT"
	if strings.HasPrefix(database, "mysql") {
		insert = "SET" // several statements in one text
	}
	for _, statement := range []string{insert, "sql.tx.commit"} {
		require.Equal(t, flush.SpanId, r.wait(t, trace, statement).ParentSpanId, statement)
	}
	testkit.Eventually(t, "a span of the write's own script", func() bool { // the worker has scripts, too
		return slices.ContainsFunc(r.of(trace, "evalsha"), func(s received) bool {
			return bytes.Equal(write.SpanId, s.ParentSpanId)
		})
	})
	event := stream()
	require.Contains(t, event, `"trace_id":"`+trace+`"`)
	require.Contains(t, event, `"request_id":"r-1"`)

	// What a caller does not sample leaves nothing.
	unsampled, _, header := traceOf(2)
	answer, text = d.exchange("PUT", "/v1/user/u2", `{"name":"B"}`, strings.TrimSuffix(header, "1")+"0")
	require.Equal(t, http.StatusAccepted, answer.StatusCode, text)
	require.Contains(t, stream(), "u2")

	require.Equal(t, exitOK, api.stop())
	require.Equal(t, exitOK, worker.stop())
	require.NotContains(t, r.raw.String(), "never-in-a-span")
	require.NotContains(t, r.raw.String(), unsampled)
	for _, s := range r.spans {
		require.NotEqual(t, unsampled, hex.EncodeToString(s.TraceId), s.Name)
		require.NotEmpty(t, s.ParentSpanId, "%s: what a process does by itself has no span", s.Name)
		for _, a := range s.Attributes { // the text of a statement or command may have values
			require.NotContains(t, []string{"db.statement", "db.query.text"}, a.Key, s.Name)
		}
	}
}

// follow reads the event stream; the function that it returns waits for the next event of a kind.
func (d *deployment) follow(kind string) func() string {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.api+"/v1/events", nil)
	require.NoError(d.t, err)
	answer, err := http.DefaultClient.Do(request)
	require.NoError(d.t, err)
	var seen lines
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&seen, answer.Body) })
	d.t.Cleanup(func() { cancel(); reading.Wait(); _ = answer.Body.Close() })
	return func() (event string) {
		d.t.Helper()
		testkit.Eventually(d.t, "an event "+kind, func() bool {
			event = seen.cut("event: "+kind, "\n\n")
			return event != ""
		})
		return event
	}
}

// lines is text that is written and read at once.
type lines struct {
	mu   sync.Mutex
	text string
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += string(p)
	return len(p), nil
}

// cut takes off what is up to an end that follows a beginning, and returns it.
func (l *lines) cut(beginning, end string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, rest, ok := strings.Cut(l.text, beginning)
	event, rest, whole := strings.Cut(rest, end)
	if !ok || !whole {
		return ""
	}
	l.text = rest
	return event
}

// A dead letter, and the log lines of the flush that made it, name the request.
func TestTracingOfARefusedWrite(t *testing.T) {
	t.Parallel()
	r, d := receive(t), deploy(t, testkit.SQLite(t))
	d.traces(r, "OTEL_SERVICE_NAME=shop")
	_, worker := d.serve()
	trace, _, header := traceOf(3)
	d.ok("retry-policy", "set", "user", "--max-attempts", "1")
	for _, id := range []string{"a", "b"} {
		answer, text := d.exchange("PUT", "/v1/user/"+id, `{"name":"A","email":"same@x"}`, header, "X-Request-Id: r-"+id)
		require.Equal(t, http.StatusAccepted, answer.StatusCode, text)
		testkit.Eventually(t, "a is flushed before b", func() bool {
			_, text := d.exchange("GET", "/v1/user/"+id+"/status", "")
			return !strings.Contains(text, `"pending"`)
		})
	}
	testkit.Eventually(t, "b is dead", func() bool {
		return len(d.json(d.ok("dead", "list", "--json"))["letters"].([]any)) == 1
	})
	shown := d.ok("dead", "show", "1")
	require.Regexp(t, `trace +`+trace, shown)
	require.Regexp(t, `request +r-b`, shown)
	require.Contains(t, d.ok("dead", "show", "1", "--json"), `"trace_id": "`+trace+`"`)
	worker.says("refused records became dead letters")
	require.Regexp(t, `refused records became dead letters.*"trace_id":"`+trace+`"`, worker.text())
	testkit.Eventually(t, "a span of the refusal", func() bool {
		for _, s := range r.of(trace, "persist user") {
			if s.Status.GetMessage() == "refused: unique" {
				return s.service == "shop"
			}
		}
		return false
	})
}

// A process that ends exports what it has not exported yet.
func TestTracingEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	r, d := receive(t), deploy(t, testkit.SQLite(t))
	d.traces(r, "OTEL_BSP_SCHEDULE_DELAY=3600000")
	api, worker := d.serve()
	trace, _, header := traceOf(4)
	answer, text := d.exchange("PUT", "/v1/user/u1", `{"name":"A"}`, header)
	require.Equal(t, http.StatusAccepted, answer.StatusCode, text)
	d.ok("flush")
	require.Empty(t, r.of(trace, "write user"))
	require.Equal(t, exitOK, api.stop())
	require.Len(t, r.of(trace, "write user"), 1)
	require.Equal(t, exitOK, worker.stop())
	require.Len(t, r.of(trace, "persist user"), 1)
}

// A receiver that does not answer delays no request and no flush, nor the end of a process by more than seconds.
func TestTracingDelaysNothing(t *testing.T) {
	t.Parallel()
	r, d := receive(t), deploy(t, testkit.SQLite(t))
	r.hold = make(chan struct{}) // until the test has ended: whatever waited for it would never go on
	t.Cleanup(func() { close(r.hold) })
	d.traces(r, "OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2", "OTEL_EXPORTER_OTLP_TIMEOUT=300",
		"OTEL_BSP_EXPORT_TIMEOUT=600")
	api, worker := d.serve()
	for i := range 50 {
		_, _, header := traceOf(100 + i)
		answer, text := d.exchange("PUT", fmt.Sprintf("/v1/user/u%d", i), `{"name":"A"}`, header)
		require.Equal(t, http.StatusAccepted, answer.StatusCode, text)
	}
	d.ok("flush")
	testkit.Eventually(t, "a failed export is counted", func() bool {
		_, text := d.call(http.MethodGet, d.api, "/metrics", "")
		return !strings.Contains(text, `afterwrite_trace_spans_total{outcome="failed"} 0`)
	})
	api.says("spans are lost")
	require.Equal(t, exitOK, worker.stop())
	require.Equal(t, exitOK, api.stop())
}

// Tracing is off unless the environment asks for it, and a setting that cannot be used ends a process with its name.
func TestTracingSettings(t *testing.T) {
	t.Parallel()
	r, d := receive(t), deploy(t, testkit.SQLite(t))
	own := d.env
	for setting, want := range map[string]string{
		"OTEL_TRACES_EXPORTER=zipkin":      `OTEL_TRACES_EXPORTER is "zipkin": this build has otlp, or none`,
		"OTEL_EXPORTER_OTLP_PROTOCOL=grpc": `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc": this build has http/protobuf`,
		"OTEL_PROPAGATORS=b3":              `OTEL_PROPAGATORS has "b3"`,
	} {
		d.env = own
		d.traces(r, setting)
		got := d.run("", "worker")
		require.Equal(t, exitUsage, got.code, setting)
		require.Contains(t, got.err, want)
	}
	d.env = own
	d.traces(r, "OTEL_SDK_DISABLED=true")
	api, worker := d.serve()
	_, _, header := traceOf(5)
	answer, text := d.exchange("PUT", "/v1/user/u1", `{"name":"A"}`, header)
	require.Equal(t, http.StatusAccepted, answer.StatusCode, text)
	d.ok("flush")
	for _, s := range []*server{api, worker} {
		require.Equal(t, exitOK, s.stop())
		require.NotContains(t, s.text(), "tracing is on")
	}
	require.Zero(t, r.posts)
}
