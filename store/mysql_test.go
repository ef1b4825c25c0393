package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

// TestI8MySQLTellsTextsApart: keys and unique values that differ in case, accents, blanks at
// the end or composition are different ones, and every text comes back as it was.
func TestI8MySQLTellsTextsApart(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		var changes []schema.Change
		want := map[string]schema.Values{}
		for i, text := range []string{
			"A", "a", "A ", "\u00e9", "e\u0301", "e", "ß", "ss", "İ", "i", "😀", "😁", "'", "\\", "\\'", "\"", "`", "%", "\t",
			"a\n", "a\\n", "$[0]", "null", "\u2028",
		} {
			c := put(text, quoted(text+"@x"), fmt.Sprint(i))
			changes, want[text] = append(changes, c), c.Values
		}
		for range 2 { // inserted, then updated
			require.Empty(t, b.flush(e, changes...).Refused)
			require.Equal(t, want, b.load(e, ids(changes)...))
		}
		rows, err := b.List(t.Context(), e, store.Query{Equal: map[int]string{0: `"a@x"`}})
		require.NoError(t, err)
		require.Len(t, rows, 1)
		require.Equal(t, "a", rows[0].ID)
		b.flush(e, del("A "))
		require.Len(t, b.load(e, ids(changes)...), len(changes)-1)
	})
}

func quoted(s string) string {
	f := schema.Field{Name: "x", Type: schema.Text}
	text, err := f.Encode(s)
	if err != nil {
		panic(err)
	}
	return text
}

// TestMySQLOverwritesNoOtherRow: a table whose only unique key is the id's is written by ON
// DUPLICATE KEY UPDATE. Another key that is made behind its back is hit, and nothing is
// overwritten.
func TestMySQLOverwritesNoOtherRow(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := entity(t, "plain", schema.String, schema.Field{Name: "email", Type: schema.String, MaxLength: 99},
			schema.Field{Name: "n", Type: schema.Int})
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("a", `"a@x"`, "1"))
		b.exec("CREATE UNIQUE INDEX other ON plains (email)")
		_, err := b.Flush(t.Context(), e, 0, batch(put("b", `"a@x"`, "2"), put("c", `"c@x"`, "3")))
		require.NoError(t, err, "a refusal, or what was found out in time")
		require.Equal(t, map[string]schema.Values{"a": {`"a@x"`, "1"}, "c": {`"c@x"`, "3"}}, b.load(e, "a", "b", "c"))
		testkit.Eventually(t, "the key is noticed", func() bool {
			flushed, err := b.Flush(t.Context(), e, 0, batch(put("b", `"a@x"`, "2"), put("a", `"a@x"`, "5")))
			require.NoError(t, err)
			require.Len(t, flushed.Persisted, 1)
			require.Equal(t, schema.Values{`"a@x"`, "5"}, b.load(e, "a")["a"])
			return flushed.Refused[0].Refusal.Kind == schema.KindUnique && flushed.Refused[0].Refusal.Constraint == "other"
		})
	})
}

// TestMySQLLooksForRowsOnce: after the refusal of one new record its neighbours, which had no row
// a moment ago, are inserted without another look.
func TestMySQLLooksForRowsOnce(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("owner", `"taken"`, "0"))
		updates := 0
		made := b.faults.Inject(testkit.Refuse, func(statement string) bool {
			if strings.Contains(statement, "UPDATE JSON_TABLE") {
				updates++
			}
			return false
		})
		defer made.Release()
		changes := append(accounts(10), put("thief", `"taken"`, "1"))
		flushed := b.flush(e, changes...)
		require.Equal(t, []string{"thief"}, refusedIDs(flushed))
		require.Len(t, b.load(e, "owner", changes[0].ID, changes[9].ID), 3)
		require.Equal(t, 1, updates)
	})
}

// TestMySQLFreesAFrozenHolder: where the server does not end idle transactions, as MySQL, the
// next flush ends the connection that holds the fence.
func TestMySQLFreesAFrozenHolder(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := account(t)
		short := func(c *store.Config) {
			c.LockTimeout, c.IdleInTransaction = time.Second, time.Second
			if !testkit.OnMySQL(c.URL) {
				c.URL += "?idle_transaction_timeout=0"
			}
		}
		frozen, other := setup(t, url, []*schema.Entity{e}, short), open(t, url, []*schema.Entity{e}, short)
		f, err := frozen.Begin(t.Context(), e, 0)
		require.NoError(t, err)
		defer f.Rollback()
		testkit.Eventually(t, "the fence is free", func() bool {
			_, err := other.Flush(t.Context(), e, 0, batch(put("a", email(1), "2")))
			return err == nil
		})
		_, err = f.Write(t.Context(), []schema.Change{put("a", email(1), "1")})
		require.True(t, fault.Unavailable(err), "%v", err)
		require.Equal(t, schema.Values{email(1), "2"}, other.load(e, "a")["a"])
	})
}

