package zoo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// change is one that an owner makes to a table in use. Where breaks names words, no record, or no new row, can be
// written until the table is fixed, and the worker must log a line with these words.
type change struct {
	name      string
	make, fix []string
	breaks    string
}

// changes are those of each database, in its own words.
func changes(dialect string) []change {
	all := []change{
		{name: "a column is added", make: []string{`ALTER TABLE items ADD COLUMN more text`}},
		{name: "and dropped", make: []string{`ALTER TABLE items DROP COLUMN more`}},
		{name: "a column is renamed", breaks: "note",
			make: []string{`ALTER TABLE items RENAME COLUMN note TO remark`},
			fix:  []string{`ALTER TABLE items RENAME COLUMN remark TO note`}},
		{name: "the table is renamed", breaks: "items",
			make: []string{`ALTER TABLE items RENAME TO elsewhere`},
			fix:  []string{`ALTER TABLE elsewhere RENAME TO items`}},
		{name: "an index is built", make: []string{`CREATE INDEX items_note ON items (name)`}},
	}
	if dialect != "sqlite" {
		all = append(all, []change{
			{name: "new rows need a column", breaks: "must",
				make: []string{`ALTER TABLE items ADD must int NOT NULL DEFAULT 0`, `ALTER TABLE items ALTER must DROP DEFAULT`},
				fix:  []string{`ALTER TABLE items ALTER must SET DEFAULT 1`}},
			{name: "a constraint is added", make: []string{`ALTER TABLE items ADD CONSTRAINT counts CHECK (n >= 0)`}},
			{name: "and dropped", make: []string{`ALTER TABLE items DROP CONSTRAINT counts`}},
		}...)
	}
	switch dialect {
	case "postgres":
		all = append(all, []change{
			{name: "a column is wider", make: []string{`ALTER TABLE items ALTER name TYPE varchar(400)`}},
			{name: "a column has another type", breaks: "items",
				make: []string{`ALTER TABLE items ALTER n TYPE double precision`},
				fix:  []string{`ALTER TABLE items ALTER n TYPE bigint`}},
			{name: "the primary key is dropped", breaks: "items",
				make: []string{`ALTER TABLE items DROP CONSTRAINT items_pkey`},
				fix:  []string{`ALTER TABLE items ADD PRIMARY KEY (id)`}},
			{name: "a trigger is broken", breaks: "missing",
				make: []string{
					`CREATE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.missing := 1; RETURN NEW; END'`,
					`CREATE TRIGGER touched BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touched()`},
				fix: []string{
					`CREATE OR REPLACE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`}},
			{name: "another table takes its place", make: []string{`
				LOCK TABLE items IN ACCESS EXCLUSIVE MODE;
				CREATE TABLE another (LIKE items INCLUDING ALL);
				INSERT INTO another SELECT * FROM items;
				DROP TABLE items;
				ALTER TABLE another RENAME TO items`}},
		}...)
	case "mariadb":
		all = append(all, []change{
			{name: "a column is wider", make: []string{`ALTER TABLE items MODIFY name varchar(400) COLLATE utf8mb4_bin NOT NULL`}},
			{name: "a column has another type", breaks: "items",
				make: []string{`ALTER TABLE items MODIFY n double NOT NULL DEFAULT 0`},
				fix:  []string{`ALTER TABLE items MODIFY n bigint NOT NULL DEFAULT 0`}},
			{name: "the primary key is dropped", breaks: "items",
				make: []string{`ALTER TABLE items DROP PRIMARY KEY`},
				fix:  []string{`ALTER TABLE items ADD PRIMARY KEY (id)`}},
			{name: "triggers are broken", breaks: "missing",
				make: []string{
					`CREATE TRIGGER made BEFORE INSERT ON items FOR EACH ROW INSERT INTO missing VALUES (1)`,
					`CREATE TRIGGER touched BEFORE UPDATE ON items FOR EACH ROW INSERT INTO missing VALUES (1)`},
				fix: []string{`DROP TRIGGER made`, `DROP TRIGGER touched`}},
			{name: "another table takes its place", breaks: "items",
				make: []string{`RENAME TABLE items TO former`, `CREATE TABLE another LIKE former`,
					`INSERT INTO another SELECT * FROM former`, `DROP TABLE former`},
				fix: []string{`RENAME TABLE another TO items`}},
		}...)
	default:
		replaced := func(columns string) string { // the way SQLite's manual gives, in one transaction
			return `BEGIN IMMEDIATE;
				CREATE TABLE another (` + columns + `);
				INSERT INTO another SELECT id, name, n, note, theirs FROM items;
				DROP TABLE items;
				ALTER TABLE another RENAME TO items;
				COMMIT`
		}
		asBefore := replaced(sqliteColumns)
		all = append(all, []change{
			{name: "another table takes its place", make: []string{asBefore}},
			{name: "a column has another type", breaks: "items",
				make: []string{replaced(strings.Replace(sqliteColumns, "n bigint NOT NULL DEFAULT 0", "n real NOT NULL DEFAULT 0", 1))},
				fix:  []string{asBefore}},
			{name: "the primary key is dropped", breaks: "items",
				make: []string{replaced(strings.Replace(sqliteColumns, "PRIMARY KEY", "NOT NULL", 1))},
				fix:  []string{asBefore}},
			{name: "triggers are broken", breaks: "missing",
				make: []string{
					`CREATE TRIGGER made BEFORE INSERT ON items BEGIN INSERT INTO missing VALUES (1); END`,
					`CREATE TRIGGER touched BEFORE UPDATE ON items BEGIN INSERT INTO missing VALUES (1); END`},
				fix: []string{`DROP TRIGGER made`, `DROP TRIGGER touched`}},
		}...)
	}
	return all
}

