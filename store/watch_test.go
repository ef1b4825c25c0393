package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/survey"
)

var watchAll = store.Watching{Watch: []string{store.WatchAll}}

// watched is a bench whose tables are watched, with no note left.
func watched(t *testing.T, url string, entities []*schema.Entity, options ...option) *bench {
	t.Helper()
	b := open(t, url, entities, options...)
	_, err := b.Migrate(t.Context(), false, watchAll)
	require.NoError(t, err)
	for _, e := range entities {
		require.Equal(t, []string{""}, b.noted(e), "what was cached before may be old")
		b.forget(e)
	}
	return b
}

// notes are those of an entity.
func (b *bench) notes(e *schema.Entity) (own []store.Note) {
	b.t.Helper()
	all, err := b.Notes(b.t.Context(), store.Note{}, 1000)
	require.NoError(b.t, err)
	for _, n := range all {
		if n.Entity == e.Name {
			own = append(own, n)
		}
	}
	return own
}

// noted are the ids of the notes.
func (b *bench) noted(e *schema.Entity) []string {
	b.t.Helper()
	var found []string
	for _, n := range b.notes(e) {
		found = append(found, n.ID)
	}
	return found
}

func (b *bench) forget(e *schema.Entity) {
	b.t.Helper()
	require.NoError(b.t, b.ForgetNotes(b.t.Context(), e, b.notes(e)))
	require.Empty(b.t, b.notes(e))
}

func (b *bench) watch(e *schema.Entity) survey.Watch {
	b.t.Helper()
	all, err := survey.Of(b.Store).Watches(b.t.Context())
	require.NoError(b.t, err)
	for _, w := range all {
		if w.Entity == e.Name {
			return w
		}
	}
	b.t.Fatal("not watched: ", e.Name)
	return survey.Watch{}
}

// What other programs write is noted by its ids, once each; what a flush writes is not.
func TestWatchNotesWhatOthersWrite(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := watched(t, url, []*schema.Entity{e})
		require.True(t, b.watch(e).Fine())
		other := b.connect()
		defer other.Close()
		do := func(statement string) {
			t.Helper()
			_, err := other.Exec(statement)
			require.NoError(t, err)
		}

		b.flush(e, put("a", `"a@x"`, "1"), put("b", `"b@x"`, "1"))
		b.flush(e, put("a", `"c@x"`, "2"), del("b"), put("c", `"a@x"`, "3")) // some by other statements
		one := put("c", `"a@x"`, "4")
		one.Only = []int{1}
		b.flush(e, one, put("d", `"d@x"`, "1"), put("e", `"c@x"`, "1"), put("f", `"d@x"`, "1"))
		_, err := b.Through(t.Context(), e, "g", func(context.Context, schema.Row, string,
			string) (schema.Change, error) {
			return put("g", `"g@x"`, "1"), nil
		}, nil)
		require.NoError(t, err)
		require.Empty(t, b.noted(e), "a flush's own")

		do("INSERT INTO accounts (id, email, age) VALUES ('x', 'x@x', 1), ('y', 'y@x', 1)")
		do("UPDATE accounts SET age = age + 1 WHERE id IN ('a', 'x')")
		do("UPDATE accounts SET age = age + 1 WHERE id IN ('a', 'x')")
		do("DELETE FROM accounts WHERE id = 'c'")
		require.Equal(t, []string{"a", "c", "x", "y"}, b.noted(e))
		b.forget(e)
		do("UPDATE accounts SET id = 'z' WHERE id = 'y'")
		require.Equal(t, []string{"y", "z"}, b.noted(e), "the old id and the new")
		b.forget(e)

		do("BEGIN")
		do("ROLLBACK")
		require.Empty(t, b.noted(e))
		// A flush of another entity, and one that ended, leave nothing behind that hides a write.
		b.flush(e, put("a", `"c@x"`, "9"))
		do("INSERT INTO accounts (id) VALUES ('q')")
		require.Equal(t, []string{"q"}, b.noted(e))
		if b.Dialect() == "postgres" {
			do("TRUNCATE accounts")
			require.Equal(t, []string{"", "q"}, b.noted(e))
		}

		_, err = b.Migrate(t.Context(), false, store.Watching{Unwatch: []string{"account"}})
		require.NoError(t, err)
		do("INSERT INTO accounts (id) VALUES ('r')")
		require.Empty(t, b.noted(e))
		all, err := survey.Of(b.Store).Watches(t.Context())
		require.NoError(t, err)
		require.Empty(t, all)
	})
}

