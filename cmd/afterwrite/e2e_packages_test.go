package main

import (
	"bytes"
	"cmp"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// packages is a deployment of docs/examples/packages.yaml, and what its table must hold
// in the end. The expectation is made of the input's own bytes; the table is read with
// the database's plain driver.
type packages struct {
	*deployment
	url   string // of the database
	sql   *sql.DB
	input []string // lines of the file, in its order
	ids   []string // of the lines

	lines    map[string]string
	installs map[string]int
}

// deployEntities makes a deployment whose file has nothing but entities: all else is in
// the environment.
func deployEntities(t *testing.T, url string, server *testkit.RedisServer, entities string) *deployment {
	t.Helper()
	d := &deployment{t: t, dir: t.TempDir(), redis: server, prefix: testkit.Prefix(t), api: testkit.FreeAddr(t),
		worker: testkit.FreeAddr(t)}
	d.env = []string{
		"HOME=" + d.dir, "PATH=" + os.Getenv("PATH"),
		"AFTERWRITE_REDIS_URL=" + server.URL(), "AFTERWRITE_REDIS_PREFIX=" + d.prefix,
		"AFTERWRITE_DATABASE_URL=" + url, "AFTERWRITE_API_ADDR=" + d.api, "AFTERWRITE_WORKER_ADDR=" + d.worker,
	}
	d.file("afterwrite.yaml", entities)
	return d
}

// openPackages makes the tables and starts nothing but a Redis that syncs every write.
func openPackages(t *testing.T, url string) *packages {
	t.Helper()
	return openPackagesOn(t, url, testkit.Redis(t, testkit.AppendFsync("always")))
}

func openPackagesOn(t *testing.T, url string, server *testkit.RedisServer) *packages {
	t.Helper()
	entities, err := os.ReadFile(filepath.Join(testkit.Root(t), "docs", "examples", "packages.yaml"))
	require.NoError(t, err)
	p := &packages{
		deployment: deployEntities(t, url, server, string(entities)),
		url:        url, sql: testkit.SQL(t, url),
		lines: map[string]string{}, installs: map[string]int{},
	}
	p.readInput()
	p.ok("migrate")
	p.watch()
	return p
}

// inputFile is the sample, or the file that EXAMPLE_FILE names (docs/examples/run.sh).
func inputFile(t *testing.T) string {
	return cmp.Or(os.Getenv("EXAMPLE_FILE"), filepath.Join(testkit.Root(t), "docs", "examples",
		"packages.sample.ndjson"))
}

var idOfLine = regexp.MustCompile(`^\{"id":"([^"\\]+)",.*\}$`)

func (p *packages) readInput() {
	p.t.Helper()
	text, err := os.ReadFile(inputFile(p.t))
	require.NoError(p.t, err)
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		found := idOfLine.FindStringSubmatch(line)
		require.NotNil(p.t, found, line)
		p.input = append(p.input, line)
		p.ids = append(p.ids, found[1])
		p.lines[found[1]] = line
	}
	require.NotEmpty(p.t, p.input)
}

// also starts a process of the same deployment with more environment.
func (p *packages) also(env []string, args ...string) *server {
	p.t.Helper()
	other := *p.deployment
	other.env = append(slices.Clone(p.env), env...)
	return other.start(args...)
}

// workerAt starts a worker that listens on an address of its own.
func (p *packages) workerAt(addr string, env ...string) *server {
	p.t.Helper()
	return p.also(append(env, "AFTERWRITE_WORKER_ADDR="+addr), "worker")
}

// loadAll runs `afterwrite load` on the whole input.
func (p *packages) loadAll() (s struct {
	Accepted, Rejected int64
	Seconds, Rate      float64
}) {
	p.t.Helper()
	require.NoError(p.t, json.Unmarshal([]byte(p.ok("load", "package", inputFile(p.t), "--json")), &s))
	require.EqualValues(p.t, len(p.input), s.Accepted)
	require.Zero(p.t, s.Rejected)
	return s
}