const sqliteColumns = `id bigint PRIMARY KEY, name varchar(40) NOT NULL, n bigint NOT NULL DEFAULT 0, note text, theirs text`

// TestTableChangesUnderLoad changes the table of an entity while writers write it: nothing may be lost or die, and all
// must go on by itself, after the fix where a change breaks the table.
func TestTableChangesUnderLoad(t *testing.T) {
	t.Parallel()
	for _, dialect := range []string{"sqlite", "postgres", "mariadb"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			columns := sqliteColumns
			if dialect == "mariadb" {
				columns = strings.ReplaceAll(strings.ReplaceAll(columns, "varchar(40)", "varchar(40) COLLATE utf8mb4_bin"),
					"note text", "note text COLLATE utf8mb4_bin")
			}
			z := open(t, &specimen{name: dialect + "/changes", Entities: itemEntity(t), sql: `CREATE TABLE items (` + columns + `)`})
			z.exec(`INSERT INTO items (id, name, n, note, theirs) VALUES (1, 'a', 5, 'x', 'mine'), (2, 'b', 0, NULL, 'mine')`)
			var log lines
			z.logTo = &log
			z.work()
			l := &load{zoo: z}
			l.start()
			for _, c := range changes(dialect) {
				l.proceed()
				from := log.end()
				for _, statement := range c.make {
					z.alter(statement)
				}
				if c.breaks != "" {
					testkit.Eventually(t, c.name+": it is told", func() bool { return log.has(from, c.breaks) })
					l.proceed()
					for _, statement := range c.fix {
						z.alter(statement)
					}
				}
				l.settles(c.name)
			}
			l.end()
			l.settles("the end")
			z.db = testkit.SQL(t, z.url) // the old connections have plans of the former table
			z.drain()
			z.reads()
			z.untouched()
		})
	}
}

func itemEntity(t *testing.T) yaml.MapSlice {
	t.Helper()
	var entities yaml.MapSlice
	require.NoError(t, yaml.UnmarshalWithOptions([]byte(`
item:
  table: items
  id: {type: int}
  fields:
    name: {type: string, max: 40, required: true}
    n: {type: int, default: 0}
    note: {type: string}
`), &entities, yaml.UseOrderedMap()))
	return entities
}

// alter changes the table, again where the database undoes that for another's sake.
func (z *zoo) alter(statement string) {
	z.t.Helper()
	testkit.Eventually(z.t, statement, func() bool {
		_, err := z.db.ExecContext(context.Background(), statement)
		if err != nil && z.dialect() == "sqlite" && strings.HasPrefix(statement, "BEGIN") {
			_, _ = z.db.ExecContext(context.Background(), "ROLLBACK")
		}
		if err != nil && !transient(err) && !strings.Contains(err.Error(), "locked") {
			require.NoError(z.t, err, statement)
		}
		return err == nil
	})
}