// An id that no record can have, and a table of notes that is gone, make no write of another
// program fail.
func TestWatchLetsOthersWrite(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		for _, id := range []schema.FieldType{schema.String, schema.Int, schema.UUID} {
			e := entity(t, "thing_"+string(id), id, schema.Field{Name: "age", Type: schema.Int})
			b := open(t, url, []*schema.Entity{e})
			if id == schema.String {
				b.exec("CREATE TABLE " + e.Table + " (id varchar(255) PRIMARY KEY, age int)")
				if b.Dialect() != "mysql" {
					b.exec("ALTER TABLE " + e.Table + " ADD COLUMN note text")
				}
			}
			_, err := b.Migrate(t.Context(), false, watchAll)
			require.NoError(t, err)
			b.forget(e)
			switch id {
			case schema.String:
				b.exec("INSERT INTO " + e.Table + " (id) VALUES (''), ('it''s \"ä\"')")
				require.Equal(t, []string{`it's "ä"`}, b.noted(e))
				if b.Dialect() == "sqlite" { // elsewhere a column is as long as it says
					b.exec("INSERT INTO "+e.Table+" (id) VALUES (?), (NULL)", strings.Repeat("x", 1025))
					require.Len(t, b.noted(e), 1)
				}
			case schema.Int:
				b.exec("INSERT INTO " + e.Table + " (id) VALUES (7), (-3)")
				require.Equal(t, []string{"-3", "7"}, b.noted(e))
			case schema.UUID:
				b.exec("INSERT INTO " + e.Table + " (id) VALUES ('0190a8f2-7c3e-7b6d-9c56-1d2e3f4a5b6c')")
				require.Equal(t, []string{"0190a8f2-7c3e-7b6d-9c56-1d2e3f4a5b6c"}, b.noted(e))
			}
			if b.Dialect() == "postgres" {
				b.exec("ALTER TABLE afterwrite_changes RENAME TO gone")
				b.exec("DELETE FROM " + e.Table)
				b.exec("ALTER TABLE gone RENAME TO afterwrite_changes")
			}
		}
	})
}

// A change that commits after the notes were read, with a lower id or of a note that was read,
// keeps its note; so nothing rests on the order of commits.
func TestWatchOutOfOrderCommits(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"mariadb":  func(t *testing.T) string { return testkit.MariaDB(t).Database(t) },
		"mysql":    func(t *testing.T) string { return testkit.MySQL(t).Database(t) },
		"postgres": func(t *testing.T) string { return testkit.Postgres(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := account(t)
			b := watched(t, url(t), []*schema.Entity{e})
			b.exec("INSERT INTO accounts (id, age) VALUES ('a', 1), ('b', 1), ('c', 1)")
			b.forget(e)
			other := b.connect()
			defer other.Close()
			early, err := other.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = early.Exec("UPDATE accounts SET age = 2 WHERE id = 'a'")
			require.NoError(t, err)
			b.exec("UPDATE accounts SET age = 2 WHERE id IN ('b', 'c')")
			read := b.notes(e)
			require.Len(t, read, 2, "the first is not committed")
			late, err := other.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			_, err = late.Exec("UPDATE accounts SET age = 3 WHERE id = 'c'")
			require.NoError(t, err)

			// Neither waits for the other.
			require.NoError(t, b.ForgetNotes(t.Context(), e, read))
			require.NoError(t, early.Commit())
			require.NoError(t, late.Commit())
			require.Equal(t, []string{"a", "c"}, b.noted(e))
			require.NoError(t, b.ForgetNotes(t.Context(), e, read), "a worker that was frozen")
			require.Equal(t, []string{"a", "c"}, b.noted(e))
			b.forget(e)
		})
	}
}