// Sizes of the changes that follow the load.
const (
	hotPackages = 50
	increments  = 10_000
	deletions   = 500
	changeLanes = 8
	changeBatch = 50
)

// changes returns writes that add 1 to the installs of hot packages and delete others, as
// items of batches, and expects them. Each has its own key, so it may be sent until it is
// accepted.
func (p *packages) changes() (items []string) {
	p.t.Helper()
	random := testkit.Random(p.t)
	shuffled := random.Perm(len(p.ids))
	hot, gone := shuffled[:hotPackages], shuffled[hotPackages:hotPackages+deletions]
	for n := range increments {
		id := p.ids[hot[n%len(hot)]]
		p.installs[id]++
		items = append(items,
			fmt.Sprintf(`{"op":"increment","entity":"package","id":%q,"fields":{"installs":1},"idempotency_key":"increment %d"}`, id, n))
	}
	for _, at := range gone {
		delete(p.lines, p.ids[at])
		items = append(items, fmt.Sprintf(`{"op":"delete","entity":"package","id":%q,"idempotency_key":"delete %d"}`,
			p.ids[at], at))
	}
	random.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	return items
}

// send sends items through the API, many batches at once.
func (p *packages) send(items []string) error {
	var lanes errgroup.Group
	lanes.SetLimit(changeLanes)
	for batch := range slices.Chunk(items, changeBatch) {
		lanes.Go(func() error { return p.insist(batch) })
	}
	return lanes.Wait()
}

// insist sends a batch, and again those of its items that were not accepted for a reason
// that passes.
func (p *packages) insist(items []string) error {
	var last string
	for deadline := time.Now().Add(2 * testkit.Patience); time.Now().Before(deadline); {
		again, err := p.try(items, &last)
		if err != nil || len(again) == 0 {
			return err
		}
		items = again
		<-time.After(20 * time.Millisecond)
	}
	return fmt.Errorf("%d writes were not accepted: %s", len(items), last)
}

// try sends a batch and returns the items to be sent again, the last reason beside them.
func (p *packages) try(items []string, last *string) (again []string, err error) {
	answer, err := http.Post("http://"+p.api+"/v1/batch", "application/x-ndjson",
		strings.NewReader(strings.Join(items, "\n")))
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusServiceUnavailable {
		*last = answer.Status
		return items, nil
	}
	var body struct {
		Results []struct {
			Status int
			Error  json.RawMessage
		}
	}
	err = json.NewDecoder(answer.Body).Decode(&body)
	if err != nil || answer.StatusCode != http.StatusOK || len(body.Results) != len(items) {
		return nil, fmt.Errorf("batch: %s, %d of %d results, %w", answer.Status, len(body.Results), len(items), err)
	}
	for i, r := range body.Results {
		switch r.Status {
		case http.StatusAccepted:
		case http.StatusServiceUnavailable:
			again, *last = append(again, items[i]), string(r.Error)
		default:
			return nil, fmt.Errorf("%s: %d %s", items[i], r.Status, r.Error)
		}
	}
	return again, nil
}

// settled proves that everything is where it should be: nothing is pending, Redis and
// the database agree, the sum is right, the table is the input with the changes, byte for
// byte, and so is what is read through the API once the cache is empty.
func (p *packages) settled() {
	p.t.Helper()
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"flush", func() { p.ok("flush", "--timeout", "60s") }},
		{"fsck", func() { require.Contains(p.t, p.ok("fsck"), "agree") }},
		{"table", p.sameTable},
		{"never back", p.neverBack},
		{"invalidate", func() { p.ok("invalidate", "package", "--all") }},
		{"answers", p.sameAnswers},
	} {
		began := time.Now()
		step.do()
		p.t.Logf("%s: %s", step.name, time.Since(began).Round(time.Millisecond))
	}
}

