package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// rolling is two APIs that are restarted in turn under load.
type rolling struct {
	*deployment
	addrs   [2]string
	servers [2]*server
}

func roll(t *testing.T) *rolling {
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	r := &rolling{deployment: d, addrs: [2]string{testkit.FreeAddr(t), testkit.FreeAddr(t)}}
	for i := range r.addrs {
		r.start(i)
	}
	return r
}

func (r *rolling) start(i int) {
	r.t.Helper()
	env := r.env
	defer func() { r.env = env }()
	r.env = append(r.env, "AFTERWRITE_API_ADDR="+r.addrs[i], "AFTERWRITE_API_DRAIN=3s")
	r.servers[i] = r.deployment.start("api")
	r.ready(r.addrs[i])
}

// under runs clients against a proxy while restart goes on, and returns how many requests
// were answered and those that were not as they should be.
func (r *rolling) under(url string, restart func()) (answered int64, bad []string) {
	ctx, stop := context.WithCancel(r.t.Context())
	var clients sync.WaitGroup
	var n atomic.Int64
	var mu sync.Mutex
	transport := &http.Transport{MaxIdleConnsPerHost: 20}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	for i := range 20 {
		clients.Go(func() {
			for j := 0; ctx.Err() == nil; j++ {
				method, body, want := "PUT", fmt.Sprintf(`{"name":"n%d"}`, j), 202
				if j%2 == 1 {
					method, body, want = "GET", "", 200
				}
				request, err := http.NewRequest(method, fmt.Sprintf("%s/v1/user/c%d", url, i), strings.NewReader(body))
				if err != nil {
					panic(err)
				}
				request.Header.Set("Content-Type", "application/json")
				answer, err := client.Do(request)
				text := fmt.Sprint(err)
				if err == nil {
					b, _ := io.ReadAll(answer.Body)
					_ = answer.Body.Close()
					text = fmt.Sprint(answer.StatusCode, " ", string(b))
				}
				n.Add(1)
				if err != nil || answer.StatusCode != want {
					mu.Lock()
					bad = append(bad, method+" "+text)
					mu.Unlock()
				}
			}
		})
	}
	restart()
	stop()
	clients.Wait()
	return n.Load(), bad
}

// TestRollingRestartBehindHAProxy: no request fails while APIs are restarted one after the
// other, though the proxy repeats none.
func TestRollingRestartBehindHAProxy(t *testing.T) {
	t.Parallel()
	r := roll(t)
	proxy := testkit.HAProxy(t, strings.NewReplacer("API1", r.addrs[0], "API2", r.addrs[1]).Replace(`
defaults
	mode http
	timeout connect 5s
	timeout client 30s
	timeout server 30s
	timeout check 5s
	retries 0
	option http-keep-alive
	http-reuse always
frontend api
	bind $LISTEN
	use_backend stats if { path_beg /stats }
	default_backend apis
backend stats
	stats enable
	stats uri /stats
backend apis
	option httpchk GET /readyz
	default-server check inter 500ms fall 1 rise 1
	server api1 API1
	server api2 API2
`))
	up := func() int {
		answer, err := http.Get(proxy.URL + "/stats;csv")
		require.NoError(t, err)
		defer answer.Body.Close()
		n := 0
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if fields := strings.Split(lines.Text(), ","); len(fields) > 17 && fields[0] == "apis" &&
				fields[1] != "BACKEND" && fields[17] == "UP" {
				n++
			}
		}
		return n
	}
	both := func() { testkit.Eventually(t, "the proxy has found both APIs", func() bool { return up() == 2 }) }
	both()
	answered, bad := r.under(proxy.URL, func() {
		for i := range 4 {
			require.Equal(t, 0, r.servers[i%2].stop())
			r.start(i % 2)
			both()
		}
	})
	require.Empty(t, bad, "of %d", answered)
	require.Greater(t, answered, int64(100))
}

// TestRollingRestartBehindNginx: nginx probes no health, so that a server is taken out of
// its configuration first. It repeats no request.
func TestRollingRestartBehindNginx(t *testing.T) {
	t.Parallel()
	r := roll(t)
	proxy := testkit.Nginx(t, strings.NewReplacer("API1", r.addrs[0], "API2", r.addrs[1]).Replace(`
upstream apis { server API1 max_fails=0; server API2 max_fails=0; keepalive 20; }
server {
	listen $LISTEN;
	keepalive_timeout 0;    # at a reload nginx itself ends idle connections of its clients
	location / {
		proxy_pass http://apis;
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		proxy_next_upstream off;
	}
}`))
	answered, bad := r.under(proxy.URL, func() {
		for i := range 4 {
			one := "server " + r.addrs[i%2] + " max_fails=0"
			proxy.Reload(one, one+" down")
			require.Equal(t, 0, r.servers[i%2].stop())
			r.start(i % 2)
			proxy.Reload(one+" down", one)
		}
	})
	require.Empty(t, bad, "of %d", answered)
	require.Greater(t, answered, int64(100))
}

// TestDraining: readiness turns first; requests are answered, and connections closed after
// them, until the drain has ended; an event stream says that it ends.
func TestDraining(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.env = append(d.env, "AFTERWRITE_API_DRAIN=5s")
	d.ok("migrate")
	s := d.start("api")
	d.ready(d.api)
	stream, err := http.Get("http://" + d.api + "/v1/events")
	require.NoError(t, err)
	defer stream.Body.Close()
	began := time.Now()
	code := make(chan int, 1)
	go func() { code <- s.stop() }()
	testkit.Eventually(t, "the API is not ready", func() bool {
		code, body := d.call("GET", d.api, "/readyz", "")
		return code == 503 && strings.Contains(body, "draining")
	})
	answer, _ := d.exchange("PUT", "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, 202, answer.StatusCode)
	require.True(t, answer.Close)
	text, err := io.ReadAll(stream.Body)
	require.NoError(t, err)
	require.Contains(t, string(text), "event: reconnect\nretry: ")
	require.GreaterOrEqual(t, time.Since(began), 5*time.Second)
	require.Equal(t, 0, <-code)
}

// TestAnAPIThatWasNeverReadyDrainsNothing: no balancer has sent it a request.
func TestAnAPIThatWasNeverReadyDrainsNothing(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	d.env = append(d.env, "AFTERWRITE_API_DRAIN=1m", "AFTERWRITE_REDIS_URL=redis://"+testkit.FreeAddr(t))
	s := d.start("api")
	testkit.Eventually(t, "the API is not ready", func() bool {
		code, _ := d.call("GET", d.api, "/readyz", "")
		return code == 503
	})
	began := time.Now()
	require.Equal(t, 0, s.stop())
	require.Less(t, time.Since(began), 30*time.Second)
	require.NotContains(t, s.text(), "draining")
}

// TestNoRequestBeforeReady: an API listens when it can answer.
func TestNoRequestBeforeReady(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.ok("migrate")
	for range 3 {
		s := d.start("api")
		seen := 0
		testkit.Eventually(t, "the API answers", func() bool {
			seen, _ = d.call("GET", d.api, "/readyz", "")
			return seen != 0
		})
		require.Equal(t, 200, seen)
		require.Equal(t, 0, s.stop())
	}
}
