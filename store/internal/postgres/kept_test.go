package postgres_test

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/postgres"
)

// kept is a session that keeps the statement of a mark, and another program's.
type kept struct {
	*testing.T
	ours, theirs *pgx.Conn
	oid          string
}

func keptOf(t *testing.T) *kept { return keptOn(t, testkit.Postgres(t).Database(t)) }

func keptOn(t *testing.T, url string) *kept {
	s, err := store.Open(store.Config{URL: url, Log: testkit.Logger(t)}, nil)
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Migrate(t.Context(), false)
	require.NoError(t, err)
	k := &kept{T: t}
	for _, c := range []**pgx.Conn{&k.ours, &k.theirs} {
		*c, err = pgx.Connect(t.Context(), url)
		require.NoError(t, err)
		t.Cleanup(func() { _ = (*c).Close(context.Background()) })
	}
	k.exec(`CREATE TABLE plain (id text PRIMARY KEY, n int, t text);
		CREATE TABLE other (id text PRIMARY KEY, plain text);
		CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`)
	require.NoError(t, k.theirs.QueryRow(t.Context(), "SELECT 'plain'::regclass::oid::text").Scan(&k.oid))
	return k
}

func (k *kept) exec(statement string) {
	k.Helper()
	_, err := k.theirs.Exec(k.Context(), statement)
	require.NoError(k, err, statement)
}

// mark asks within a transaction, as a flush does, which notes its reach and sets its savepoint in the same trip.
func (k *kept) mark() string {
	tx, err := k.ours.Begin(k.Context())
	require.NoError(k, err)
	note := &database.Note{Entity: "plain", Partition: 3, Turn: "ABCDEFGHIJ", Reach: database.Reach{Last: 7}}
	mark, err := postgres.Marked(k.Context(), k.ours, "plain", k.oid, note, []string{"SET LOCAL statement_timeout = 4711",
		"SAVEPOINT afterwrite"})
	require.NoError(k, err)
	var bound string
	require.NoError(k, k.ours.QueryRow(k.Context(), "SHOW statement_timeout").Scan(&bound))
	require.Equal(k, "4711ms", bound)
	var locked bool
	require.NoError(k, k.ours.QueryRow(k.Context(), `SELECT mark IS NULL OR EXISTS (SELECT FROM pg_locks WHERE granted
		AND pid = pg_backend_pid() AND relation = $1::oid) FROM nullif($2, '') AS mark`, k.oid, mark).Scan(&locked))
	require.True(k, locked, "the table is locked until the transaction ends")
	_, err = k.ours.Exec(k.Context(), "ROLLBACK TO SAVEPOINT afterwrite")
	require.NoError(k, err)
	require.NoError(k, tx.Commit(k.Context()))
	return mark
}

// asked is the mark of a session that keeps nothing.
func (k *kept) asked() (mark string) {
	require.NoError(k, k.theirs.QueryRow(k.Context(), "SELECT afterwrite_mark($1::oid::regclass)", k.oid).Scan(&mark))
	return mark
}

