package store_test

import (
	"io/fs"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/migrations"
)

func TestMigrateTwice(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := open(t, url, []*schema.Entity{e})
		would, err := b.Migrate(t.Context(), true)
		require.NoError(t, err)
		outstanding, err := b.Outstanding(t.Context())
		require.NoError(t, err)
		require.Equal(t, would, outstanding, "a dry run changes nothing")
		done, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		require.Equal(t, would, done)
		require.Contains(t, done, "create table accounts")
		require.Contains(t, done, "create unique index uq_accounts_email")
		again, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		require.Empty(t, again)
		outstanding, err = b.Outstanding(t.Context())
		require.NoError(t, err)
		require.Empty(t, outstanding)
	})
}

// A database that speaks PostgreSQL's protocol and has no advisory locks is migrated without.
func TestMigrateWithoutAdvisoryLocks(t *testing.T) {
	for _, code := range []string{"0A000", "42883"} {
		e := account(t)
		b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
		b.faults.Inject(testkit.Refuse, testkit.Statement("pg_try_advisory_lock"), testkit.Err(postgresError(code)),
			testkit.Always())
		unlock := b.faults.Inject(testkit.Refuse, testkit.Statement("pg_advisory_unlock"),
			testkit.Err(postgresError(code)), testkit.Always())
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		unlock.Release()
		b.flush(e, accounts(3)...)
	}
}

func TestMigrateConcurrently(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		entities := []*schema.Entity{account(t), everything(t)}
		var wait sync.WaitGroup
		for range 6 {
			b := open(t, url, entities)
			wait.Go(func() {
				if _, err := b.Migrate(t.Context(), false); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		b := open(t, url, entities)
		outstanding, err := b.Outstanding(t.Context())
		require.NoError(t, err)
		require.Empty(t, outstanding)
	})
}

// TestExistingTable: more columns than the entity has are left alone, missing ones
// are added, others are told about.
func TestExistingTable(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "account", schema.String,
			schema.Field{Name: "email", Type: schema.Text, Unique: true},
			schema.Field{Name: "age", Type: schema.Int},
			schema.Field{Name: "name", Type: schema.Text, Required: true})
		b := open(t, url, []*schema.Entity{e})
		b.exec(`CREATE TABLE accounts (legacy varchar(99) DEFAULT 'old', id varchar(50) PRIMARY KEY, age varchar(9), email varchar(99))`)
		b.exec(`INSERT INTO accounts (id, age, email, legacy) VALUES ('a', '41', 'a@x', 'mine'), ('b', NULL, NULL, 'hers')`)
		done, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		told := strings.Join(done, "\n")
		want := "add column accounts.name text"
		if b.Dialect() == "mysql" {
			want = "add column accounts.name longtext"
		}
		require.Contains(t, told, want)
		require.Contains(t, told, "create unique index uq_accounts_email")
		require.Contains(t, told, "note: accounts.age is ")
		outstanding, err := b.Outstanding(t.Context())
		require.NoError(t, err)
		require.Empty(t, outstanding, "a note is not outstanding")

		require.Equal(t, schema.Values{`"a@x"`, "41", "null"}, b.load(e, "a")["a"])
		b.flush(e, put("a", `"new@x"`, "42", `"Ann"`), put("c", `"c@x"`, "1", `"Cyd"`))
		require.Equal(t, schema.Values{`"new@x"`, "42", `"Ann"`}, b.load(e, "a")["a"])

		legacy := entity(t, "legacy", schema.String, schema.Field{Name: "legacy", Type: schema.Text})
		legacy.Table = "accounts"
		rows := open(t, url, []*schema.Entity{legacy}).load(legacy, "a", "b", "c")
		require.Equal(t, map[string]schema.Values{"a": {`"mine"`}, "b": {`"hers"`}, "c": {`"old"`}}, rows)
	})
}

