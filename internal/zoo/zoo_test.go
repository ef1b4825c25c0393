package zoo

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/fsck"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/catalog"
	"github.com/afterwrite/afterwrite/store/survey"
)

// TestZoo runs every operation over every specimen while a second program writes other
// columns and other rows. No column may change that nobody wrote, every read must equal its
// row after the flush, and what is refused must be named: at the start, at acceptance, or on
// the record that is held.
func TestZoo(t *testing.T) {
	t.Parallel()
	for _, s := range slices.Concat(specimens(t), onMySQL(specimens(t))) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			z := open(t, s)
			z.starts()
			if z.unfit() {
				return
			}
			z.work()
			z.listed()
			other := z.secondProgram()
			z.write()
			z.refusals()
			z.drain()
			other()
			z.again()
			z.drain()
			z.reads()
			z.untouched()
			z.checks()
		})
	}
}

// zoo is one specimen with the processes on it.
type zoo struct {
	*specimen
	t     *testing.T
	url   string // of the database, as Afterwrite connects
	db    *sql.DB
	parts *process.Parts
	api   http.Handler
	e     *schema.Entity
	logTo io.Writer // besides the test's output

	before  map[string]map[string]string // id → column → text, of all rows before anything was written
	wrote   map[string]map[string]bool   // id → columns that we wrote
	want    map[string]map[string]any    // id → field → the value that was written last
	gone    map[string]bool              // ids that we deleted
	refuses map[string]bool              // ids of refused writes
	rounds  int                          // of the second program
}

func open(t *testing.T, s *specimen) *zoo {
	var at string
	switch s.dialect() {
	case "postgres":
		at = testkit.Postgres(t).Database(t)
	case "mariadb":
		at = testkit.MariaDB(t).Database(t)
	case "mysql":
		at = testkit.MySQL(t).Database(t)
	default:
		at = testkit.SQLite(t)
	}
	z := &zoo{specimen: s, t: t, url: at, db: testkit.SQL(t, at), wrote: map[string]map[string]bool{},
		want: map[string]map[string]any{}, gone: map[string]bool{}, refuses: map[string]bool{}}
	z.exec(s.sql)
	if s.Role != "" {
		own := z.join(s.Entities) // the owner of the database migrates
		_, err := own.Store.Migrate(t.Context(), false)
		require.NoError(t, err)
		z.exec(s.Granted)
		u, err := url.Parse(at)
		require.NoError(t, err)
		u.User = url.User(s.Role)
		z.url = u.String()
	}
	return z
}

func (z *zoo) exec(statements string) {
	z.t.Helper()
	_, err := z.db.ExecContext(context.Background(), statements)
	require.NoError(z.t, err, statements)
}

// join makes the parts of a process from a configuration file.
func (z *zoo) join(entities yaml.MapSlice) *process.Parts {
	z.t.Helper()
	text, err := yaml.Marshal(map[string]any{
		"redis":    map[string]any{"url": testkit.SharedRedis(z.t).URL(), "prefix": testkit.Prefix(z.t)},
		"database": map[string]any{"url": z.url, "max_open": 4, "max_idle": 4},
		"worker":   map[string]any{"poll_interval": "5ms", "sweep_interval": "100ms"},
		"entities": entities,
	})
	require.NoError(z.t, err)
	file := filepath.Join(z.t.TempDir(), "afterwrite.yaml")
	require.NoError(z.t, os.WriteFile(file, text, 0o600))
	c, err := config.Load(file, nil)
	require.NoError(z.t, err)
	for _, e := range c.Entities {
		e.Partitions = 2
	}
	out := z.t.Output()
	if z.logTo != nil {
		out = io.MultiWriter(out, z.logTo)
	}
	log := slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	parts, err := process.Join(c, "test", log)
	require.NoError(z.t, err)
	z.t.Cleanup(parts.Close)
	return parts
}

// starts tries the entities that must not fit the table.
func (z *zoo) starts() {
	z.t.Helper()
	for _, c := range z.Start {
		parts := z.join(z.changed(c))
		_, err := parts.Store.Migrate(z.t.Context(), false)
		require.ErrorContains(z.t, err, c.Says)
	}
}

// work migrates, and starts an API and a worker.
func (z *zoo) work() {
	z.t.Helper()
	ctx := z.t.Context()
	z.parts = z.join(z.Entities)
	z.e = z.parts.Config.Entities[0]
	z.before = z.rows()
	_, err := z.parts.Store.Migrate(ctx, false)
	require.NoError(z.t, err)
	require.Equal(z.t, z.before, z.rows(), "rows after the migration")
	require.NoError(z.t, z.parts.CheckRedis(ctx))
	require.NoError(z.t, z.parts.CheckDatabase(ctx))
	require.NoError(z.t, z.parts.CheckPairing(ctx))
	z.api, err = z.parts.NewAPI(nil)
	require.NoError(z.t, err)
	working, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- z.parts.Work(working) }()
	z.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			z.t.Error(err)
		}
	})
}

