package internal_test

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/afterwrite/afterwrite"

// imports are the direct imports of each package of the module, those of its tests
// left out: a test may join what the product keeps apart.
type imports map[string][]string

// A rule forbids packages to reach others. Packages of the module are written without
// its path; "cache" means the package and everything below it, "." the module root
// alone, and "*" every package of the module.
type rule struct {
	why    string // the sentence that a failure prints
	from   []string
	except []string // packages that are free of the rule
	to     []string
	free   []string // targets that may be reached all the same
	direct bool     // only a direct import counts: others may hide the library behind their own API
}

var rules = []rule{
	{why: "schema is the vocabulary of all the others and imports none of them",
		from: []string{"schema"}, to: []string{"cache", "store", "producer", "worker", "dashboard", "internal", "cmd",
			"."}},
	{why: "internal/rdb is the way to Redis: it knows the errors of schema, and no key of ours",
		from: []string{"internal/rdb"}, to: []string{"cache", "store", "producer", "worker", "dashboard", "cmd",
			"internal/queue", "internal/config"}},
	{why: "internal/fleet and internal/inspect stand beside the cache on the same Redis, not on it",
		from: []string{"internal/fleet", "internal/inspect"}, to: []string{"cache", "store", "producer", "worker",
			"dashboard", "cmd", "internal/queue", "internal/config"}},
	{why: "internal/layout names keys and reads replies, above internal/rdb and below all that keeps state in Redis",
		from: []string{"internal/layout"}, to: []string{"cache", "store", "producer", "worker", "dashboard", "cmd",
			"internal/queue", "internal/config"}},
	{why: "pending is what the database has not seen: it shares keys with the cache, and neither calls the other",
		from: []string{"cache/pending"}, to: []string{"cache"}, free: []string{"cache/pending"}},
	{why: "events delivers what happens to records, and knows nothing of how they are read or written",
		from: []string{"cache/events"}, to: []string{"cache"}, free: []string{"cache/events"}},
	{why: "values and responses are cached beside records, and know nothing of how those are read or written",
		from: []string{"cache/values", "cache/httpcache"}, to: []string{"cache"},
		free: []string{"cache/values", "cache/events", "cache/internal"}},
	{why: "records know nothing of the values that depend on them, but their tags",
		from: []string{"cache"}, except: []string{"cache/values", "cache/httpcache"}, to: []string{"cache/values"}},
	{why: "ranks are read and rebuilt beside records, which only keep each in its place",
		from: []string{"cache"}, except: []string{"cache/rank"}, to: []string{"cache/rank"}},
	{why: "what records and values share knows neither",
		from: []string{"cache/internal"}, to: []string{"cache"}, free: []string{"cache/internal", "cache/events"}},
	{why: "the cache accepts writes and answers reads; what the database has not seen is kept by pending",
		from: []string{"cache", "producer"}, except: []string{"cache/pending"}, to: []string{"cache/pending"}},
	{why: "a worker needs what the database has not seen, and nothing of how records are read or written",
		from: []string{"worker"}, to: []string{"cache"}, free: []string{"cache/pending"}},
	{why: "producer and worker agree through Redis and internal/queue and never meet",
		from: []string{"producer"}, to: []string{"worker"}},
	{why: "producer and worker agree through Redis and internal/queue and never meet",
		from: []string{"worker"}, to: []string{"producer"}},
	{why: "cache knows Redis and nothing of SQL: it declares the loader that it reads through",
		from: []string{"cache"}, to: []string{"store"}},
	{why: "store knows SQL and nothing of Redis",
		from: []string{"store"}, to: []string{"cache", "github.com/redis/go-redis", "github.com/hibiken/asynq"}},
	{why: "a model is an entity and a codec: it knows neither Redis nor a database",
		from: []string{"internal/model"}, to: []string{"cache", "store", "producer", "worker", "dashboard", "cmd"}},
	{why: "the ledger stands on store, and store knows nothing of it",
		from: []string{"store"}, except: []string{"store/ledger", "store/storetest"}, to: []string{"store/ledger"}},
	{why: "errors are classed above the databases that report them",
		from: []string{"store/fault"}, to: []string{"store", "internal"}, free: []string{"store/fault"}},
	{why: "a mapping is made of an entity and its types: it knows no connection and no statement of a flush",
		from: []string{"store/internal/mapping"}, to: []string{"store", "internal"},
		free: []string{"store/internal/mapping", "store/internal/kit", "store/catalog", "store/fault"}},
	{why: "how a table is watched follows from its mapping: it is defined without a connection",
		from: []string{"store/internal/watching"}, to: []string{"store", "internal"},
		free: []string{"store/internal/watching", "store/internal/mapping", "store/internal/kit", "store/catalog",
			"store/fault"}},
	{why: "connections and transactions know what a dialect has to do, and none that does it",
		from: []string{"store/internal/database"}, to: []string{"store", "internal"},
		free: []string{"store/internal/database", "store/internal/watching", "store/internal/mapping", "store/internal/kit",
			"store/catalog", "store/fault"}},
	{why: "a dialect stands on database and knows no other dialect, and nothing of flushes",
		from: []string{"store/internal/mysql"}, to: []string{"store", "internal"},
		free: []string{"store/internal/mysql", "store/internal/database", "store/internal/watching",
			"store/internal/mapping", "store/internal/kit", "store/catalog", "store/fault"}},
	{why: "a dialect stands on database and knows no other dialect, and nothing of flushes",
		from: []string{"store/internal/postgres"}, to: []string{"store", "internal"},
		free: []string{"store/internal/postgres", "store/internal/database", "store/internal/watching",
			"store/internal/mapping", "store/internal/kit", "store/catalog", "store/fault"}},
	{why: "a dialect stands on database and knows no other dialect, and nothing of flushes",
		from: []string{"store/internal/sqlite"}, to: []string{"store", "internal"},
		free: []string{"store/internal/sqlite", "store/internal/database", "store/internal/watching",
			"store/internal/mapping", "store/internal/kit", "store/catalog", "store/fault"}},
	{why: "a migration needs a database of any dialect",
		from: []string{"store/internal/migrate"}, to: []string{"store", "internal"},
		free: []string{"store/internal/migrate", "store/internal/database", "store/internal/watching",
			"store/internal/mapping", "store/internal/kit", "store/catalog", "store/fault", "store/migrations"}},
	{why: "the survey stands on store, and store knows nothing of it",
		from: []string{"store"}, except: []string{"store/survey", "store/storetest"}, to: []string{"store/survey"}},
	{why: "the own migrations are files, and stand on nothing",
		from: []string{"store/migrations"}, to: []string{"schema", "store", "internal"}},
	{why: "the write path reaches the database through interfaces of its own",
		from: []string{"producer"}, to: []string{"store"}},
	{why: "what operators do stands on the walks of writes, reads and flushes, never below them",
		from: []string{"cache", "store", "producer", "worker", "internal/queue"},
		to:   []string{"internal/operate", "operate", "dashboard"}},
	{why: "request parses what a request says, below all other rooms of the API",
		from: []string{"producer/api/internal/request"}, to: []string{"producer/api"},
		free: []string{"producer/api/internal/request"}},
	{why: "the rooms of the API know nothing of each other but how a request is parsed",
		from: []string{"producer/api/internal/openapi"},
		to:   []string{"producer/api/internal/share", "producer/api/internal/stream"}},
	{why: "the rooms of the API know nothing of each other but how a request is parsed",
		from: []string{"producer/api/internal/share", "producer/api/internal/stream"},
		to:   []string{"producer/api/internal/openapi"}},
	{why: "the rooms of the dashboard hold what the pages rest on, each alone; they know no page",
		from: []string{"dashboard/internal"}, to: []string{"dashboard"},
		free: []string{"dashboard/internal/format"}},
	{why: "every command stands on cli and local, which know none",
		from: []string{"cmd/afterwrite/internal/cli", "cmd/afterwrite/internal/local"},
		to: []string{"cmd/afterwrite/internal/bench", "cmd/afterwrite/internal/dev", "cmd/afterwrite/internal/load",
			"cmd/afterwrite/internal/policy", "cmd/afterwrite/internal/refused"}},
	{why: "a command knows no other",
		from: []string{"cmd/afterwrite/internal/load", "cmd/afterwrite/internal/policy",
			"cmd/afterwrite/internal/refused"},
		to: []string{"cmd/afterwrite/internal/bench", "cmd/afterwrite/internal/dev"}},
	{why: "a command knows no other",
		from: []string{"cmd/afterwrite/internal/bench", "cmd/afterwrite/internal/dev"},
		to: []string{"cmd/afterwrite/internal/load", "cmd/afterwrite/internal/policy",
			"cmd/afterwrite/internal/refused"}},
	{why: "process wires what the other packages are; only cmd and the front door run one",
		from: []string{"*"}, except: []string{"internal/process", "cmd", ".", "afterwritetest"},
		to: []string{"internal/process"}},
	{why: "gather combines any calls and knows none of those that it combines",
		from: []string{"internal/gather"}, to: []string{"schema", "cache", "store", "producer", "worker", "dashboard",
			"internal", "cmd", "."}},
	{why: "cmd joins the packages; none of them knows of it",
		from: []string{"*"}, except: []string{"cmd"}, to: []string{"cmd"}},
	{why: "asynq is known to internal/queue, the worker's handlers, the dashboard's inspector and the front door, which registers with a server of the program's; internal/bench measures a task per write beside us",
		from: []string{"*"}, except: []string{"internal/queue", "worker", "dashboard", ".", "internal/bench"},
		to: []string{"github.com/hibiken/asynq"}, direct: true},
	{why: "gorm runs in store alone; internal/model and the front door read gorm's schema of a user's struct, and internal/bench measures plain upserts beside us",
		from: []string{"*"}, except: []string{"store", "internal/model", ".", "internal/bench"},
		to: []string{"gorm.io"}, direct: true},
	{why: "drivers of databases live in store, and in the test kit, which makes databases",
		from: []string{"*"}, except: []string{"store", "internal/testkit"},
		to: []string{"github.com/jackc/pgx", "github.com/mattn/go-sqlite3", "github.com/go-sql-driver/mysql",
			"github.com/lib/pq"}, direct: true},
	{why: "Redis commands are given by internal/rdb, cache and internal/queue; the front door and internal/process hand on a client of the program's, which internal/otlp instruments, only cmd (dev) and the test kit may need one beside them, and internal/bench, which measures plain commands beside us",
		from: []string{"*"}, except: []string{"internal/rdb", "internal/inspect", "cache", "internal/queue",
			"internal/process", "internal/otlp", ".", "internal/testkit", "internal/bench", "cmd"},
		to: []string{"github.com/redis/go-redis"}, direct: true},
	{why: "spans are made through the interfaces of OpenTelemetry; its SDK, the exporter and the instrumentation of libraries belong to the command",
		from: []string{"*"}, except: []string{"internal/otlp", "cmd"},
		to: []string{"internal/otlp", "go.opentelemetry.io/otel/sdk", "go.opentelemetry.io/otel/exporters",
			"go.opentelemetry.io/contrib", "github.com/redis/go-redis/extra", "github.com/XSAM/otelsql"}},
	{why: "cache is used alone, and makes no spans",
		from: []string{"cache", "store", "schema"}, to: []string{"go.opentelemetry.io"}},
	{why: "the test kit starts servers and injects faults: no binary carries it",
		from: []string{"*"}, except: []string{"internal/testkit", "afterwritetest", "store/storetest"},
		to: []string{"internal/testkit", "testing", "github.com/stretchr/testify", "afterwritetest"}},
	{why: "the test kit serves the internal tests of every package, so it imports none but schema and internal/rdb",
		from: []string{"internal/testkit"}, except: []string{"internal/testkit/check", "internal/testkit/flush",
			"internal/testkit/whole"},
		free: []string{"store/sqlite", "store/internal/kit"},
		to: []string{"cache", "store", "producer", "worker", "dashboard", "cmd", "internal/queue", "internal/config",
			"internal/fsck"}},
}