// load is writers that each have ids of their own, so that what a record must have is known.
type load struct {
	*zoo
	mu       sync.Mutex
	accepted int
	stop     context.CancelFunc
	writers  sync.WaitGroup
}

func (l *load) start() {
	var ctx context.Context
	ctx, l.stop = context.WithCancel(l.t.Context())
	l.t.Cleanup(l.end)
	for w := range 3 {
		l.writers.Add(1)
		go func() {
			defer l.writers.Done()
			l.write(ctx, w)
		}()
	}
}

func (l *load) end() {
	l.stop()
	l.writers.Wait()
}

// write writes records of one writer, some of them new.
func (l *load) write(ctx context.Context, w int) {
	pace := time.NewTicker(4 * time.Millisecond)
	defer pace.Stop()
	known := 1
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		id := fmt.Sprint(1 + w + 3*rand.IntN(min(known, 15)))
		if rand.IntN(12) == 0 { // a new one
			id = fmt.Sprint(1 + w + 3*known)
			known++
			l.send(http.MethodPut, id, map[string]any{"name": "new " + id, "note": nil})
			continue
		}
		switch rand.IntN(4) {
		case 0:
			l.send(http.MethodPut, id, map[string]any{"name": fmt.Sprint("put ", rand.IntN(1000)),
				"n": rand.IntN(1000), "note": fmt.Sprint(rand.IntN(1000))})
		case 1:
			l.send(http.MethodPatch, id, map[string]any{"name": fmt.Sprint("patched ", rand.IntN(1000))})
		case 2:
			l.send(http.MethodPatch, id, map[string]any{"note": fmt.Sprint(rand.IntN(1000))})
		default:
			l.send(http.MethodPost, id, map[string]any{"n": 1})
		}
	}
}

// send sends one write. What is accepted is noted; a record that is not known and cannot be read now is not accepted.
func (l *load) send(method, id string, fields map[string]any) {
	under := ""
	if method == http.MethodPost {
		under = "/increment"
	}
	status, answer := l.call(method, l.path(id, under), fields)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case status == http.StatusAccepted:
		l.accepted++
	case status == 499, status == http.StatusServiceUnavailable,
		status == http.StatusNotFound && method != http.MethodPut:
		return
	default:
		l.t.Errorf("%s %s %v: %d %v", method, id, fields, status, answer)
		return
	}
	if method == http.MethodPut {
		if fields["n"] == nil {
			fields["n"] = 0
		}
	} else if method == http.MethodPost {
		values, ok := answer["fields"].(map[string]any)
		if !ok {
			l.t.Errorf("increment %s: %v", id, answer)
			return
		}
		fields = map[string]any{"n": values["n"]}
	}
	l.note(id, fields)
}

// proceed waits until more writes have been accepted.
func (l *load) proceed() {
	l.t.Helper()
	l.mu.Lock()
	from := l.accepted
	l.mu.Unlock()
	testkit.Eventually(l.t, "writes are accepted", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.accepted > from+40
	})
}

// settles waits until what has been accepted so far is persisted: no record waits since before.
func (l *load) settles(when string) {
	l.t.Helper()
	from := time.Now()
	var total pending.Stats
	testkit.Eventually(l.t, when+": all is persisted", func() bool {
		stats, err := l.parts.Pending.Stats(l.t.Context(), l.e)
		require.NoError(l.t, err)
		total = pending.Total(stats)
		require.Zero(l.t, total.Dead, "%s: dead records: %+v", when, l.refusals())
		return total.Held == 0 && (total.Pending == 0 || total.OldestPending.After(from))
	})
}

// refusals are the reasons of the records that are held or dead.
func (l *load) refusals() (all []string) {
	for p := range l.e.Partitions {
		for _, status := range []schema.Status{schema.Held, schema.Dead} {
			list, err := l.parts.Pending.List(l.t.Context(), l.e, p, status, 0, 5)
			require.NoError(l.t, err)
			for _, one := range list {
				state, err := l.parts.Cache.Status(l.t.Context(), l.e, one.ID)
				require.NoError(l.t, err)
				all = append(all, fmt.Sprintf("%s %s: %+v", status, one.ID, state.Refusal))
			}
		}
	}
	return all
}

// lines is a log that is kept.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) end() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Len()
}

func (l *lines) has(from int, words string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.text.String()[from:], words)
}
