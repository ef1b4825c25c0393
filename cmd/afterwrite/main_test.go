package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Exit codes.
const (
	exitOK      = cli.ExitOK
	exitFailure = cli.ExitFailure
	exitUsage   = cli.ExitUsage
)

// binary is the program, built once. TestMain sets it.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	// These tests wait more than they work: for processes to start, flags to end.
	flag.Parse()
	_ = flag.Set("test.parallel", "6")
	dir, err := os.MkdirTemp("", "afterwrite-cmd")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "afterwrite")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build:", err)
		return 1
	}
	return m.Run()
}

// deployment is a configuration file in a directory of its own, on a real Redis and a
// real database.
type deployment struct {
	t      *testing.T
	dir    string
	redis  *testkit.RedisServer
	prefix string
	api    string // address
	worker string
	env    []string
}

const testConfig = `
redis: {url: %q, prefix: %s}
database: {url: %q}
api: {addr: %s}
worker: {addr: %s}
dashboard: {addr: 127.0.0.1:0}
entities:
  user:
    table: users
    id: {type: string, max: 64}
    fields:
      name: {type: string, max: 200, required: true}
      email: {type: string, unique: true}
      age: {type: int, min: 0}
      balance: {type: decimal}
      active: {type: bool, default: true}
      profile: {type: json}
      secret: {type: string, redact: true}
    partitions: 4
  item: {id: {type: int}, fields: {name: {type: string}}, partitions: 2}
`

func deploy(t *testing.T, database string) *deployment {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir(), redis: testkit.SharedRedis(t), prefix: testkit.Prefix(t),
		api: testkit.FreeAddr(t), worker: testkit.FreeAddr(t)}
	d.env = []string{"HOME=" + d.dir, "PATH=" + os.Getenv("PATH"),
		"AFTERWRITE_API_DRAIN=0s", "AFTERWRITE_DASHBOARD_DRAIN=0s"} // no balancer waits to be told
	d.file("afterwrite.yaml", fmt.Sprintf(testConfig, d.redis.URL(), d.prefix, database, d.api, d.worker))
	return d
}

// deployAlone is deploy with a Redis of its own, which the test may stop, empty or fill.
func deployAlone(t *testing.T) *deployment {
	t.Helper()
	d := deploy(t, testkit.SQLite(t))
	d.redis = testkit.Redis(t)
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+d.redis.URL())
	return d
}

func (d *deployment) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.dir, name)
	require.NoError(d.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

func (d *deployment) read(name string) string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, name))
	require.NoError(d.t, err)
	return string(text)
}

func (d *deployment) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), binary, args...)
	cmd.Dir, cmd.Env = d.dir, d.env
	return cmd
}

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// run runs a command to its end.
func (d *deployment) run(in string, args ...string) result {
	d.t.Helper()
	cmd := d.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(in), &out, &errs
	_ = cmd.Run() // the code says it
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// ok runs a command that must succeed and returns its output.
func (d *deployment) ok(args ...string) string {
	d.t.Helper()
	r := d.run("", args...)
	require.Equal(d.t, 0, r.code, "%v: %s%s", args, r.out, r.err)
	return r.out
}

// server is a command that runs until it is told to stop.
type server struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex // guards log
	log  bytes.Buffer
}

func (s *server) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *server) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

func (d *deployment) start(args ...string) *server {
	d.t.Helper()
	return d.startCommand(d.command(args...))
}

func (d *deployment) startCommand(cmd *exec.Cmd) *server {
	d.t.Helper()
	s := &server{t: d.t, cmd: cmd, done: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = s, s
	require.NoError(d.t, s.cmd.Start())
	go func() {
		defer close(s.done)
		_ = s.cmd.Wait() // the code says it
	}()
	d.t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it may have ended
		<-s.done
		if d.t.Failed() {
			d.t.Logf("%v:\n%s", cmd.Args[1:], s.text())
		}
	})
	return s
}

func (s *server) says(what string) {
	s.t.Helper()
	testkit.Eventually(s.t, "the server says "+what, func() bool {
		select {
		case <-s.done:
			require.Contains(s.t, s.text(), what, "the server has ended")
		default:
		}
		return strings.Contains(s.text(), what)
	})
}

// stop sends SIGTERM and returns the exit code.
func (s *server) stop() int {
	s.t.Helper()
	require.NoError(s.t, s.cmd.Process.Signal(syscall.SIGTERM))
	return s.wait()
}

func (s *server) wait() int {
	s.t.Helper()
	select {
	case <-s.done:
	case <-time.After(testkit.Patience):
		s.t.Fatal("the server does not end")
	}
	return s.cmd.ProcessState.ExitCode()
}

// call makes a request and returns status and body; status 0 where nobody answers.
func (d *deployment) call(method, addr, path, body string) (int, string) {
	d.t.Helper()
	r, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+addr+path, strings.NewReader(body))
	require.NoError(d.t, err)
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(d.t, err)
	return answer.StatusCode, string(text)
}

func (d *deployment) ready(addr string) {
	d.t.Helper()
	testkit.Eventually(d.t, addr+" is ready", func() bool {
		code, _ := d.call(http.MethodGet, addr, "/readyz", "")
		return code == http.StatusOK
	})
}

// serve migrates and starts an API and a worker.
func (d *deployment) serve() (api, worker *server) {
	d.t.Helper()
	d.ok("migrate")
	api, worker = d.start("api"), d.start("worker")
	d.ready(d.api)
	d.ready(d.worker)
	return api, worker
}

func (d *deployment) json(text string) map[string]any {
	d.t.Helper()
	var v map[string]any
	require.NoError(d.t, json.Unmarshal([]byte(text), &v), text)
	return v
}