func TestImports(t *testing.T) {
	graph := list(t)
	require.Contains(t, graph, module)
	for _, r := range rules {
		for _, found := range r.broken(graph) {
			t.Errorf("%s\n\tbut %s", r.why, found)
		}
	}
}

// TestRoomsAreSmall: a package can be read in one sitting, in 25 files without tests.
func TestRoomsAreSmall(t *testing.T) {
	const most = 25
	files := map[string]int{}
	for _, file := range sources(t) {
		if filepath.Ext(file) == ".go" {
			files[strings.TrimPrefix(filepath.ToSlash(filepath.Dir(file)), "../")]++
		}
	}
	require.Greater(t, files["cache"], 10)
	for room, n := range files {
		require.LessOrEqual(t, n, most, room)
	}
}

// TestImportsRulesBite breaks each rule in a graph made up for it, and keeps it.
func TestImportsRulesBite(t *testing.T) {
	const between = module + "/between"
	for _, r := range rules {
		from, to := full(r.from[0]), full(r.to[0])
		if from == "*" {
			from = full("producer/api")
		}
		require.NotEmpty(t, r.broken(imports{from: {"fmt", to}}), r.why)
		require.Empty(t, r.broken(imports{from: {"fmt", between}, between: {"fmt"}}), r.why)
		if !r.direct {
			require.NotEmpty(t, r.broken(imports{from: {between}, between: {to + "/below"}}), r.why)
		}
		for _, free := range r.except {
			require.Empty(t, r.broken(imports{full(free): {to}}), r.why)
		}
	}
}

