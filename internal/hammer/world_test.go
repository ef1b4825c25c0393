package hammer

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
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

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// config has an entity of each mode. Keys of Idempotency are kept for longer than any
// write is repeated, and not for the hour that a run may last.
const config = `
entities:
  doc:
    table: hammer_doc
    id: {type: string, max: 64}
    fields: {seq: {type: int}, a: {type: int}, b: {type: int}}
    partitions: 4
  slow:
    table: hammer_slow
    id: {type: int}
    fields: {seq: {type: int}, a: {type: int}, b: {type: int}}
    partitions: 2
    flush: {delay: 300ms, batch: 50}
  count:
    table: hammer_count
    id: {type: string, max: 64}
    fields: {seq: {type: int, default: 0}}
    partitions: 2
  player:
    table: hammer_player
    id: {type: string, max: 64}
    fields: {seq: {type: int}, a: {type: int}, b: {type: int}}
    partitions: 2
    rank: {by: seq}
  through:
    table: hammer_through
    id: {type: string, max: 64}
    fields: {seq: {type: int}, a: {type: int}, b: {type: int}}
    write: through
    partitions: 2
  around:
    table: hammer_around
    id: {type: string, max: 64}
    fields: {seq: {type: int}, a: {type: int}, b: {type: int}}
    write: around
    partitions: 2
  strict:
    table: hammer_strict
    id: {type: string, max: 64}
    fields: {seq: {type: int}, a: {type: int}, b: {type: int}}
    partitions: 2
    retry: {max_attempts: 3, base: 200ms, cap: 1s}
`

// strictTable refuses what the configuration allows, so that records are held and die.
const strictTable = `CREATE TABLE hammer_strict (id varchar(64) PRIMARY KEY, seq bigint, a bigint, b bigint CHECK (b >= 0))`

// world is a deployment with something to break in every place: each kind of process
// reaches Redis and the database through proxies of its own.
type world struct {
	t        *testing.T
	dir      string
	prefix   string
	random   *rand.Rand
	builds   []string             // binaries that processes are started from
	redis    *testkit.RedisServer // the master
	sentinel *testkit.Sentinel    // nil: Redis is one server
	server   server               // nil: the database is a file
	file     file                 // "": the database is a server
	disks    map[string]*testkit.Disk
	sql      *sql.DB
	ways     map[string]*testkit.Proxy // "api redis", "worker database", …
	apis     []*process
	workers  []*process
	client   *http.Client
	tally    *tally
	older    func()       // puts an older copy of Redis back; nil until there is one
	calm     sync.RWMutex // clients read-lock it while they do something
}

// site is where a world is built.
type site struct {
	database                database
	sentinel                bool
	redisDisk, databaseDisk *testkit.Disk // nil: a disk that is never full
}

// database is a server or a file.
type database interface {
	Database(t testing.TB) string
}

// server is a database that processes reach over a network, and what the faults do to it.
type server interface {
	database
	Kill()
	Start()
	Addr() string
	Logged(text string) int
}

func newWorld(t *testing.T, s site, builds []string, random *rand.Rand) *world {
	t.Helper()
	w := &world{
		t: t, dir: t.TempDir(), prefix: testkit.Prefix(t), random: random, builds: builds,
		ways: map[string]*testkit.Proxy{}, disks: map[string]*testkit.Disk{}, tally: newTally(),
		client: &http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}},
	}
	redis := w.startRedis(s)
	url := s.database.Database(t)
	w.server, _ = s.database.(server)
	w.file, _ = s.database.(file)
	if s.databaseDisk != nil {
		w.disks["database"] = s.databaseDisk
	}
	w.sql = testkit.SQL(t, url)
	_, err := w.sql.Exec(testkit.Spell(url, strictTable))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(w.dir, "afterwrite.yaml"), []byte(config), 0o600))
	env := func(kind string) []string {
		return []string{
			"HOME=" + w.dir, "PATH=" + os.Getenv("PATH"),
			"AFTERWRITE_REDIS_URL=" + w.by(kind+" redis", redis), "AFTERWRITE_REDIS_PREFIX=" + w.prefix,
			"AFTERWRITE_DATABASE_URL=" + w.by(kind+" database", url),
			"AFTERWRITE_DATABASE_LOCK_TIMEOUT=2s", "AFTERWRITE_DATABASE_STATEMENT_TIMEOUT=3s",
			"AFTERWRITE_DATABASE_IDLE_IN_TRANSACTION=3s",
			"AFTERWRITE_API_DRAIN=100ms", "AFTERWRITE_API_KEYS_KEEP=10m", "AFTERWRITE_API_KEYS_MAX=1000000",
		}
	}
	require.NoError(t, w.tool(env("tool"), "migrate"))
	for range 2 {
		w.apis = append(w.apis, w.process("api", "AFTERWRITE_API_ADDR", env("api")))
		w.workers = append(w.workers, w.process("worker", "AFTERWRITE_WORKER_ADDR", env("worker")))
	}
	for _, p := range w.processes() {
		p.start(w.build())
	}
	for _, p := range w.processes() {
		testkit.Eventually(t, p.kind+" is ready", func() bool { return w.ready(p.addr) })
	}
	return w
}