// TestMySQLFreesAFenceFromAStatement: where the server does not bound what a statement takes, as
// MySQL where it writes, the next flush ends the connection whose statement hangs.
func TestMySQLFreesAFenceFromAStatement(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := account(t)
		short := func(c *store.Config) {
			c.LockTimeout, c.StatementTimeout = time.Second, time.Second
			if !testkit.OnMySQL(c.URL) {
				c.URL += "?max_statement_time=0"
			}
		}
		hanging, other := setup(t, url, []*schema.Entity{e}, short), open(t, url, []*schema.Entity{e}, short)
		hanging.exec("CREATE TRIGGER hang BEFORE INSERT ON accounts FOR EACH ROW SET @slept = SLEEP(600)")
		f, err := hanging.Begin(t.Context(), e, 0)
		require.NoError(t, err)
		defer f.Rollback()
		wrote := make(chan error, 1)
		go func() {
			_, err := f.Write(t.Context(), accounts(1))
			wrote <- err
		}()
		testkit.Eventually(t, "the fence is free", func() bool {
			f, err := other.Begin(t.Context(), e, 0)
			f.Rollback()
			return err == nil
		})
		require.True(t, fault.Unavailable(<-wrote))
	})
}

// TestMySQLConnectsByItsSocket, whose path a URL gives beside the host.
func TestMySQLConnectsByItsSocket(t *testing.T) {
	t.Parallel()
	server := testkit.MariaDB(t)
	url := server.Database(t)
	name := url[strings.LastIndex(url, "/")+1:]
	b := open(t, "mysql://root@/"+name+"?socket="+server.Socket(), nil)
	require.NoError(t, b.Ping(t.Context()))
}

// TestMySQLRecordLargerThanAPacket is refused alone; its neighbours are written.
func TestMySQLRecordLargerThanAPacket(t *testing.T) {
	t.Parallel()
	e := entity(t, "page", schema.String, schema.Field{Name: "body", Type: schema.Text})
	b := setup(t, testkit.MariaDB(t).Database(t), []*schema.Entity{e})
	large := `"` + strings.Repeat("x", 17<<20) + `"`
	flushed := b.flush(e, put("a", `"a"`), put("large", large), put("c", `"c"`))
	require.Equal(t, []string{"large"}, refusedIDs(flushed))
	require.Equal(t, schema.KindRange, flushed.Refused[0].Refusal.Kind)
	require.Len(t, b.load(e, "a", "c"), 2)
}

// TestMySQLMigratesAgainAfterACrash at any statement of the migrations, each of which commits
// by itself.
func TestMySQLMigratesAgainAfterACrash(t *testing.T) {
	t.Parallel()
	for name, server := range map[string]func(testing.TB) *testkit.MySQLServer{
		"mariadb": testkit.MariaDB, "mysql": testkit.MySQL,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			migratesAgain(t, server)
		})
	}
}