// broken tells each chain of imports that breaks the rule.
func (r rule) broken(graph imports) []string {
	var found []string
	for _, from := range slices.Sorted(maps.Keys(graph)) {
		if !covered(from, r.from) || covered(from, r.except) {
			continue
		}
		if chain := graph.reach(from, r.to, r.free, r.direct); chain != nil {
			found = append(found, strings.Join(chain, " imports "))
		}
	}
	return found
}

// reach finds a shortest chain of imports from a package to one of the targets. A
// chain leaves the module only with its last step.
func (g imports) reach(from string, targets, free []string, direct bool) []string {
	seen := map[string]bool{from: true}
	for queue := [][]string{{from}}; len(queue) > 0; queue = queue[1:] {
		chain := queue[0]
		for _, next := range g[chain[len(chain)-1]] {
			if seen[next] {
				continue
			}
			seen[next] = true
			longer := append(slices.Clone(chain), next)
			if covered(next, targets) && !covered(next, free) {
				return longer
			}
			if !direct {
				queue = append(queue, longer)
			}
		}
	}
	return nil
}

func covered(path string, patterns []string) bool {
	for _, p := range patterns {
		switch full := full(p); {
		case p == "*" && (path == module || strings.HasPrefix(path, module+"/")),
			path == full,
			p != "." && strings.HasPrefix(path, full+"/"):
			return true
		}
	}
	return false
}

