package api

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// instant accepts every write at once, so that a benchmark sees the HTTP side alone.
type instant struct{ e *schema.Entity }

func (i instant) Do(_ context.Context, r producer.Request) (producer.Accepted, error) {
	_, err := i.e.Whole(r.Fields)
	return producer.Accepted{Entity: i.e, ID: r.ID, Version: 1795459689288878, Status: schema.Pending}, err
}

func (i instant) DoAll(ctx context.Context, rs []producer.Request) []producer.Result {
	results := make([]producer.Result, len(rs))
	for n, r := range rs {
		results[n].Accepted, results[n].Err = i.Do(ctx, r)
	}
	return results
}

// BenchmarkPut compares a put, the write itself left out, with a handler that reads
// the same body and answers the same bytes, over loopback.
func BenchmarkPut(b *testing.B) {
	e := testEntity(b)
	handler, err := New(Config{
		Producer: instant{e}, Cache: struct{ Reads }{}, Store: struct{ Lists }{}, Entities: []*schema.Entity{e},
		Registerer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	bare := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.WriteString(w, `{"entity":"user","id":"u12345","version":1795459689288878,"status":"pending"}`+"\n")
	})
	for name, h := range map[string]http.Handler{"afterwrite": handler, "bare": bare} {
		b.Run(name, func(b *testing.B) { benchmarkPut(b, h) })
	}
}

func benchmarkPut(b *testing.B, h http.Handler) {
	server := httptest.NewServer(h)
	defer server.Close()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			r, err := http.NewRequest("PUT", server.URL+"/v1/user/u12345",
				strings.NewReader(`{"name":"Ann Example","age":30,"profile":{"a":[1,2,3]}}`))
			if err != nil {
				b.Error(err)
				return
			}
			r.Header.Set("Content-Type", "application/json")
			response, err := client.Do(r)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, response.Body)
			_ = response.Body.Close()
			if response.StatusCode != http.StatusAccepted {
				b.Errorf("answered %d", response.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
}

// BenchmarkPutHandler counts what one put costs within the process.
func BenchmarkPutHandler(b *testing.B) {
	e := testEntity(b)
	handler, err := New(Config{
		Producer: instant{e}, Cache: struct{ Reads }{}, Store: struct{ Lists }{}, Entities: []*schema.Entity{e},
		Registerer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	body := strings.NewReader(`{"name":"Ann Example","age":30,"profile":{"a":[1,2,3]}}`)
	r := httptest.NewRequest("PUT", "/v1/user/u12345", body)
	r.Header.Set("Content-Type", "application/json")
	w := &discard{header: make(http.Header)}
	b.ReportAllocs()
	for b.Loop() {
		body.Seek(0, io.SeekStart)
		clear(w.header)
		handler.ServeHTTP(w, r)
	}
}

// discard is a response writer that keeps nothing.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}