// table is the table's name as a statement has it.
func (z *zoo) table() string { return `"` + strings.ReplaceAll(z.e.Table, ".", `"."`) + `"` }

// rows are all rows of the entity's table as the database spells them.
func (z *zoo) rows() map[string]map[string]string {
	z.t.Helper()
	ctx := context.Background()
	table := z.table()
	rows, err := z.db.QueryContext(ctx, "SELECT * FROM "+table+" WHERE 1 = 0")
	require.NoError(z.t, err)
	names, err := rows.Columns()
	require.NoError(z.t, err)
	require.NoError(z.t, rows.Close())
	keys := z.e.KeyColumns()
	shown := make([]string, 0, len(keys)+len(names))
	for i, name := range append(slices.Clone(keys), names...) {
		text := map[string]string{"postgres": `"%s"::text`, "mariadb": `CAST("%s" AS BINARY)`, "mysql": `CAST("%s" AS BINARY)`,
			"sqlite": `CAST("%s" AS TEXT)`}[z.dialect()]
		switch {
		case i >= len(keys) && z.dialect() == "sqlite":
			text = `quote("%s")`
		case i < len(keys) && z.e.ID.Composite() && z.dialect() == "postgres":
			text = `to_json("%s") #>> '{}'` // of a time in the form of a request
		}
		shown = append(shown, fmt.Sprintf(text, name))
	}
	found, err := z.db.QueryContext(ctx, "SELECT "+strings.Join(shown, ", ")+" FROM "+table)
	require.NoError(z.t, err)
	defer found.Close()
	all := map[string]map[string]string{}
	for found.Next() {
		texts, to := make([]sql.NullString, len(shown)), make([]any, len(shown))
		for i := range texts {
			to[i] = &texts[i]
		}
		require.NoError(z.t, found.Scan(to...))
		row := map[string]string{}
		for i, name := range names {
			row[name] = "NULL"
			if texts[len(keys)+i].Valid {
				row[name] = texts[len(keys)+i].String
			}
		}
		all[z.id(texts[:len(keys)])] = row
	}
	require.NoError(z.t, found.Err())
	return all
}

// id is the id of a row, of the texts of its key's columns.
func (z *zoo) id(texts []sql.NullString) string {
	z.t.Helper()
	if !z.e.ID.Composite() {
		return texts[0].String
	}
	parts := make([]string, len(texts))
	for i, text := range texts {
		part, err := json.Marshal(text.String)
		require.NoError(z.t, err)
		parts[i] = string(part)
	}
	id, err := z.e.CanonicalID(z.e.KeyID(parts))
	require.NoError(z.t, err)
	return id
}