// startRedis starts Redis, alone or with a replica, and returns its URL. With "everysec" it
// would put the writing of its file off while the disk is slow, and a kill would lose it.
func (w *world) startRedis(s site) (url string) {
	always := testkit.AppendFsync("always")
	if s.sentinel {
		w.sentinel = testkit.RedisSentinel(w.t, always)
		require.NoError(w.t, w.sentinel.DownAfter(w.t.Context(), deaf))
		w.redis = w.sentinel.Nodes[0]
		return w.sentinel.URL()
	}
	w.redis = testkit.Redis(w.t, always, testkit.OnDisk(s.redisDisk))
	if s.redisDisk != nil {
		w.disks["redis"] = s.redisDisk
	}
	return w.redis.URL()
}

// by puts a way between a kind of process and a server, where there is one server.
func (w *world) by(way, url string) string {
	at := w.redis.Addr()
	if strings.HasSuffix(way, "database") {
		if w.server == nil {
			return url
		}
		at = w.server.Addr()
	} else if w.sentinel != nil {
		return url
	}
	if w.ways[way] == nil {
		w.ways[way] = testkit.NewProxy(w.t, at)
	}
	return w.ways[way].URL(w.t, url)
}

func (w *world) processes() []*process { return append(append([]*process{}, w.apis...), w.workers...) }

func (w *world) build() string { return w.builds[w.random.IntN(len(w.builds))] }

func (w *world) ready(addr string) bool {
	answer, err := w.client.Get("http://" + addr + "/readyz")
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// command is one of the operator's, with the environment of a kind of process.
func (w *world) command(ctx context.Context, build string, env []string, args ...string) *exec.Cmd {
	if w.file != "" && os.Getuid() == 0 { // the modes of files are to count
		args = append([]string{"--bounding-set=-dac_override", "--inh-caps=-dac_override", build}, args...)
		build = "setpriv"
	}
	cmd := exec.CommandContext(ctx, build, args...)
	cmd.Dir, cmd.Env = w.dir, env
	return cmd
}

// tool runs a command that must succeed.
func (w *world) tool(env []string, args ...string) error {
	out, err := w.command(w.t.Context(), w.builds[0], env, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("afterwrite %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// process is an api or a worker under a supervisor, which starts it again when it ends, as
// systemd does.
type process struct {
	w          *world
	kind, addr string
	env        []string
	log        string // file

	mu      sync.Mutex // guards what follows
	build   string
	cmd     *exec.Cmd
	stopped bool // not to be started again
	ended   chan struct{}
}

func (w *world) process(kind, addrSetting string, env []string) *process {
	addr := testkit.FreeAddr(w.t)
	p := &process{w: w, kind: kind, addr: addr, env: append(env, addrSetting+"="+addr),
		log: filepath.Join(w.dir, kind+"-"+addr[strings.LastIndexByte(addr, ':')+1:]+".log")}
	w.t.Cleanup(p.end)
	return p
}

// start starts the process and its supervisor.
func (p *process) start(build string) {
	p.w.t.Helper()
	p.build, p.ended = build, make(chan struct{})
	up := make(chan error, 1)
	go func() {
		defer close(p.ended)
		for first := true; p.once(first, up); first = false {
			time.Sleep(200 * time.Millisecond) // as long as a supervisor waits
		}
	}()
	require.NoError(p.w.t, <-up)
}

// once runs the process until it ends and reports whether it is to be started again.
func (p *process) once(first bool, up chan<- error) bool {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return false
	}
	log, err := os.OpenFile(p.log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		defer log.Close()
		p.cmd = p.w.command(context.Background(), p.build, p.env, p.kind)
		p.cmd.Stdout, p.cmd.Stderr = log, log
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		err = p.cmd.Start()
	}
	cmd := p.cmd
	p.mu.Unlock()
	if first {
		up <- err
	}
	if err == nil {
		_ = cmd.Wait() // killed, as a rule
	}
	return true
}

// signal sends a signal; the next start is from the build.
func (p *process) signal(s syscall.Signal, build string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.build = build
	_ = p.cmd.Process.Signal(s) // it may just have ended
}

// runs reports whether the process was last started from a build.
func (p *process) runs(build string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd != nil && p.cmd.Path == build
}

func (p *process) end() {
	p.mu.Lock()
	p.stopped = true
	if p.cmd != nil {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
		_ = p.cmd.Process.Kill()
	}
	p.mu.Unlock()
	if p.ended != nil {
		<-p.ended
	}
	if p.w.t.Failed() {
		text, _ := os.ReadFile(p.log)
		text = text[max(0, len(text)-5_000):]
		p.w.t.Logf("%s at %s:\n%s", p.kind, p.addr, text)
	}
}