// want are the lines that the table must have, by id.
func (p *packages) want() map[string]string {
	want := make(map[string]string, len(p.lines))
	for id, line := range p.lines {
		want[id] = strings.TrimSuffix(line, "}") + `,"installs":` + strconv.Itoa(p.installs[id]) + "}"
	}
	return want
}

func (p *packages) sameTable() {
	p.t.Helper()
	p.same("the table", p.dump())
}

// same compares lines without printing all of them.
func (p *packages) same(what string, got map[string]string) {
	p.t.Helper()
	want := p.want()
	if maps.Equal(want, got) {
		return
	}
	complaints := 0
	for _, id := range slices.Sorted(maps.Keys(p.union(want, got))) {
		if want[id] != got[id] && complaints < 5 {
			complaints++
			p.t.Errorf("%s has\n%.600s\nand not\n%.600s", what, got[id], want[id])
		}
	}
	p.t.FailNow()
}

func (*packages) union(a, b map[string]string) map[string]string {
	both := maps.Clone(a)
	maps.Copy(both, b)
	return both
}

// dump reads the table as lines in the form of the input.
func (p *packages) dump() map[string]string {
	p.t.Helper()
	rows, err := p.sql.QueryContext(p.t.Context(),
		testkit.Spell(p.url,
			`SELECT name, version, section, installed_size, description, CAST(control AS text), installs FROM packages`))
	require.NoError(p.t, err)
	defer rows.Close()
	lines := map[string]string{}
	for rows.Next() {
		var id, control string
		var version, section, description sql.NullString
		var size sql.NullInt64
		var installs int64
		require.NoError(p.t, rows.Scan(&id, &version, &section, &size, &description, &control, &installs))
		lines[id] = fmt.Sprintf(`{"id":%s,"version":%s,"section":%s,"installed_size":%s,"description":%s,"control":%s,"installs":%d}`,
			jsonText(id), jsonString(version), jsonString(section), jsonInt(size), jsonString(description), control,
			installs)
	}
	require.NoError(p.t, rows.Err())
	return lines
}

func jsonString(s sql.NullString) string {
	if !s.Valid {
		return "null"
	}
	return jsonText(s.String)
}

func jsonText(s string) string {
	text, _ := jsontext.AppendQuote(nil, s) // the tests have valid UTF-8
	return string(text)
}

func jsonInt(n sql.NullInt64) string {
	if !n.Valid {
		return "null"
	}
	return strconv.FormatInt(n.Int64, 10)
}

// sameAnswers reads every package through the API.
func (p *packages) sameAnswers() {
	p.t.Helper()
	got := map[string]string{}
	missing := 0
	for ids := range slices.Chunk(p.ids, 200) {
		escaped := make([]string, len(ids))
		for i, id := range ids {
			escaped[i] = url.QueryEscape(id)
		}
		code, body := p.call(http.MethodGet, p.api, "/v1/package?ids="+strings.Join(escaped, ","), "")
		require.Equal(p.t, http.StatusOK, code, body)
		var answer struct{ Records, Missing []json.RawMessage }
		require.NoError(p.t, json.Unmarshal([]byte(body), &answer))
		missing += len(answer.Missing)
		for _, record := range answer.Records {
			id := idOfLine.FindSubmatch(record)
			require.NotNil(p.t, id, "%s", record)
			got[string(id[1])] = string(bytes.TrimSpace(record))
		}
	}
	require.Equal(p.t, len(p.ids)-len(p.lines), missing)
	p.same("the API", got)
}