// Triggers that are gone, that do not fire or that are of an older definition are named, and
// mended by the next migration without being asked for. No process needs them to start.
func TestWatchNamesWhatIsNotInPlace(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := watched(t, url, []*schema.Entity{e})
		on := map[bool]string{true: " ON accounts"}[b.Dialect() == "postgres"]
		mended := func() {
			t.Helper()
			outstanding, err := b.Outstanding(t.Context())
			require.NoError(t, err)
			require.Empty(t, outstanding)
			done, err := b.Migrate(t.Context(), false)
			require.NoError(t, err)
			require.Equal(t, []string{"watch accounts: note what other programs write"}, done)
			require.True(t, b.watch(e).Fine())
			b.forget(e)
			b.exec("INSERT INTO accounts (id) VALUES ('a')")
			require.Equal(t, []string{"a"}, b.noted(e))
			b.exec("DELETE FROM accounts")
			b.forget(e)
		}
		names := b.triggers()
		require.NotEmpty(t, names)
		b.exec("DROP TRIGGER " + names[0] + on)
		require.Equal(t, names[:1], b.watch(e).Missing)
		mended()
		if b.Dialect() == "postgres" {
			b.exec("ALTER TABLE accounts DISABLE TRIGGER " + names[0])
			require.Equal(t, names[:1], b.watch(e).Disabled)
			mended()
			b.exec("ALTER TABLE accounts DISABLE TRIGGER ALL")
			b.exec("ALTER TABLE accounts ENABLE TRIGGER ALL")
			require.True(t, b.watch(e).Fine())
			function := strings.Join(strings.Split(names[0], "_")[:4], "_")
			b.exec("CREATE OR REPLACE FUNCTION " + function + "() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
			require.Equal(t, names, b.watch(e).Older)
			mended()
		}

		// The key has another column.
		b.exec("ALTER TABLE accounts RENAME COLUMN id TO no")
		again := &schema.Entity{Name: e.Name, Table: e.Table, ID: schema.ID{Type: schema.String, Column: "no"},
			Fields: e.Fields}
		require.NoError(t, again.Init())
		b = open(t, url, []*schema.Entity{again})
		state := b.watch(e)
		require.Equal(t, names, state.Older)
		require.Empty(t, state.Missing)
		done, err := b.Migrate(t.Context(), true)
		require.NoError(t, err)
		require.Contains(t, done, "watch accounts: note what other programs write")
		statements, err := b.MigrationSQL(t.Context())
		require.NoError(t, err)
		for _, s := range statements {
			if !strings.HasPrefix(s, "--") {
				b.exec(s)
			}
		}
		require.True(t, b.watch(e).Fine())
		b.forget(e)
		b.exec("INSERT INTO accounts (no) VALUES ('a')")
		require.Equal(t, []string{"a"}, b.noted(e))
		b.flush(again, put("a", `"a@x"`, "1"))
		b.forget(e)
		b.flush(again, put("a", `"a@x"`, "2"))
		require.Empty(t, b.noted(e))
	})
}

// triggers are the names of all triggers of the database.
func (b *bench) triggers() (names []string) {
	b.t.Helper()
	db := b.connect()
	defer db.Close()
	rows, err := db.Query(map[string]string{
		"sqlite":   "SELECT name FROM sqlite_schema WHERE type = 'trigger' ORDER BY name",
		"postgres": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname",
		"mysql":    "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY TRIGGER_NAME",
	}[b.Dialect()])
	require.NoError(b.t, err)
	defer rows.Close()
	for rows.Next() {
		var name string
		require.NoError(b.t, rows.Scan(&name))
		names = append(names, name)
	}
	require.NoError(b.t, rows.Err())
	return names
}