// TestForeignRows reads what other programs wrote into columns of their own types.
func TestForeignRows(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := everything(t)
		b := open(t, url, []*schema.Entity{e})
		b.exec(`CREATE TABLE everythings (id varchar(9) PRIMARY KEY, f_string integer, f_text varchar(9), f_int numeric,
			f_float integer, f_decimal double precision, f_bool smallint, f_time text, f_json text, f_bytes text, f_uuid varchar(36))`)
		b.exec(`INSERT INTO everythings VALUES ('a', 12, 'x', 7, 3, 2.5, 1, '2026-01-31 12:00:00', '{"a": 1}', 'hi', '018F4E7A-3B5C-7D2E-9F10-1A2B3C4D5E6F')`)
		want := schema.Values{`"12"`, `"x"`, "7", "3", `"2.5000"`, "true", `"2026-01-31T12:00:00Z"`, `{"a": 1}`,
			`"aGk="`, `"018f4e7a-3b5c-7d2e-9f10-1a2b3c4d5e6f"`}
		require.Equal(t, want, b.load(e, "a")["a"])

		b.exec(`UPDATE everythings SET f_json = 'not json'`)
		foreign := problem.Foreign(e, "a", b.load(e, "a")["a"])
		require.Equal(t, "f_json", foreign.Column)
		require.ErrorContains(t, foreign, "not json")
	})
}

func TestUniqueIndexOverDuplicates(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := open(t, url, []*schema.Entity{e})
		b.exec(`CREATE TABLE accounts (id text PRIMARY KEY, email varchar(320), age bigint)`)
		b.exec(`INSERT INTO accounts VALUES ('a', 'x', 1), ('b', 'x', 2)`)
		done, err := b.Migrate(t.Context(), false)
		require.ErrorContains(t, err, "create unique index uq_accounts_email")
		require.ErrorContains(t, err, "fix them")
		require.NotEmpty(t, done, "what was done before")
		b.exec(`DELETE FROM accounts WHERE id = 'b'`)
		_, err = b.Migrate(t.Context(), false)
		require.NoError(t, err)
	})
}

func TestTableWithoutKey(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := open(t, url, []*schema.Entity{e})
		b.exec(`CREATE TABLE accounts (id text, email text, age bigint)`)
		_, err := b.Migrate(t.Context(), false)
		require.ErrorContains(t, err, "no primary key or unique index on id")
		require.ErrorIs(t, err, fault.ErrUnfit, "the database is there")
	})
}

func TestNewTableRequires(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "account", schema.String, schema.Field{Name: "name", Type: schema.Text, Required: true},
			schema.Field{Name: "n", Type: schema.Int})
		b := setup(t, url, []*schema.Entity{e})
		var changes []schema.Change
		for i, id := range []string{"a", "b", "c", "d", "e"} {
			name := `"x"`
			if i%2 == 0 {
				name = "null"
			}
			changes = append(changes, put(id, name, "1"))
		}
		flushed := b.flush(e, changes...)
		require.Equal(t, []string{"a", "c", "e"}, refusedIDs(flushed))
		require.Equal(t, "name", flushed.Refused[0].Refusal.Column)
		require.Equal(t, schema.KindNotNull, flushed.Refused[0].Refusal.Kind)
	})
}

// A column that takes no value of ours would have every write refused.
func TestGeneratedColumn(t *testing.T) {
	t.Parallel()
	for columns, name := range map[string]string{
		"id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, label text":          "seats.id",
		"id bigint PRIMARY KEY, label text GENERATED ALWAYS AS ('a') STORED":      "seats.label",
		"id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, label text":      "",
		"id bigint PRIMARY KEY, label text, n int GENERATED ALWAYS AS (1) STORED": "",
	} {
		e := entity(t, "seat", schema.Int, schema.Field{Name: "label", Type: schema.Text})
		b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
		b.exec(`CREATE TABLE seats (` + columns + `)`)
		_, err := b.Migrate(t.Context(), false)
		if name != "" {
			require.ErrorContains(t, err, name+" is GENERATED ALWAYS")
			continue
		}
		require.NoError(t, err)
		require.Empty(t, b.flush(e, put("1", `"x"`)).Refused)
	}
}

// An entity that is given twice would be migrated and flushed by the settings of either.
func TestOpenRefusesEntities(t *testing.T) {
	t.Parallel()
	e := account(t)
	for says, entities := range map[string][]*schema.Entity{"given twice": {e, account(t)}, "is nil": {e, nil}} {
		_, err := store.Open(store.Config{URL: testkit.SQLite(t)}, entities)
		require.ErrorContains(t, err, says)
	}
}

// A key that is a float takes 2^53 and 2^53+1 for the same.
func TestTableWhoseKeyRounds(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		for typ, refused := range map[string]bool{"real": true, "double precision": true, "bigint": false,
			"smallint": false, "numeric": false} {
			table := strings.ReplaceAll(typ, " ", "_")
			e := entity(t, table, schema.Int, schema.Field{Name: "label", Type: schema.Text})
			b := open(t, url, []*schema.Entity{e})
			b.exec(`CREATE TABLE ` + e.Table + ` (label text, id ` + typ + ` PRIMARY KEY)`)
			_, err := b.Migrate(t.Context(), false)
			if refused {
				require.ErrorContains(t, err, "not a whole number")
			} else {
				require.NoError(t, err, typ)
			}
		}
	})
}

