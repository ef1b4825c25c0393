package store_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/survey"
)

// member is an entity with every kind of unique declaration.
func member(t *testing.T) *schema.Entity {
	e := &schema.Entity{Name: "member", Table: "members", Unique: [][]string{{"tenant", "no"}}, Fields: []schema.Field{
		{Name: "email", Type: schema.String, MaxLength: 320, Unique: true, UniqueWhere: "deleted_at IS NULL"},
		{Name: "handle", Type: schema.String, MaxLength: 40, Unique: true},
		{Name: "tenant", Type: schema.Int}, {Name: "no", Type: schema.Int}, {Name: "deleted_at", Type: schema.Time}}}
	require.NoError(t, e.Init())
	return e
}

// An index or constraint that makes the same columns unique counts, whatever its name is.
func TestUniqueByMeaning(t *testing.T) {
	onPartial(t, func(t *testing.T, url string) {
		e := member(t)
		b := open(t, url, []*schema.Entity{e})
		stamp := map[string]string{"postgres": "timestamptz", "sqlite": "datetime"}[b.Dialect()]
		b.exec(`CREATE TABLE members (id varchar(64) PRIMARY KEY, "Handle" varchar(40) ` +
			map[string]string{"sqlite": "UNIQUE"}[b.Dialect()] +
			`, email varchar(320), tenant bigint, no bigint, deleted_at ` + stamp + `, UNIQUE (no, tenant))`)
		if b.Dialect() == "postgres" { // its names have a case
			b.exec(`ALTER TABLE members RENAME "Handle" TO handle`)
			b.exec(`ALTER TABLE members ADD CONSTRAINT members_handle_key UNIQUE (handle)`)
		}
		b.exec(`CREATE UNIQUE INDEX live_email ON members (email) WHERE (deleted_at) IS NULL`)
		outstanding, err := b.Outstanding(t.Context())
		require.NoError(t, err)
		for _, step := range outstanding {
			require.NotContains(t, step, "unique index")
			require.NotContains(t, step, "add column")
		}
		_, err = b.Migrate(t.Context(), false)
		require.NoError(t, err)

		gone := `"2026-01-01T00:00:00Z"`
		flushed := b.flush(e, put("a", `"x@y"`, `"a"`, "1", "1", "null"), put("b", `"x@y"`, `"b"`, "1", "2", gone),
			put("c", `"x@y"`, `"c"`, "1", "3", "null"), put("d", `"d@y"`, `"d"`, "1", "1", "null"),
			put("e", `"e@y"`, `"e"`, "2", "1", "null"))
		require.ElementsMatch(t, []string{"c", "d"}, refusedIDs(flushed))
		for _, r := range flushed.Refused {
			require.Equal(t, schema.KindUnique, r.Refusal.Kind)
		}
	})
}