// Our triggers do not make a table one whose rows other programs' triggers may change, and what
// those change in another watched table is noted though a flush made them run.
func TestWatchIsNoForeignTrigger(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		log := entity(t, "entry", schema.Int, schema.Field{Name: "text", Type: schema.Text})
		b := watched(t, url, []*schema.Entity{e, log})
		for _, v := range verdicts(b) {
			require.Equal(t, "exact", string(v.Hold), v.String())
		}
		require.Empty(t, b.flush(e, put("a", `"a@x"`, "1")).Persisted[0].Row)
		for _, statement := range map[string][]string{
			"sqlite": {"CREATE TRIGGER audit AFTER UPDATE ON accounts BEGIN INSERT INTO entrys VALUES (7, 'x'); END"},
			"mysql":  {"CREATE TRIGGER audit AFTER UPDATE ON accounts FOR EACH ROW INSERT INTO entrys VALUES (7, 'x')"},
			"postgres": {"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO entrys VALUES (7, 'x'); RETURN NULL; END $$",
				"CREATE TRIGGER audit AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION f()"},
		}[b.Dialect()] {
			b.exec(statement)
		}
		unseen, err := survey.Of(b.Store).Unseen(t.Context())
		require.NoError(t, err)
		require.Empty(t, unseen, "it is watched")
		b.flush(e, put("a", `"a@x"`, "2"))
		require.Empty(t, b.noted(e))
		require.Equal(t, []string{"7"}, b.noted(log))
		b.forget(log)
		b.flush(log, put("8", `"y"`))
		b.flush(log, put("8", `"z"`))
		require.Empty(t, b.noted(log))
		_, err = b.Migrate(t.Context(), false, store.Watching{Unwatch: []string{"entry"}})
		require.NoError(t, err)
		unseen, err = survey.Of(b.Store).Unseen(t.Context())
		require.NoError(t, err)
		require.Len(t, unseen, 1)
	})
}

// A role that may write the table and nothing of ours has its writes noted.
func TestWatchNeedsNoRightsOfOthers(t *testing.T) {
	t.Parallel()
	server := testkit.DedicatedPostgres(t, false)
	url := server.Database(t)
	e := account(t)
	b := watched(t, url, []*schema.Entity{e})
	other := &bench{t: t, url: server.Role(t, url, "clerk", "secret")}
	b.exec("ALTER ROLE clerk NOSUPERUSER")
	b.exec("GRANT SELECT, INSERT, UPDATE, DELETE ON accounts TO clerk")
	db := other.connect()
	defer db.Close()
	_, err := db.Exec("INSERT INTO accounts (id) VALUES ('a')")
	require.NoError(t, err)
	_, err = db.Exec("SELECT * FROM afterwrite_changes")
	require.Error(t, err)
	require.Equal(t, []string{"a"}, b.noted(e))
}

// Behind PgBouncer in transaction mode a flush is still recognized, and the session that it had
// is no flush for the next client.
func TestWatchBehindPgBouncer(t *testing.T) {
	t.Parallel()
	direct := testkit.Postgres(t).Database(t)
	url := testkit.PgBouncer(t, direct, "")
	e := account(t)
	b := watched(t, url, []*schema.Entity{e})
	require.True(t, b.Pooled())
	other := (&bench{t: t, url: url + "&default_query_exec_mode=simple_protocol"}).connect()
	defer other.Close()
	for i := range 20 {
		b.flush(e, put(fmt.Sprint("a", i), email(i), "1"))
		require.Empty(t, b.noted(e))
		_, err := other.ExecContext(t.Context(), "UPDATE accounts SET age = age + 1")
		require.NoError(t, err)
		require.Len(t, b.noted(e), i+1)
		b.forget(e)
	}
}

// What is no entity, a key whose text depends on the session, and a table that is to be watched
// and not, are refused.
func TestWatchRefuses(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		_, err := b.Migrate(t.Context(), false, store.Watching{Watch: []string{"nobody"}})
		require.ErrorIs(t, err, schema.ErrUnknownEntity)
		_, err = b.Migrate(t.Context(), false, watchAll, store.Watching{Unwatch: []string{"account"}})
		require.ErrorContains(t, err, "account")
		require.Empty(t, b.triggers())
		if b.Dialect() != "mysql" {
			return
		}
		visit := &schema.Entity{Name: "visit", Table: "visits", ID: schema.ID{Columns: []string{"no", "at"}},
			Fields: []schema.Field{{Name: "no", Type: schema.Int}, {Name: "at", Type: schema.Time}}}
		require.NoError(t, visit.Init())
		b = open(t, url, []*schema.Entity{e, visit})
		b.exec("CREATE TABLE visits (no bigint, at timestamp(6), PRIMARY KEY (no, at))")
		_, err = b.Migrate(t.Context(), true, store.Watching{Watch: []string{"visit"}})
		require.ErrorContains(t, err, "visits cannot be watched")
		lines, err := b.Migrate(t.Context(), false, watchAll)
		require.NoError(t, err, "the others are")
		require.Contains(t, strings.Join(lines, "\n"), "note: visits cannot be watched")
		require.True(t, b.watch(e).Fine())
	})
}