func migratesAgain(t *testing.T, server func(testing.TB) *testkit.MySQLServer) {
	e := account(t)
	for n := 1; ; n++ {
		url, seen := server(t).Database(t), 0
		b := open(t, url, []*schema.Entity{e})
		crash := b.faults.Inject(testkit.LoseReply, func(statement string) bool {
			upper := strings.ToUpper(statement)
			if !strings.Contains(upper, "CREATE") && !strings.Contains(upper, "INSERT") &&
				!strings.Contains(upper, "ALTER") {
				return false
			}
			seen++
			return seen == n
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		_, err := b.Migrate(ctx, false)
		cancel()
		crash.Release()
		done := seen < n
		if !done {
			_, err = open(t, url, []*schema.Entity{e}).Migrate(t.Context(), false)
		}
		require.NoError(t, err, "crash at statement %d", n)
		again := open(t, url, []*schema.Entity{e})
		outstanding, err := again.Outstanding(t.Context())
		require.NoError(t, err)
		require.Empty(t, outstanding)
		again.flush(e, accounts(3)...)
		if done {
			require.Greater(t, n, 8, "there are more statements than that")
			return
		}
	}
}

// TestMySQLAccounts: passwords of caching_sha2_password without TLS and with it, and a user who must have TLS.
func TestMySQLAccounts(t *testing.T) {
	t.Parallel()
	url := testkit.MySQL(t).Database(t)
	db, name := testkit.SQL(t, url), url[strings.LastIndex(url, "/")+1:]
	for user, demand := range map[string]string{"plain": "", "tls": "REQUIRE SSL"} {
		account := user + "_" + strings.TrimPrefix(name, "mysql_")
		_, err := db.Exec("CREATE USER '" + account + "'@'127.0.0.1' IDENTIFIED WITH caching_sha2_password BY 's3cret/@:' " + demand +
			"; GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES ON " + name + ".* TO '" + account + "'@'127.0.0.1'")
		require.NoError(t, err)
		t.Cleanup(func() { _, _ = testkit.SQL(t, url).Exec("DROP USER '" + account + "'@'127.0.0.1'") })
		at := strings.Replace(url, "root@", account+":s3cret%2F%40%3A@", 1)
		if demand != "" {
			require.ErrorContains(t, open(t, at, nil).Ping(t.Context()), "Access denied")
			at += "?tls=skip-verify"
		}
		e := entity(t, user, schema.String, schema.Field{Name: "n", Type: schema.Int})
		b := setup(t, at, []*schema.Entity{e})
		require.Empty(t, b.flush(e, put("a", "1")).Refused)
	}
}

// TestMySQLWantsPrimaryKeys: all tables have one where the server asks for it, and those of other programs may have one
// that is invisible.
func TestMySQLWantsPrimaryKeys(t *testing.T) {
	t.Parallel()
	url := testkit.MySQL(t).Database(t)
	e := account(t)
	b := setup(t, url+"?sql_require_primary_key=1", []*schema.Entity{e})
	require.Len(t, b.flush(e, accounts(3)...).Persisted, 3)

	other := entity(t, "other", schema.String, schema.Field{Name: "n", Type: schema.Int},
		schema.Field{Name: "hidden", Type: schema.Int})
	_, err := testkit.SQL(t, url).Exec("SET SESSION sql_generate_invisible_primary_key = ON; CREATE TABLE others (" +
		"id varchar(20) COLLATE utf8mb4_0900_bin NOT NULL UNIQUE, n int, hidden int INVISIBLE)")
	require.NoError(t, err)
	b = setup(t, url, []*schema.Entity{other})
	for n := range 2 {
		require.Empty(t, b.flush(other, put("a", fmt.Sprint(n), "7"), put("b", "2", "8")).Refused)
		require.Equal(t, map[string]schema.Values{"a": {fmt.Sprint(n), "7"}, "b": {"2", "8"}}, b.load(other, "a", "b"))
	}
}

// TestMySQLKeysByCollation: of MySQL's own collations utf8mb4_0900_bin alone distinguishes all ids. Functional indexes,
// generated columns and checks that are not enforced are no obstacle.
func TestMySQLKeysByCollation(t *testing.T) {
	t.Parallel()
	url := testkit.MySQL(t).Database(t)
	for n, collation := range []string{"utf8mb4_0900_ai_ci", "utf8mb4_0900_as_cs", "utf8mb4_bin"} {
		e := entity(t, fmt.Sprintf("t%d", n), schema.String, schema.Field{Name: "n", Type: schema.Int})
		b := open(t, url, []*schema.Entity{e})
		b.exec("CREATE TABLE " + e.Table + " (id varchar(20) COLLATE " + collation + " PRIMARY KEY, n int)")
		_, err := b.Migrate(t.Context(), false)
		require.ErrorContains(t, err, "one record would overwrite another: its collation is "+collation)
	}
	e := entity(t, "fit", schema.String, schema.Field{Name: "name", Type: schema.String, MaxLength: 50})
	b := open(t, url, []*schema.Entity{e})
	b.exec("CREATE TABLE fits (id varchar(20) COLLATE utf8mb4_0900_bin PRIMARY KEY, name varchar(50) COLLATE utf8mb4_0900_ai_ci, " +
		"loud varchar(50) AS (upper(name)) STORED, long_enough int, CONSTRAINT named CHECK (name <> 'x'), " +
		"CONSTRAINT off CHECK (name <> 'y') NOT ENFORCED, UNIQUE KEY lower_name ((lower(name))))")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	flushed := b.flush(e, put("a", `"Ann"`), put("A", `"Bob"`), put("a ", `"ann"`), put("c", `"x"`), put("d", `"y"`))
	kinds := map[string]string{}
	for _, r := range flushed.Refused {
		kinds[r.ID] = string(r.Refusal.Kind) + " " + r.Refusal.Constraint
	}
	require.Equal(t, map[string]string{"a ": "unique lower_name", "c": "check named"}, kinds)
	require.Len(t, b.load(e, "a", "A", "d"), 3)
}

// No setting of the server's cuts off what is read, leaves transactions open or checks out.
func TestMySQLSettingsOfTheServer(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func() *testkit.MySQLServer{
		"mariadb": func() *testkit.MySQLServer { return testkit.DedicatedMariaDB(t, false) },
		"mysql":   func() *testkit.MySQLServer { return testkit.DedicatedMySQL(t, false) },
	} {
		t.Run(name, func(t *testing.T) {
			url := start().Database(t)
			e := entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int},
				schema.Field{Name: "m", Type: schema.Int}, schema.Field{Name: "k", Type: schema.Int})
			db := testkit.SQL(t, url)
			_, err := db.Exec("CREATE TABLE things (id bigint PRIMARY KEY, n bigint CHECK (n < 50), m bigint, k bigint)")
			require.NoError(t, err)
			settings := []string{"autocommit = 0", "sql_select_limit = 1", "completion_type = 2", "sql_safe_updates = 1",
				"sql_big_selects = 0", "max_join_size = 1", "check_constraint_checks = 0"}
			if name == "mysql" {
				settings = settings[:len(settings)-1]
			}
			for _, setting := range settings {
				_, err := db.Exec("SET GLOBAL " + setting)
				require.NoError(t, err, setting)
			}
			b := setup(t, url, []*schema.Entity{e})
			flushed := b.flush(e, put("1", "1", "2", "3"), put("2", "60", "2", "3"), put("3", "3", "2", "3"))
			require.Equal(t, []string{"2"}, refusedIDs(flushed))
			require.Len(t, b.load(e, "1", "2", "3"), 2)
			alter := testkit.SQL(t, url) // no read of ours has a transaction open, for which it would wait
			_, err = alter.Exec("SET lock_wait_timeout = 5")
			require.NoError(t, err)
			_, err = alter.Exec("ALTER TABLE things ADD z bigint")
			require.NoError(t, err)
			require.Empty(t, b.flush(e, put("4", "1", "2", "3"), del("1")).Refused)
			require.Len(t, b.load(e, "1", "3", "4"), 2)
		})
	}
}