// What is missing is made, once, and an index that has its name and does not do its work
// does not count.
func TestUniqueIndexesAreMade(t *testing.T) {
	onPartial(t, func(t *testing.T, url string) {
		e := member(t)
		b := open(t, url, []*schema.Entity{e})
		b.exec(`CREATE TABLE members (id varchar(64) PRIMARY KEY, handle varchar(40), email varchar(320), tenant bigint, no bigint, deleted_at ` +
			map[string]string{"postgres": "timestamptz", "sqlite": "datetime"}[b.Dialect()] + `)`)
		b.exec(`CREATE INDEX uq_members_handle ON members (handle)`)
		b.exec(`CREATE UNIQUE INDEX uq_members_tenant_no ON members (tenant, no, handle)`)
		var wait sync.WaitGroup
		for range 3 { // at once
			other := open(t, url, []*schema.Entity{e})
			wait.Go(func() {
				if _, err := other.Migrate(t.Context(), false); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		outstanding, err := b.Outstanding(t.Context())
		require.NoError(t, err)
		require.Empty(t, outstanding)
		b.flush(e, put("a", `"x@y"`, `"a"`, "1", "1", "null"))
		for _, same := range []schema.Values{{`"x@y"`, `"b"`, "2", "2", "null"}, {`"b@y"`, `"a"`, "2", "2", "null"},
			{`"b@y"`, `"b"`, "1", "1", "null"}} {
			require.Len(t, b.flush(e, put("b", same...)).Refused, 1, strings.Join(same, " "))
		}
	})
}

// On PostgreSQL an index of a table with rows is built beside its writers, and a failed one
// leaves nothing.
func TestUniqueIndexIsBuiltConcurrently(t *testing.T) {
	t.Parallel()
	e := account(t)
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec(`CREATE TABLE accounts (id text PRIMARY KEY, email text, age bigint)`)
	b.exec(`INSERT INTO accounts VALUES ('a', 'x', 1), ('b', 'x', 2)`)
	_, err := b.Migrate(t.Context(), false)
	require.ErrorContains(t, err, "fix them")
	b.exec(`DELETE FROM accounts WHERE id = 'b'`)
	done, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	require.Contains(t, done, "drop invalid index uq_accounts_email", "as CONCURRENTLY leaves it")
	require.Contains(t, done, "create unique index uq_accounts_email")
	require.Len(t, b.flush(e, put("c", `"x"`, "1")).Refused, 1)
}

// swap writes changes one batch after the other, and checks that the second is whole.
func swap(t *testing.T, b *bench, e *schema.Entity, before, after []schema.Change) {
	t.Helper()
	require.Empty(t, b.flush(e, before...).Refused)
	require.Empty(t, b.flush(e, after...).Refused)
	want, ids := map[string]schema.Values{}, []string{}
	for _, c := range after {
		want[c.ID], ids = c.Values, append(ids, c.ID)
	}
	require.Equal(t, want, b.load(e, ids...))
}

// Records of one batch exchange values that are unique together, and those of several indexes, each in the way of the
// next.
func TestUniqueKeysAreExchanged(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := member(t)
		e.Fields[0].UniqueWhere = ""
		b := setup(t, url, []*schema.Entity{e})
		t.Run("together", func(t *testing.T) {
			swap(t, b, e, []schema.Change{put("a", `"a"`, `"a"`, "1", "1", "null"), put("b", `"b"`, `"b"`, "1", "2", "null"),
				put("c", `"c"`, `"c"`, "2", "1", "null")},
				[]schema.Change{put("a", `"a"`, `"a"`, "1", "2", "null"), put("b", `"b"`, `"b"`, "2", "1", "null"),
					put("c", `"c"`, `"c"`, "1", "1", "null")})
		})
		t.Run("by several indexes", func(t *testing.T) {
			swap(t, b, e, []schema.Change{put("d", `"d"`, `"d"`, "4", "1", "null"), put("e", `"e"`, `"e"`, "4", "2", "null")},
				[]schema.Change{put("d", `"e"`, `"e"`, "4", "2", "null"), put("e", `"d"`, `"d"`, "4", "1", "null")})
		})
		t.Run("each by another index", func(t *testing.T) {
			swap(t, b, e, []schema.Change{put("f", `"f"`, `"f"`, "5", "1", "null"), put("g", `"g"`, `"g"`, "5", "2", "null")},
				[]schema.Change{put("f", `"g"`, `"ff"`, "5", "1", "null"), put("g", `"gg"`, `"f"`, "5", "2", "null")})
		})
		// Only what gives its values away is moved: the first is not unique together any more.
		some := b.flush(e, put("a", `"a"`, `"a"`, "2", "1", "null"), put("b", `"b"`, `"b"`, "1", "1", "null"),
			put("x", `"x"`, `"x"`, "4", "1", "null"))
		require.ElementsMatch(t, []string{"a", "b", "x"}, refusedIDs(some))
	})
}

// Records of one batch exchange values that are unique among some rows.
func TestValuesUniqueAmongSomeRowsAreExchanged(t *testing.T) {
	onPartial(t, func(t *testing.T, url string) {
		gone := `"2026-01-01T00:00:00Z"`
		e := member(t)
		b := setup(t, url, []*schema.Entity{e})
		swap(t, b, e, []schema.Change{put("a", `"a"`, `"a"`, "1", "1", "null"), put("b", `"b"`, `"b"`, "1", "2", "null"),
			put("old", `"a"`, `"old"`, "1", "3", gone)},
			[]schema.Change{put("a", `"b"`, `"a"`, "1", "1", "null"), put("b", `"a"`, `"b"`, "1", "2", "null"),
				put("old", `"b"`, `"old"`, "1", "3", gone)})
	})
}

// The owner of a value is found in whatever spelling the database takes for the same.
func TestOwnersOfAnotherSpelling(t *testing.T) {
	t.Parallel()
	e := account(t)
	b := open(t, testkit.SQLite(t), []*schema.Entity{e})
	b.exec(`CREATE TABLE accounts (id text PRIMARY KEY, email text COLLATE NOCASE UNIQUE, age bigint)`)
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.flush(e, put("a", `"a@x"`, "1"), put("b", `"b@x"`, "1"))
	wanting := []schema.Change{put("c", `"A@x"`, "1"), put("d", `"b@x"`, "1"), put("e", `"free@x"`, "1")}
	refused := b.flush(e, wanting...).Refused
	require.Len(t, refused, 2)
	owners, known, err := b.Owners(t.Context(), e, refused[0].Refusal, wanting)
	require.NoError(t, err)
	require.True(t, known)
	of := map[string]string{}
	for _, o := range owners {
		of[o.Of] = o.ID
	}
	require.Equal(t, map[string]string{"c": "a", "d": "b"}, of)
}

// A role that cannot change tables starts and writes where nothing is outstanding.
func TestARoleWithoutDDL(t *testing.T) {
	t.Parallel()
	e := account(t)
	url := testkit.Postgres(t).Database(t)
	b := setup(t, url, []*schema.Entity{e})
	role := "plain_" + strings.ReplaceAll(strings.ToLower(t.Name()), "/", "_")
	b.exec("CREATE ROLE " + role + " LOGIN")
	b.exec("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
	b.exec("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO " + role)
	at := strings.Index(url, "://") + 3
	plain := open(t, fmt.Sprintf("%s%s%s", url[:at], role, url[strings.IndexByte(url[at:], '@')+at:]),
		[]*schema.Entity{e})
	outstanding, err := plain.Outstanding(t.Context())
	require.NoError(t, err)
	require.Empty(t, outstanding)
	require.Empty(t, plain.flush(e, put("a", email(1), "1")).Refused)
	require.Len(t, plain.load(e, "a"), 1)
	_, err = survey.Of(plain.Store).Verdicts(t.Context())
	require.NoError(t, err)
}