// A key of several columns is noted as the one id that it is, whatever characters its parts have.
func TestWatchOfACompositeKey(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := &schema.Entity{Name: "invoice", Table: "invoices", ID: schema.ID{Columns: []string{"tenant", "no", "at"}},
			Fields: []schema.Field{{Name: "tenant", Type: schema.String, MaxLength: 40}, {Name: "no", Type: schema.Int},
				{Name: "at", Type: schema.Time}, {Name: "total", Type: schema.Int}}}
		require.NoError(t, e.Init())
		b := watched(t, url, []*schema.Entity{e})
		insert := `INSERT INTO invoices (tenant, "no", "at", total) VALUES ('a~b=7E/ä', 7, '2026-01-31 12:00:00Z', 1), ('', -1, '2026-01-31 12:00:00.5Z', 1)`
		b.exec(strings.ReplaceAll(insert, "Z'", map[string]string{"sqlite": "+00:00"}[b.Dialect()]+"'"))
		rows, err := b.List(t.Context(), e, store.Query{Limit: 10})
		require.NoError(t, err)
		require.Len(t, rows, 2)
		want := []string{}
		for _, r := range rows {
			require.Empty(t, r.Foreign)
			want = append(want, r.ID)
		}
		records := func() (found []string) {
			for _, n := range b.notes(e) {
				found = append(found, n.Record)
			}
			return found
		}
		require.ElementsMatch(t, want, records())
		b.forget(e)
		b.exec(`UPDATE invoices SET "no" = 8 WHERE "no" = 7`)
		require.Len(t, records(), 2)
		require.NotContains(t, records(), "")
		b.forget(e)
		b.flush(e, del(rows[0].ID))
		require.Empty(t, b.notes(e))
	})
}

// Transactions of other programs that change different rows do not wait for each other because of
// their notes, whether a note is there already, was just deleted or is new.
func TestWatchKeepsNobodyWaiting(t *testing.T) {
	for name, url := range map[string]func(*testing.T) string{
		"mariadb":  func(t *testing.T) string { return testkit.MariaDB(t).Database(t) },
		"mysql":    func(t *testing.T) string { return testkit.MySQL(t).Database(t) },
		"postgres": func(t *testing.T) string { return testkit.Postgres(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := account(t)
			b := watched(t, url(t), []*schema.Entity{e})
			b.exec("INSERT INTO accounts (id, age) VALUES ('a', 1), ('b', 1), ('c', 1), ('d', 1), ('e', 1)")
			other := b.connect()
			defer other.Close()
			impatient := map[string]string{"mysql": "SET SESSION innodb_lock_wait_timeout = 1",
				"postgres": "SET LOCAL lock_timeout = '1s'"}[b.Dialect()]
			for _, state := range []string{"there", "deleted"} {
				for _, ids := range [][2]string{{"b", "a"}, {"b", "c"}, {"c", "b"}, {"d", "e"}, {"a", "b"}} {
					for _, kept := range ids {
						b.exec("UPDATE accounts SET age = 2")
						if state == "deleted" {
							b.forget(e)
							b.exec("UPDATE accounts SET age = 3 WHERE id = '" + kept + "'")
						}
						one, err := other.BeginTx(t.Context(), nil)
						require.NoError(t, err)
						two, err := other.BeginTx(t.Context(), nil)
						require.NoError(t, err)
						_, err = one.Exec("UPDATE accounts SET age = age + 1 WHERE id = '" + ids[0] + "'")
						require.NoError(t, err)
						_, err = two.Exec(impatient)
						require.NoError(t, err)
						_, err = two.Exec("UPDATE accounts SET age = age + 1 WHERE id = '" + ids[1] + "'")
						require.NoError(t, err, "%s: %v, %s", state, ids, kept)
						require.NoError(t, one.Commit())
						require.NoError(t, two.Commit())
					}
				}
			}
		})
	}
}