// TestMySQLReadOnly: a server that becomes read-only, as at a failover, blames no record.
func TestMySQLReadOnly(t *testing.T) {
	t.Parallel()
	server := testkit.DedicatedMySQL(t, false)
	url, e := server.Database(t), account(t)
	b := setup(t, url, []*schema.Entity{e})
	for _, mode := range []string{"super_read_only", "offline_mode"} {
		db := testkit.SQL(t, url)
		account := strings.ReplaceAll(mode, "_", "")
		_, err := db.Exec("CREATE USER " + account + "@'127.0.0.1'; GRANT ALL ON *.* TO " + account + "@'127.0.0.1'; " +
			"REVOKE CONNECTION_ADMIN, SUPER ON *.* FROM " + account + "@'127.0.0.1'")
		require.NoError(t, err)
		user := open(t, strings.Replace(url, "root@", account+"@", 1), []*schema.Entity{e})
		require.Len(t, user.flush(e, accounts(2)...).Persisted, 2)
		_, err = db.Exec("SET GLOBAL " + mode + " = ON")
		require.NoError(t, err)
		requireTrouble(t, user, e, batch(accounts(2)...))
		_, err = db.Exec("SET GLOBAL super_read_only = OFF; SET GLOBAL read_only = OFF; SET GLOBAL offline_mode = OFF")
		require.NoError(t, err)
		testkit.Eventually(t, "writes go on", func() bool {
			_, err := user.Flush(t.Context(), e, 0, batch(accounts(2)...))
			return err == nil
		})
	}
	require.Len(t, b.load(e, ids(accounts(2))...), 2)
}

// TestMySQLEndsAnIdleConnection: what a server says to a connection that it ends for its silence blames no record.
func TestMySQLEndsAnIdleConnection(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url+"?wait_timeout=1", []*schema.Entity{e})
		f, err := b.Begin(t.Context(), e, 0)
		require.NoError(t, err)
		defer f.Rollback()
		db := testkit.SQL(t, url)
		testkit.Eventually(t, "the connection is gone", func() bool {
			var left int
			require.NoError(t, db.QueryRow("SELECT count(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() "+
				"AND ID <> CONNECTION_ID()").Scan(&left))
			return left == 0
		})
		outcome, err := f.Write(t.Context(), accounts(2))
		require.True(t, fault.Unavailable(err), "%v", err)
		require.Empty(t, outcome.Refused)
		require.Len(t, b.flush(e, accounts(2)...).Persisted, 2)
	})
}