// watch makes the table note each row that moves back: installs that shrink, and a
// package that was deleted and is there again.
func (p *packages) watch() {
	p.t.Helper()
	statements := []string{
		`CREATE TABLE moved_back (what text, name text, old bigint, new bigint)`,
		`CREATE TABLE buried (name text)`,
	}
	if strings.HasPrefix(p.url, "sqlite") {
		statements = append(statements,
			`CREATE TRIGGER shrunk AFTER UPDATE ON packages WHEN NEW.installs < OLD.installs
				BEGIN INSERT INTO moved_back VALUES ('shrunk', NEW.name, OLD.installs, NEW.installs); END`,
			`CREATE TRIGGER buries AFTER DELETE ON packages BEGIN INSERT INTO buried VALUES (OLD.name); END`,
			`CREATE TRIGGER returns AFTER INSERT ON packages WHEN EXISTS (SELECT 1 FROM buried WHERE name = NEW.name)
				BEGIN INSERT INTO moved_back VALUES ('returned', NEW.name, NULL, NEW.installs); END`)
	} else if strings.HasPrefix(p.url, "mysql") {
		statements = append(statements,
			`CREATE TRIGGER shrunk AFTER UPDATE ON packages FOR EACH ROW
				INSERT INTO moved_back SELECT 'shrunk', NEW.name, OLD.installs, NEW.installs FROM DUAL WHERE NEW.installs < OLD.installs`,
			`CREATE TRIGGER buries AFTER DELETE ON packages FOR EACH ROW INSERT INTO buried VALUES (OLD.name)`,
			`CREATE TRIGGER returns AFTER INSERT ON packages FOR EACH ROW
				INSERT INTO moved_back SELECT 'returned', NEW.name, NULL, NEW.installs FROM DUAL
				WHERE EXISTS (SELECT 1 FROM buried WHERE name = NEW.name)`)
	} else {
		statements = append(statements, `CREATE FUNCTION watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF TG_OP = 'DELETE' THEN INSERT INTO buried VALUES (OLD.name);
			ELSIF TG_OP = 'UPDATE' AND NEW.installs < OLD.installs THEN
				INSERT INTO moved_back VALUES ('shrunk', NEW.name, OLD.installs, NEW.installs);
			ELSIF TG_OP = 'INSERT' AND EXISTS (SELECT 1 FROM buried WHERE name = NEW.name) THEN
				INSERT INTO moved_back VALUES ('returned', NEW.name, NULL, NEW.installs);
			END IF; RETURN NULL; END $$`,
			`CREATE TRIGGER watch AFTER INSERT OR UPDATE OR DELETE ON packages FOR EACH ROW EXECUTE FUNCTION watch()`)
	}
	for _, s := range statements {
		_, err := p.sql.ExecContext(p.t.Context(), s)
		require.NoError(p.t, err, s)
	}
}

func (p *packages) neverBack() {
	p.t.Helper()
	require.Zero(p.t, p.count(`SELECT count(*) FROM moved_back`), "rows moved back")
}

func (p *packages) count(query string) (n int) {
	p.t.Helper()
	require.NoError(p.t, p.sql.QueryRowContext(p.t.Context(), query).Scan(&n))
	return n
}

// A Debian package index goes through api and worker into the table, is changed, and is
// then what the input says, byte for byte.
func TestDebianPackages(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		if os.Getenv("EXAMPLE_FILE") == "" {
			t.Parallel() // figures want the machine alone
		}
		p := openPackages(t, url)
		p.serve()
		began := time.Now()
		loaded := p.loadAll()
		p.ok("flush", "--timeout", "5m")
		stored := time.Since(began)
		t.Logf("%d packages: %.0f accepted/s, all persisted after %s, %.0f persisted/s",
			len(p.input), loaded.Rate, stored.Round(time.Millisecond), float64(len(p.input))/stored.Seconds())

		began = time.Now()
		require.NoError(t, p.send(p.changes()))
		accepted := time.Since(began)
		p.settled()
		t.Logf("%d changes: accepted in %s, %.0f/s; compared with table and API after %s", increments+deletions,
			accepted.Round(time.Millisecond), float64(increments+deletions)/accepted.Seconds(),
			time.Since(began).Round(time.Millisecond))
	})
}