// full is the import path that a pattern names.
func full(pattern string) string {
	first, _, _ := strings.Cut(pattern, "/")
	switch {
	case pattern == ".":
		return module
	case pattern == "*" || pattern == "testing" || strings.Contains(first, "."):
		return pattern
	}
	return module + "/" + pattern
}

// list asks the go command for the packages of the module.
func list(t *testing.T) imports {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-json=ImportPath,Imports", module+"/...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	graph := imports{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath string
			Imports    []string
		}
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return graph
		}
		require.NoError(t, err, fmt.Sprintf("%.200s", out))
		graph[p.ImportPath] = p.Imports
	}
}

// TestNoCompilerWithoutSQLite: a program that opens no SQLite builds without a C compiler.
func TestNoCompilerWithoutSQLite(t *testing.T) {
	const written = `{{if and .CgoFiles (not .Standard)}}{{.ImportPath}}{{end}}`
	for program, want := range map[string]string{"./testdata/nosqlite": "",
		"../store/sqlite": "github.com/mattn/go-sqlite3"} {
		list := exec.Command("go", "list", "-deps", "-f", written, program)
		list.Env = append(os.Environ(), "CGO_ENABLED=1")
		out, err := list.Output()
		require.NoError(t, err)
		require.Equal(t, want, strings.TrimSpace(string(out)), program)
	}
}