// A table whose key takes two ids for the same would have one record overwrite another.
func TestTableWhoseKeyIsLoose(t *testing.T) {
	t.Parallel()
	for name, keys := range map[string]map[string]string{
		"sqlite": {
			"id text COLLATE binary PRIMARY KEY":                          "",
			"id text COLLATE NOCASE PRIMARY KEY":                          "NOCASE",
			"id text COLLATE RTRIM NOT NULL UNIQUE":                       "RTRIM",
			"id text COLLATE NOCASE NOT NULL, UNIQUE (id COLLATE BINARY)": "NOCASE",
			"id STRING PRIMARY KEY":                                       "STRING, not text",
			"id INTEGER PRIMARY KEY":                                      "INTEGER, not text",
			"id varchar(64) PRIMARY KEY":                                  "",
			"id PRIMARY KEY":                                              "not given, not text",
		},
		"postgres": {
			"id character(8) PRIMARY KEY":        "character",
			"id text COLLATE loose PRIMARY KEY":  "loose",
			"id text PRIMARY KEY DEFERRABLE":     "is DEFERRABLE",
			"id text COLLATE loose, UNIQUE (id)": "loose",
			`id text COLLATE loose NOT NULL); CREATE UNIQUE INDEX x ON accounts (id COLLATE "C"`: "loose",
			"id varchar(64) PRIMARY KEY": "",
			"id bigint PRIMARY KEY":      "bigint, not text",
			"id uuid PRIMARY KEY":        "uuid, not text",
			"id name PRIMARY KEY":        "name, not text",
			"id jsonb PRIMARY KEY":       "jsonb, not text",
		},
	} {
		for key, reason := range keys {
			t.Run(name+"/"+key, func(t *testing.T) {
				t.Parallel()
				url := testkit.SQLite(t)
				if name == "postgres" {
					url = testkit.Postgres(t).Database(t)
				}
				b := open(t, url, []*schema.Entity{account(t)})
				if name == "postgres" {
					b.exec(`CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)`)
				}
				b.exec(`CREATE TABLE accounts (email text, age bigint, ` + key + `)`)
				_, err := b.Migrate(t.Context(), false)
				if reason == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, reason)
				_, err = b.Outstanding(t.Context())
				require.ErrorContains(t, err, reason)
			})
		}
	}
}

// TestOwnMigrationsGoOn: a database whose own migrations goose applied, as older builds had
// it do, gets those that are newer, and the rows of a database from here are those of goose.
func TestOwnMigrationsGoOn(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := open(t, url, []*schema.Entity{e})
		first, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		db := b.connect()
		defer db.Close()
		count := func(where string) (n int) {
			require.NoError(t, db.QueryRow("SELECT count(*) FROM afterwrite_migrations WHERE "+where).Scan(&n))
			return n
		}
		require.Equal(t, 1, count("version_id = 0"))
		require.Equal(t, 0, count("NOT is_applied"))
		files, err := fs.ReadDir(migrations.Files(), b.Dialect())
		require.NoError(t, err)
		require.Equal(t, len(files)+1, count("1 = 1"))
		b.exec("DELETE FROM afterwrite_migrations WHERE version_id > 4")
		again, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		require.Contains(t, again, "apply 00006_pairing.sql")
		require.Less(t, len(again), len(first))
		require.Equal(t, len(files)+1, count("1 = 1"))
	})
}

// TestMigrationSQL sends what the store would send past it, and nothing is left to do.
func TestMigrationSQL(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := open(t, url, []*schema.Entity{account(t), everything(t)})
		statements, err := b.MigrationSQL(t.Context())
		require.NoError(t, err)
		before, err := b.Outstanding(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, before, "nothing was changed")
		db := b.connect()
		defer db.Close()
		for _, statement := range statements {
			if strings.HasPrefix(statement, "-- ") {
				continue
			}
			_, err := db.ExecContext(t.Context(), statement)
			require.NoError(t, err, statement)
		}
		outstanding, err := b.Outstanding(t.Context())
		require.NoError(t, err)
		require.Empty(t, outstanding)
		statements, err = b.MigrationSQL(t.Context())
		require.NoError(t, err)
		require.Empty(t, statements)
	})
}