// call is one request. It returns the status and the document.
func (z *zoo) call(method, path string, body any, header ...string) (int, map[string]any) {
	z.t.Helper()
	var text []byte
	if body != nil {
		var err error
		text, err = json.Marshal(body)
		require.NoError(z.t, err)
	}
	r := httptest.NewRequestWithContext(z.t.Context(), method, "http://127.0.0.1"+path, bytes.NewReader(text))
	r.RemoteAddr = "127.0.0.1:1"
	if body != nil {
		r.Header.Set("Content-Type", map[bool]string{true: "application/merge-patch+json",
			false: "application/json"}[method == http.MethodPatch])
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	z.api.ServeHTTP(w, r)
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	var document map[string]any
	_ = d.Decode(&document)
	return w.Code, document
}

// path is where a record is, or what is under it: ids have all characters.
func (z *zoo) path(id, under string) string {
	return "/v1/" + z.e.Name + "/-" + under + "?id=" + url.QueryEscape(id)
}

// accept sends a write that must be accepted, and notes what it wrote.
func (z *zoo) accept(method, id, under string, body map[string]any) map[string]any {
	z.t.Helper()
	var sent any
	if body != nil {
		sent = body
	}
	status, answer := z.call(method, z.path(id, under), sent)
	require.Equal(z.t, http.StatusAccepted, status, "%s %s: %v", method, id, answer)
	return answer
}

// listed checks the first list: every row of the table is in it, or named.
func (z *zoo) listed() {
	z.t.Helper()
	status, page := z.call(http.MethodGet, "/v1/"+z.e.Name+"?limit=1000", nil)
	require.Equal(z.t, http.StatusOK, status, page)
	seen := map[string]bool{}
	for _, one := range page["records"].([]any) {
		id := fmt.Sprint(one.(map[string]any)["id"])
		require.False(z.t, seen[id], "listed twice: %s", id)
		seen[id] = true
	}
	named := fmt.Sprint(page["foreign"])
	for id := range z.before {
		if slices.Contains(z.Hidden, id) {
			require.False(z.t, seen[id], "hidden: %s", id)
			continue
		}
		if slices.Contains(z.Strange, id) {
			require.Contains(z.t, named, id)
			continue
		}
		if column := z.Foreign[id]; column != "" {
			require.Contains(z.t, named, column)
			require.Contains(z.t, named, id)
			continue
		}
		require.True(z.t, seen[id], "not listed: %s", id)
	}
}

// readable are the ids of the rows that were there and are no subject of another check.
func (z *zoo) readable() []string {
	var ids []string
	for id := range z.before {
		refuse := slices.ContainsFunc(z.Refused, func(r refused) bool { return r.ID == id })
		if !refuse && !slices.Contains(slices.Concat(z.Strange, z.Hidden, z.Kept), id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// secondProgram writes its own columns and rows until the function returned is called, which
// returns after a round that began then.
func (z *zoo) secondProgram() (end func()) {
	if len(z.Other) == 0 && z.Insert == "" {
		return func() {}
	}
	stop, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for last := false; ; {
			select {
			case <-stop:
				last = true
			default:
			}
			if z.rounds < 40 || last {
				z.rounds++
				if err := z.round(z.rounds); err != nil || last {
					ended <- err
					return
				}
			} else {
				<-stop
				last = true
			}
		}
	}()
	return func() {
		z.t.Helper()
		close(stop)
		require.NoError(z.t, <-ended)
	}
}

func (z *zoo) round(n int) error {
	number := func(text string) string { return strings.ReplaceAll(text, "{n}", fmt.Sprint(n)) }
	var statements []string
	if z.Insert != "" {
		statements = append(statements, number(z.Insert))
	}
	for column, expression := range z.Other {
		statements = append(statements, fmt.Sprintf("UPDATE %s SET %s = %s", z.table(), column, number(expression)))
	}
	for _, statement := range statements {
		_, err := z.db.ExecContext(context.Background(), statement)
		for again := 0; err != nil && transient(err) && again < 100; again++ {
			_, err = z.db.ExecContext(context.Background(), statement)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

// transient reports that the database undid a statement for another one's sake.
func transient(err error) bool {
	text := err.Error()
	return strings.Contains(text, "deadlock") || strings.Contains(text, "Deadlock") ||
		strings.Contains(text, "could not serialize") ||
		strings.Contains(text, "Record has changed")
}

// others reports whether a column is the second program's.
func (z *zoo) others(column string) bool { return z.Other[column]+z.Other[`"`+column+`"`] != "" }

// changes reports whether the second program changes a column since the ack of a record: by
// itself, or as the table moves the column with each write.
func (z *zoo) changes(column string) bool {
	return z.others(column) || len(z.Other) > 0 && slices.Contains(z.Moved, column)
}

// again patches every record once more, after the last write of the second program: what that
// wrote must stay, though the cache has what was there before.
func (z *zoo) again() {
	z.t.Helper()
	for _, field := range slices.Sorted(maps.Keys(z.Values)) {
		for _, id := range z.readable() {
			i, _ := z.e.Field(field)
			if z.gone[id] || z.Foreign[id] == z.e.Fields[i].Column {
				continue
			}
			value := z.Values[field][0]
			if text, ok := value.(string); ok {
				value = strings.ReplaceAll(text, "{id}", id)
			}
			patch := map[string]any{field: value}
			z.accept(http.MethodPatch, id, "", patch)
			z.note(id, patch)
		}
		return
	}
}

// note remembers what a write gave its record.
func (z *zoo) note(id string, fields map[string]any) {
	if z.wrote[id] == nil {
		z.wrote[id], z.want[id] = map[string]bool{}, map[string]any{}
	}
	for name, value := range fields {
		i, ok := z.e.Field(name)
		require.True(z.t, ok, "%s is no field", name)
		z.wrote[id][strings.ToLower(z.e.Fields[i].Column)], z.want[id][name] = true, value
	}
}

// write gives each record every value, one patch and one increment at a time, then whole
// records, then deletions.
func (z *zoo) write() {
	z.t.Helper()
	fields := slices.Sorted(maps.Keys(z.Values))
	for n, id := range z.readable() {
		if slices.Contains(z.Delete, id) {
			continue
		}
		for _, field := range fields {
			if i, _ := z.e.Field(field); z.Foreign[id] == z.e.Fields[i].Column {
				continue
			}
			for i := range z.Values[field] {
				value := z.Values[field][(n+i)%len(z.Values[field])]
				if text, ok := value.(string); ok {
					value = strings.ReplaceAll(text, "{id}", id)
				}
				patch := map[string]any{field: value}
				z.accept(http.MethodPatch, id, "", patch)
				z.note(id, patch)
			}
		}
		if foreign := z.Foreign[id]; foreign == "" {
			z.increment(id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(z.Put)) {
		record := maps.Clone(z.Put[id])
		z.accept(http.MethodPut, id, "", record)
		for i, f := range z.e.Fields {
			if _, given := record[f.Name]; !given && !slices.Contains(z.e.Key(), i) {
				record[f.Name] = json.RawMessage(cmp.Or(f.Default, schema.Null))
			}
		}
		z.note(id, record)
	}
	for _, id := range z.Delete {
		z.accept(http.MethodDelete, id, "", nil)
		z.gone[id] = true
	}
}

// increment adds to each counter, which must tell the sum.
func (z *zoo) increment(id string) {
	z.t.Helper()
	for _, field := range z.Increment {
		answer := z.accept(http.MethodPost, id, "/increment", map[string]any{field: 3})
		values, ok := answer["values"].(map[string]any)
		if !ok {
			values, ok = answer["fields"].(map[string]any)
		}
		require.True(z.t, ok, "%v", answer)
		z.note(id, map[string]any{field: values[field]})
	}
}

// refusals sends the writes that are not persisted, and waits for the word on each.
func (z *zoo) refusals() {
	z.t.Helper()
	for _, r := range z.Refused {
		z.refuses[r.ID] = true
		method, under := map[string]string{"put": http.MethodPut, "patch": http.MethodPatch,
			"delete": http.MethodDelete, "increment": http.MethodPost}[r.Op], ""
		require.NotEmpty(z.t, method, r.Op)
		if r.Op == "increment" {
			under = "/increment"
		}
		var body any
		if r.Fields != nil {
			body = r.Fields
		}
		status, answer := z.call(method, z.path(r.ID, under), body, "Prefer", "wait=30")
		text, err := json.Marshal(answer)
		require.NoError(z.t, err)
		require.GreaterOrEqual(z.t, status, 400, "%s %s %v: %s", r.Op, r.ID, r.Fields, text)
		require.Less(z.t, status, 500, "%s", text)
		require.Contains(z.t, string(text), r.Says)
	}
}

// drain waits until nothing is pending, and checks that nothing but the refused is held.
func (z *zoo) drain() {
	z.t.Helper()
	var total pending.Stats
	testkit.Eventually(z.t, "nothing is pending", func() bool {
		stats, err := z.parts.Pending.Stats(z.t.Context(), z.e)
		require.NoError(z.t, err)
		total = pending.Total(stats)
		return total.Pending == 0
	})
	for p := range z.e.Partitions {
		for _, status := range []schema.Status{schema.Held, schema.Dead} {
			list, err := z.parts.Pending.List(z.t.Context(), z.e, p, status, 0, 100)
			require.NoError(z.t, err)
			for _, one := range list {
				if !z.refuses[one.ID] {
					state, err := z.parts.Cache.Status(z.t.Context(), z.e, one.ID)
					require.NoError(z.t, err)
					require.Fail(z.t, "refused", "%s is %s: %+v", one.ID, status, state.Refusal)
				}
			}
		}
	}
}

// reads checks each record against its row and what was written last: as cached, and read
// again after it was dropped from the cache. fsck must agree.
func (z *zoo) reads() {
	z.t.Helper()
	ctx := z.t.Context()
	spelled := z.spelled()
	for _, pass := range []string{"cached", "read again"} {
		for id, want := range z.want {
			if z.gone[id] || z.refuses[id] {
				continue
			}
			row, err := z.parts.Store.Load(ctx, z.e, []string{id})
			require.NoError(z.t, err)
			require.Contains(z.t, row, id, "no row")
			read, err := z.parts.Cache.Get(ctx, z.e, id)
			require.NoError(z.t, err)
			for i, f := range z.e.Fields {
				// What others wrote is read when the record is loaded again.
				if pass == "cached" && z.changes(f.Column) {
					continue
				}
				require.Equal(z.t, row[id][i], read.Values[i], "%s, %s.%s: the read is not the row", pass, id, f.Name)
			}
			for name, value := range want {
				i, _ := z.e.Field(name)
				if spelled[name] || spelled[""] || z.others(z.e.Fields[i].Column) {
					continue
				}
				raw, err := json.Marshal(value)
				require.NoError(z.t, err)
				text, err := z.e.Fields[i].Canonical(json.RawMessage(raw))
				require.NoError(z.t, err)
				require.Equal(z.t, text, row[id][i], "%s, %s.%s is not what was written", pass, id, name)
			}
		}
		for id := range z.gone {
			status, _ := z.call(http.MethodGet, z.path(id, ""), nil)
			require.Equal(z.t, http.StatusNotFound, status, "deleted: %s", id)
		}
		report, err := fsck.Run(ctx, z.parts.Cache, z.parts.Pending, z.parts.Store, z.parts.Config.Entities,
			fsck.Options{})
		require.NoError(z.t, err)
		stale := pass == "cached" && slices.ContainsFunc(z.e.Fields,
			func(f schema.Field) bool { return z.changes(f.Column) })
		require.True(z.t, stale || report.OK(), "%s: fsck: %+v", pass, report)
		_, err = z.parts.Cache.Invalidate(ctx, z.e, slices.Collect(maps.Keys(z.want)))
		require.NoError(z.t, err)
	}
	z.ranked()
}

// spelled are the fields of which the database has the last word; "" is all of them.
func (z *zoo) spelled() map[string]bool {
	z.t.Helper()
	verdicts, err := survey.Of(z.parts.Store.Store).Verdicts(z.t.Context())
	require.NoError(z.t, err)
	names := map[string]bool{}
	for _, v := range verdicts {
		if v.Entity == z.e.Name && v.Hold == catalog.Database {
			names[v.Field] = true
		}
	}
	return names
}

// ranked checks that the rank has the records in the order of their rows.
func (z *zoo) ranked() {
	z.t.Helper()
	if z.e.RankBy == "" {
		return
	}
	rows, err := z.parts.Store.List(z.t.Context(), z.e, store.Query{Limit: 1000})
	require.NoError(z.t, err)
	i, _ := z.e.Field(z.e.RankBy)
	scores := map[string]string{}
	for _, row := range rows {
		if row.Foreign == "" && row.Values[i] != schema.Null {
			scores[row.ID] = row.Values[i]
		}
	}
	testkit.Eventually(z.t, "the rank is complete", func() bool {
		complete, err := rank.New(z.parts.Cache).Complete(z.t.Context(), z.e, rank.ByValues)
		require.NoError(z.t, err)
		return complete
	})
	status, page := z.call(http.MethodGet, "/v1/"+z.e.Name+"?top=5", nil)
	require.Equal(z.t, http.StatusOK, status, page)
	for _, one := range page["records"].([]any) {
		record := one.(map[string]any)
		require.Equal(z.t, scores[fmt.Sprint(record["id"])], fmt.Sprint(record[z.e.RankBy]), record)
	}
	require.NotEmpty(z.t, page["records"])
}

// untouched checks that every column of every row is as it was, where neither we, nor the
// second program, nor the table itself wrote it.
func (z *zoo) untouched() {
	z.t.Helper()
	after := z.rows()
	for id, row := range z.before {
		now, ok := after[id]
		if z.gone[id] {
			require.False(z.t, ok, "the row %s was deleted", id)
			continue
		}
		require.True(z.t, ok, "the row %s is gone", id)
		for column, text := range row {
			if z.wrote[id][strings.ToLower(column)] || slices.Contains(z.Moved, column) || z.others(column) {
				continue
			}
			require.Equal(z.t, text, now[column], "%s.%s changed, and nobody wrote it", id, column)
		}
	}
	for column, expression := range z.Other {
		if z.dialect() == "mysql" {
			column = "CAST(" + column + " AS char)" // its json is no text
		}
		query := fmt.Sprintf("SELECT count(*) FROM %s WHERE %s <> %s", z.table(), column,
			strings.ReplaceAll(expression, "{n}", fmt.Sprint(z.rounds)))
		var differ int
		require.NoError(z.t, z.db.QueryRowContext(z.t.Context(), query).Scan(&differ), query)
		require.Zero(z.t, differ, "rows whose %s is not what the second program wrote last", column)
	}
}

// checks asks the database what the specimen's own program would expect of it.
func (z *zoo) checks() {
	z.t.Helper()
	for _, query := range z.Check {
		var ok bool
		require.NoError(z.t, z.db.QueryRowContext(z.t.Context(),
			strings.ReplaceAll(query, "{n}", fmt.Sprint(z.rounds))).Scan(&ok), query)
		require.True(z.t, ok, query)
	}
}