// TestWhatAProgramGets: neither the cache nor the front door bring tools of the command, of
// migrations or of tests into a program; without cgo they bring no SQLite either.
func TestWhatAProgramGets(t *testing.T) {
	never := []string{"github.com/pressly/goose", "github.com/spf13/cobra", "github.com/alicebob/miniredis",
		"github.com/chromedp", "github.com/stretchr/testify", "go.opentelemetry.io/otel/sdk",
		"go.opentelemetry.io/otel/exporters", "go.opentelemetry.io/proto", "go.opentelemetry.io/contrib", "google.golang.org/grpc"}
	for _, c := range []struct {
		program, cgo string
		most         int // packages of Go and of other modules: docs/LIBRARY.md says how many
		without      []string
	}{
		{"../cache", "0", 290, append(never, "gorm.io", "github.com/hibiken", "github.com/jackc",
			"github.com/go-sql-driver", "github.com/mattn", "go.opentelemetry.io")},
		{"..", "1", 420, never},
		{"./testdata/static", "0", 415, append(never, "github.com/mattn", "gorm.io/driver/sqlite")},
	} {
		list := exec.Command("go", "list", "-deps", c.program)
		list.Env = append(os.Environ(), "CGO_ENABLED="+c.cgo)
		out, err := list.Output()
		require.NoError(t, err)
		got := slices.DeleteFunc(strings.Fields(string(out)), func(p string) bool {
			return strings.HasPrefix(p, module) // ours may be many and small
		})
		require.LessOrEqual(t, len(got), c.most, c.program)
		for _, p := range got {
			for _, other := range c.without {
				require.False(t, p == other || strings.HasPrefix(p, other+"/"), "%s: %s", c.program, p)
			}
		}
	}
}

// TestStatic builds a program on PostgreSQL and MySQL without a C compiler: it needs no shared
// library, not even the one that loads others.
func TestStatic(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("it builds every dependency again")
	}
	file := filepath.Join(t.TempDir(), "static")
	build := exec.Command("go", "build", "-trimpath", "-o", file, "./testdata/static")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
	binary, err := elf.Open(file)
	require.NoError(t, err)
	defer binary.Close()
	for _, p := range binary.Progs {
		require.NotEqual(t, elf.PT_INTERP, p.Type)
	}
	run := exec.Command(file)
	run.Env = []string{"REDIS_URL=redis://127.0.0.1:1", "DATABASE_URL=sqlite://x"}
	out, err = run.CombinedOutput()
	require.Error(t, err)
	require.Contains(t, string(out), "built without SQLite")
}

// TestGodocOfTheRootIsShort: the front door can be read in one sitting.
func TestGodocOfTheRootIsShort(t *testing.T) {
	out, err := exec.Command("go", "doc", "-all", "..").Output()
	require.NoError(t, err)
	require.Less(t, strings.Count(string(out), "\n"), 350)
}
