package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/config"
)

// Load of /v1/batch.
const (
	batchItems   = 500
	batchCallers = 8
)

const (
	wayBare  = "net/http and SET"
	wayBatch = "afterwrite /v1/batch"
)

// http measures the HTTP API beside a handler that does the minimum.
func (r *run) http(ctx context.Context) error {
	bare, err := r.Start(ctx, "bench", "serve")
	if err != nil {
		return err
	}
	defer bare.Kill()
	if err := r.ready(ctx, r.config.Dashboard.Addr); err != nil {
		return fmt.Errorf("bare server: %w", err)
	}
	ours, err := r.Start(ctx, "api")
	if err != nil {
		return err
	}
	defer ours.Kill()
	if err := r.ready(ctx, r.config.API.Addr); err != nil {
		return fmt.Errorf("api: %w", err)
	}
	memory := func(values map[string]float64, p Process) map[string]float64 {
		_, values["memory of the server"] = resident(p.PID())
		return values
	}
	puts := func(addr string, p Process) func(context.Context) (map[string]float64, error) {
		return func(ctx context.Context) (map[string]float64, error) {
			o, err := r.requests(ctx, addr, some, putRequest)
			return memory(map[string]float64{"PUT": o.rate(), "PUT p50": o.quantile(0.5), "PUT p99": o.quantile(0.99)},
				p), err
		}
	}
	err = r.alternate(ctx, []Figure{
		{Section: "http", Name: "PUT", Unit: "/s", Base: wayBare},
		{Section: "http", Name: "PUT p50", Unit: "µs", Base: wayBare},
		{Section: "http", Name: "PUT p99", Unit: "µs", Base: wayBare},
		{Section: "http", Name: "memory of the server", Unit: "MB"},
	}, way{wayBare, puts(r.config.Dashboard.Addr, bare)}, way{wayLibrary, puts(r.config.API.Addr, ours)})
	if err != nil {
		return err
	}
	return r.alternate(ctx, []Figure{{Section: "http", Name: "writes by /v1/batch", Unit: "/s", Base: wayLibrary}},
		way{wayLibrary, func(ctx context.Context) (map[string]float64, error) {
			o, err := closed(ctx, some, r.Time, 0, put(r.silent, entityName))
			return map[string]float64{"writes by /v1/batch": o.rate()}, err
		}},
		way{wayBatch, func(ctx context.Context) (map[string]float64, error) {
			o, err := r.requests(ctx, r.config.API.Addr, batchCallers, batchRequest)
			return map[string]float64{"writes by /v1/batch": batchItems * o.rate()}, err
		}})
}

var sampleBody = sample("").body()

func putRequest(b *bytes.Buffer, n int) {
	fmt.Fprintf(b, "PUT /v1/%s/%s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		entityName, id(n), len(sampleBody), sampleBody)
}

func batchRequest(b *bytes.Buffer, n int) {
	var body bytes.Buffer
	for i := range batchItems {
		fmt.Fprintf(&body, `{"op":"put","entity":%q,"id":%q,"fields":%s}`+"\n", entityName, id(n*batchItems+i),
			sampleBody)
	}
	fmt.Fprintf(b, "POST /v1/batch HTTP/1.1\r\nHost: bench\r\nContent-Type: application/x-ndjson\r\nContent-Length: %d\r\n\r\n%s",
		body.Len(), body.Bytes())
}

// requests makes a load over persistent connections. It writes and reads the bytes itself: a common HTTP client costs
// as much as a server and would distort the result.
func (r *run) requests(ctx context.Context, addr string, callers int, make func(b *bytes.Buffer, n int)) (outcome,
	error) {
	type connection struct {
		net.Conn
		in  *bufio.Reader
		out bytes.Buffer
	}
	free := newFree(callers, func() (*connection, error) {
		c, err := net.Dial("tcp", addr)
		return &connection{Conn: c, in: bufio.NewReaderSize(c, 64<<10)}, err
	})
	defer free.close(func(c *connection) { _ = c.Close() })
	return closed(ctx, callers, r.Time, 0, func(ctx context.Context, n int) error {
		c, err := free.take()
		if err != nil {
			return err
		}
		c.out.Reset()
		make(&c.out, n)
		if _, err := c.Write(c.out.Bytes()); err != nil {
			return err
		}
		if err := answer(c.in); err != nil {
			return err
		}
		free.give(c)
		return nil
	})
}

// answer reads an answer and returns an error unless it is 2xx.
func answer(in *bufio.Reader) error {
	line, err := in.ReadString('\n')
	if err != nil {
		return err
	}
	if !strings.HasPrefix(line, "HTTP/1.1 2") {
		rest, _ := in.Peek(in.Buffered())
		return fmt.Errorf("answered %s%s", line, rest)
	}
	length, chunked := 0, false
	for {
		if line, err = in.ReadString('\n'); err != nil {
			return err
		}
		name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
		switch {
		case name == "":
			if chunked {
				return discardChunks(in)
			}
			_, err = in.Discard(length)
			return err
		case strings.EqualFold(name, "Content-Length"):
			length, err = strconv.Atoi(value)
		case strings.EqualFold(name, "Transfer-Encoding"):
			chunked = true
		}
		if err != nil {
			return err
		}
	}
}

func discardChunks(in *bufio.Reader) error {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return err
		}
		size, err := strconv.ParseInt(strings.TrimSpace(line), 16, 32)
		if err != nil {
			return err
		}
		if _, err := in.Discard(int(size) + 2); err != nil {
			return err
		}
		if size == 0 {
			return nil
		}
	}
}

// free is a pool of values that one caller at a time uses; a value is made when the pool is empty.
type free[T any] struct {
	idle chan T
	make func() (T, error)
}

func newFree[T any](most int, make1 func() (T, error)) *free[T] {
	return &free[T]{idle: make(chan T, most), make: make1}
}

func (f *free[T]) take() (T, error) {
	select {
	case x := <-f.idle:
		return x, nil
	default:
		return f.make()
	}
}

func (f *free[T]) give(x T) { f.idle <- x }

func (f *free[T]) close(end func(T)) {
	for len(f.idle) > 0 {
		end(<-f.idle)
	}
}

// ready waits until an address is ready.
func (p *place) ready(ctx context.Context, addr string) error {
	return p.until(ctx, 30*time.Second, func() (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/readyz", nil)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return false, nil // not yet
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK, nil
	})
}

// metric reads one series of the metrics at an address.
func metric(ctx context.Context, addr, name string) (float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return 0, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("%s is not among the metrics of %s", name, addr)
}

// Serve runs the handler that puts are compared with, until ctx ends: it parses the same JSON, does one SET and sends
// the same body.
func Serve(ctx context.Context, c *config.Config) error {
	client, err := connect(c.Redis.URL, 0)
	if err != nil {
		return err
	}
	defer client.Close()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("PUT /v1/{entity}/{id}", func(w http.ResponseWriter, r *http.Request) { bare(client, w, r) })
	server := &http.Server{Addr: c.Dashboard.Addr, Handler: mux, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(ctx, func() { _ = server.Close() })
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func bare(client redis.UniversalClient, w http.ResponseWriter, r *http.Request) {
	var record row
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(text, &record)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	id := r.PathValue("id")
	if err := client.Set(r.Context(), plainPrefix+id, text, 0).Err(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	_, _ = fmt.Fprintf(w, `{"entity":%q,"id":%q,"version":1795459689288878,"status":"pending"}`+"\n",
		r.PathValue("entity"), id)
}