// Rows of a partitioned table are noted, whichever partition they are written to and by whatever
// name, and what a subscription of logical replication writes.
func TestWatchOfPartitions(t *testing.T) {
	t.Parallel()
	e := entity(t, "event", schema.Int, schema.Field{Name: "text", Type: schema.Text})
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec("CREATE TABLE events (id bigint PRIMARY KEY, text text) PARTITION BY RANGE (id)")
	b.exec("CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10)")
	b.exec("CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20)")
	_, err := b.Migrate(t.Context(), false, watchAll)
	require.NoError(t, err)
	require.True(t, b.watch(e).Fine())
	b.forget(e)
	b.exec("INSERT INTO events (id) VALUES (1), (11)")
	b.exec("INSERT INTO events_1 (id) VALUES (2)")
	require.Equal(t, []string{"1", "11", "2"}, b.noted(e))
	b.forget(e)
	b.exec("UPDATE events SET id = 12 WHERE id = 1") // to the other partition
	require.Equal(t, []string{"1", "12"}, b.noted(e))
	b.forget(e)
	b.exec("CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM (20) TO (30)")
	b.exec("INSERT INTO events_3 (id) VALUES (21)")
	require.Equal(t, []string{"21"}, b.noted(e))
	b.forget(e)
	b.flush(e, put("3", `"x"`), put("12", `"y"`), del("21"))
	require.Empty(t, b.noted(e))

	db := b.connect()
	defer db.Close()
	tx, err := db.Begin()
	require.NoError(t, err)
	_, err = tx.Exec("SET LOCAL session_replication_role = replica")
	require.NoError(t, err)
	_, err = tx.Exec("UPDATE events SET text = 'z' WHERE id = 3")
	require.NoError(t, err)
	require.NoError(t, tx.Commit())
	require.Equal(t, []string{"3"}, b.noted(e))
}

// A table that another one takes the place of keeps its triggers, and on some databases their names: watching again
// makes those of the new one.
func TestWatchAfterATableWasSwapped(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int})
		b := watched(t, url, []*schema.Entity{e})
		table := e.Table
		copied := map[bool]string{true: "CREATE TABLE other LIKE " + table,
			false: "CREATE TABLE other AS SELECT * FROM " + table}[strings.HasPrefix(url, "mysql:")]
		b.exec(copied)
		b.exec("ALTER TABLE " + table + " RENAME TO formerly")
		b.exec("ALTER TABLE other RENAME TO " + table)
		if !strings.HasPrefix(url, "mysql:") {
			b.exec("CREATE UNIQUE INDEX pk ON " + table + " (id)")
		}
		require.False(t, b.watch(e).Fine())
		_, err := b.Migrate(t.Context(), false, watchAll)
		require.NoError(t, err)
		require.True(t, b.watch(e).Fine())
		b.forget(e)
		b.exec("INSERT INTO " + table + " (id) VALUES (5)")
		require.Equal(t, []string{"5"}, b.noted(e))
	})
}

// A flush of a watched table tells which of its rows other programs had changed before it.
func TestAFlushSeesTheNotesOfItsRows(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := &schema.Entity{Name: "part", ID: schema.ID{Columns: []string{"no", "branch"}}, Fields: []schema.Field{
			{Name: "no", Type: schema.Int}, {Name: "branch", Type: schema.String}, {Name: "n", Type: schema.Int}}}
		require.NoError(t, e.Init())
		alone := entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int})
		b := watched(t, url, []*schema.Entity{e, alone})
		require.Empty(t, b.flush(alone, put("1", "1"), put("2", "1")).Noted)
		odd := e.KeyID([]string{"7", `"a~="`})
		require.Empty(t, b.flush(e, put(odd, "7", `"a~="`, "1"), put("7~b", "7", `"b"`, "1")).Noted)
		b.exec("UPDATE things SET n = 5 WHERE id = 2")
		b.exec("UPDATE part SET n = 5 WHERE branch = 'a~='")
		require.Equal(t, []string{"2"}, b.flush(alone, put("1", "2"), put("2", "2")).Noted)
		require.Equal(t, []string{odd}, b.flush(e, put(odd, "7", `"a~="`, "2"), put("7~b", "7", `"b"`, "2")).Noted)
	})
}
