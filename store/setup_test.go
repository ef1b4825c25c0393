package store_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/mattn/go-sqlite3"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/flush"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// bench is a migrated store on a fresh database, and what tests do with it.
type bench struct {
	*store.Store
	t      testing.TB
	url    string
	faults *testkit.SQLFaults
}

type option func(*store.Config)

// onEach runs fn on every dialect.
func onEach(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		fn(t, url)
	})
}

// onMySQLs runs fn on MariaDB and on MySQL.
func onMySQLs(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Run("mariadb", func(t *testing.T) {
		t.Parallel()
		fn(t, testkit.MariaDB(t).Database(t))
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		fn(t, testkit.MySQL(t).Database(t))
	})
}

// onPartial runs fn on the dialects that have partial indexes, and columns that take values
// which no field of theirs can show.
func onPartial(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Parallel()
	for name, url := range map[string]func(*testing.T) string{
		"sqlite":   func(t *testing.T) string { return testkit.SQLite(t) },
		"postgres": func(t *testing.T) string { return testkit.Postgres(t).Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fn(t, url(t))
		})
	}
}

func open(t testing.TB, url string, entities []*schema.Entity, options ...option) *bench {
	t.Helper()
	faults := new(testkit.SQLFaults)
	cfg := store.Config{URL: url, Wrap: faults.Wrap, Log: testkit.Logger(t)}
	for _, o := range options {
		o(&cfg)
	}
	s, err := store.Open(cfg, entities)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return &bench{s, t, url, faults}
}

func setup(t testing.TB, url string, entities []*schema.Entity, options ...option) *bench {
	t.Helper()
	b := open(t, url, entities, options...)
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	return b
}

// exec runs a statement past the store.
func (b *bench) exec(statement string, args ...any) {
	b.t.Helper()
	db := b.connect()
	defer db.Close()
	_, err := db.Exec(testkit.Spell(b.url, statement), args...)
	require.NoError(b.t, err)
}

// connect opens the database past the store.
func (b *bench) connect() *sql.DB {
	b.t.Helper()
	if strings.HasPrefix(b.url, "mysql://") {
		return testkit.SQL(b.t, b.url)
	}
	name, source := "pgx", b.url
	if file, ok := strings.CutPrefix(b.url, "sqlite://"); ok {
		name, source = "sqlite3", file+"?_busy_timeout=5000&_foreign_keys=on"
	}
	db, err := sql.Open(name, source)
	require.NoError(b.t, err)
	return db
}

// Flush flushes what read returns.
func (b *bench) Flush(ctx context.Context, e *schema.Entity, partition int, read flush.Reader) (store.Outcome, error) {
	return flush.Partition(ctx, b.Begin, e, partition, read)
}

// Isolate flushes what read returns as a batch under suspicion.
func (b *bench) Isolate(ctx context.Context, e *schema.Entity, partition int, read flush.Reader) (store.Outcome,
	error) {
	return flush.Partition(ctx, b.Store.Isolate, e, partition, read)
}

func (b *bench) flush(e *schema.Entity, changes ...schema.Change) store.Outcome {
	b.t.Helper()
	flushed, err := b.Flush(b.t.Context(), e, 0, batch(changes...))
	require.NoError(b.t, err)
	require.Len(b.t, append(ids(flushed.Persisted), refusedIDs(flushed)...), len(changes), "every change has one fate")
	return flushed
}

func (b *bench) load(e *schema.Entity, ids ...string) map[string]schema.Values {
	b.t.Helper()
	rows, err := b.Load(b.t.Context(), e, ids)
	require.NoError(b.t, err)
	return rows
}

func batch(changes ...schema.Change) flush.Reader {
	return func(context.Context) ([]schema.Change, error) { return changes, nil }
}

func put(id string, values ...string) schema.Change {
	return schema.Change{ID: id, Version: 1, Values: values}
}

func del(id string) schema.Change { return schema.Change{ID: id, Version: 2, Deleted: true} }

func ids(changes []schema.Change) []string {
	ids := []string{}
	for _, c := range changes {
		ids = append(ids, c.ID)
	}
	return ids
}

func refusedIDs(f store.Outcome) []string {
	ids := []string{}
	for _, r := range f.Refused {
		ids = append(ids, r.ID)
	}
	return ids
}

func entity(t testing.TB, name string, id schema.FieldType, fields ...schema.Field) *schema.Entity {
	t.Helper()
	e := &schema.Entity{Name: name, Table: name + "s", ID: schema.ID{Type: id}, Fields: fields}
	require.NoError(t, e.Init())
	return e
}

// account is an entity with a unique field and a required one.
func account(t testing.TB) *schema.Entity {
	return entity(t, "account", schema.String,
		schema.Field{Name: "email", Type: schema.String, MaxLength: 320, Unique: true},
		schema.Field{Name: "age", Type: schema.Int})
}

func rawJSON(text string) json.RawMessage { return json.RawMessage(text) }

var listAll = store.Query{Limit: store.MaxListLimit}

// text is a query's one value as the database spells it, read past the store.
func (b *bench) text(query string, args ...any) string {
	b.t.Helper()
	name, source := "pgx", b.url
	if file, ok := strings.CutPrefix(b.url, "sqlite://"); ok {
		name, source = "sqlite3", file+"?_busy_timeout=5000"
		query = strings.Replace(query, "SELECT ", "SELECT quote(", 1)
		query = strings.Replace(query, " FROM", ") FROM", 1)
	} else {
		query = strings.Replace(strings.Replace(query, "?", "$1", 1), " FROM", "::text FROM", 1)
	}
	db, err := sql.Open(name, source)
	require.NoError(b.t, err)
	defer db.Close()
	var text sql.NullString
	require.NoError(b.t, db.QueryRow(query, args...).Scan(&text))
	return text.String
}