// Each change of a table changes the mark that a session keeps.
func TestAKeptMarkChangesWithItsTable(t *testing.T) {
	t.Parallel()
	k := keptOf(t)
	k.exec("INSERT INTO afterwrite_fences (entity, partition, flushes, locked_at) VALUES ('plain', 3, 1, now())")
	before := k.mark()
	require.NotEmpty(t, before)
	require.Equal(t, before, k.mark())
	var last int64
	require.NoError(t, k.theirs.QueryRow(t.Context(), "SELECT read_last FROM afterwrite_fences").Scan(&last))
	require.EqualValues(t, 7, last)
	for _, change := range []string{
		"ALTER TABLE plain ADD COLUMN more text",
		"ALTER TABLE plain RENAME COLUMN more TO less",
		"ALTER TABLE plain ALTER COLUMN less SET NOT NULL",
		"ALTER TABLE plain ALTER COLUMN less SET DEFAULT 'x'",
		"ALTER TABLE plain ALTER COLUMN less SET DEFAULT 'y'",
		"ALTER TABLE plain DROP COLUMN less",
		"ALTER TABLE plain ALTER COLUMN n TYPE bigint",
		"ALTER TABLE plain ALTER COLUMN t TYPE varchar(10)",
		"ALTER TABLE plain ADD CONSTRAINT small CHECK (n < 100) NOT VALID",
		"ALTER TABLE plain VALIDATE CONSTRAINT small",
		"ALTER TABLE plain RENAME CONSTRAINT small TO smaller",
		"ALTER TABLE plain DROP CONSTRAINT smaller",
		"CREATE UNIQUE INDEX one ON plain (t)",
		"CREATE INDEX CONCURRENTLY two ON plain (n)",
		"DROP INDEX one",
		"ALTER TABLE plain ADD CONSTRAINT three UNIQUE (n) DEFERRABLE",
		"ALTER TABLE plain DROP CONSTRAINT three",
		"ALTER TABLE other ADD CONSTRAINT refers FOREIGN KEY (plain) REFERENCES plain ON DELETE CASCADE",
		"ALTER TABLE other ALTER CONSTRAINT refers DEFERRABLE",
		"ALTER TABLE other DROP CONSTRAINT refers",
		"CREATE TRIGGER first BEFORE INSERT ON plain FOR EACH ROW EXECUTE FUNCTION touch()",
		"CREATE TRIGGER second AFTER UPDATE ON plain FOR EACH ROW EXECUTE FUNCTION touch()",
		"ALTER TABLE plain DISABLE TRIGGER first",
		"DROP TRIGGER first ON plain",
		"DROP TRIGGER second ON plain",
		"CREATE RULE nothing AS ON INSERT TO plain DO INSTEAD NOTHING",
		"DROP RULE nothing ON plain",
		"ALTER TABLE plain ENABLE ROW LEVEL SECURITY",
		"CREATE TABLE child () INHERITS (plain)",
		"CREATE TABLE second () INHERITS (plain)",
		"ALTER TABLE child NO INHERIT plain",
		"DROP TABLE second",
	} {
		k.exec(change)
		after := k.mark()
		require.NotEqual(t, before, after, change)
		require.Equal(t, k.asked(), after, change)
		before = after
	}
}

// A mark that waits for a change of the table is the one that the change has made: what the plan has is read behind
// the lock, by a snapshot of its own.
func TestAKeptMarkWaitsForItsTable(t *testing.T) {
	t.Parallel()
	k := keptOf(t)
	before := k.mark()
	for _, column := range []string{"one", "two"} {
		change, err := k.theirs.Begin(t.Context())
		require.NoError(t, err)
		_, err = change.Exec(t.Context(), "ALTER TABLE plain ADD COLUMN "+column+" int")
		require.NoError(t, err)
		told := make(chan string, 1)
		go func() {
			defer close(told) // where a check ends the goroutine
			told <- k.mark()
		}()
		testkit.Eventually(t, "the mark waits for the table", func() (waits bool) {
			err := change.QueryRow(t.Context(), `SELECT EXISTS
				(SELECT FROM pg_locks WHERE relation = 'plain'::regclass AND NOT granted)`).Scan(&waits)
			return err == nil && waits
		})
		require.NoError(t, change.Commit(t.Context()))
		after := <-told
		require.NotEqual(t, before, after)
		require.Equal(t, k.asked(), after)
		require.Equal(t, after, k.mark())
		before = after
	}
}

// A server that took over, or one that a copy was restored into, may give the same ids to other tables and columns.
func TestAMarkIsOfItsServer(t *testing.T) {
	t.Parallel()
	server := testkit.DedicatedPostgres(t, false)
	k := keptOn(t, server.Database(t))
	before := k.asked()
	require.Equal(t, before, k.asked())
	server.Stop()
	server.Start()
	var err error
	k.theirs, err = pgx.ConnectConfig(t.Context(), k.theirs.Config())
	require.NoError(t, err)
	require.NotEqual(t, before, k.asked())
}

// Another table that has the name has no kept mark.
func TestAKeptMarkIsOfOneTable(t *testing.T) {
	t.Parallel()
	k := keptOf(t)
	require.NotEmpty(t, k.mark())
	k.exec("CREATE SCHEMA first") // a schema that is new in search_path has the server analyse everything again
	_, err := k.ours.Exec(t.Context(), "SET search_path = first, public")
	require.NoError(t, err)
	require.NotEmpty(t, k.mark())
	k.exec("CREATE TABLE first.plain (LIKE public.plain INCLUDING ALL)")
	require.Empty(t, k.mark())
	k.exec("DROP TABLE first.plain")
	require.NotEmpty(t, k.mark())
	k.exec("ALTER TABLE plain RENAME TO former; CREATE TABLE plain (LIKE former)")
	require.Empty(t, k.mark())
}
