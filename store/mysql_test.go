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
	e := account(t)
	b := setup(t, testkit.MariaDB(t).Database(t), []*schema.Entity{e})
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
	e := entity(t, "plain", schema.String, schema.Field{Name: "email", Type: schema.String, MaxLength: 99},
		schema.Field{Name: "n", Type: schema.Int})
	b := setup(t, testkit.MariaDB(t).Database(t), []*schema.Entity{e})
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
}

// TestMySQLLooksForRowsOnce: after the refusal of one new record its neighbours, which had no row
// a moment ago, are inserted without another look.
func TestMySQLLooksForRowsOnce(t *testing.T) {
	t.Parallel()
	e := account(t)
	b := setup(t, testkit.MariaDB(t).Database(t), []*schema.Entity{e})
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
}

// TestMySQLFreesAFrozenHolder: where the server does not end idle transactions, as MySQL, the
// next flush ends the connection that holds the fence.
func TestMySQLFreesAFrozenHolder(t *testing.T) {
	t.Parallel()
	e := account(t)
	short := func(c *store.Config) {
		c.LockTimeout, c.IdleInTransaction = time.Second, time.Second
		c.URL += "?idle_transaction_timeout=0"
	}
	url := testkit.MariaDB(t).Database(t)
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
}

// TestMySQLFreesAFenceFromAStatement: where the server does not bound what a statement takes, as
// MySQL where it writes, the next flush ends the connection whose statement hangs.
func TestMySQLFreesAFenceFromAStatement(t *testing.T) {
	t.Parallel()
	e := account(t)
	short := func(c *store.Config) {
		c.LockTimeout, c.StatementTimeout = time.Second, time.Second
		c.URL += "?max_statement_time=0"
	}
	url := testkit.MariaDB(t).Database(t)
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
	e := account(t)
	for n := 1; ; n++ {
		url, seen := testkit.MariaDB(t).Database(t), 0
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
