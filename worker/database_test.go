package worker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// madeTables have columns that the database makes, by the scheme of its URL: a number, a
// default, a computed column and one that it rounds.
var madeTables = map[string]string{
	"sqlite": `CREATE TABLE users (id text PRIMARY KEY, name text NOT NULL, no integer DEFAULT 7, state text NOT NULL DEFAULT 'new',
		size integer GENERATED ALWAYS AS (length(name)) STORED, loud text GENERATED ALWAYS AS (upper(name)) VIRTUAL, price real)`,
	"postgres": `CREATE TABLE users (id text PRIMARY KEY, name text NOT NULL, no bigint GENERATED ALWAYS AS IDENTITY,
		state text NOT NULL DEFAULT 'new', size integer GENERATED ALWAYS AS (length(name)) STORED,
		loud varchar(3) GENERATED ALWAYS AS (upper(left(name, 3))) STORED, price real)`,
	"mysql": `CREATE TABLE users (id varchar(64) CHARACTER SET utf8mb4 COLLATE ` + testkit.ExactCollation + ` PRIMARY KEY,
		name varchar(200) COLLATE ` + testkit.ExactCollation + ` NOT NULL, no bigint NOT NULL AUTO_INCREMENT UNIQUE,
		state varchar(20) COLLATE ` + testkit.ExactCollation + ` NOT NULL DEFAULT 'new', size integer GENERATED ALWAYS AS (char_length(name)) STORED,
		loud varchar(200) COLLATE ` + testkit.ExactCollation + ` GENERATED ALWAYS AS (upper(name)) VIRTUAL, price float)`,
}

// made is the entity of these tables.
func made(t *testing.T) *schema.Entity {
	t.Helper()
	database := func(name string, typ schema.FieldType) schema.Field {
		return schema.Field{Name: name, Type: typ, FromDatabase: true, Required: name == "no" || name == "size"}
	}
	e := &schema.Entity{Name: "user", Table: "users", Partitions: 1, Fields: []schema.Field{
		{Name: "name", Type: schema.String, MaxLength: 200, Required: true},
		database("no", schema.Int), database("state", schema.String), database("size", schema.Int),
		database("loud", schema.String), database("price", schema.Float),
	}}
	require.NoError(t, e.Init())
	return e
}

// A field that the database makes is left to it: a PUT that does not name it writes nothing
// there, and every read has the row's value from the ack on, without a load.
func TestTheDatabaseMakesItsColumns(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		scheme, _, _ := strings.Cut(url, "://")
		db := testkit.SQL(t, url)
		_, err := db.Exec(madeTables[scheme])
		require.NoError(t, err)
		e := made(t)
		b := setupFor(t, url, testkit.SharedRedis(t).URL(), e)
		w := b.worker()
		p, err := producer.New(producer.Config{Entities: []*schema.Entity{e}, Cache: b.cache, Queue: b.orders,
			Loader: b.store})
		require.NoError(t, err)
		t.Cleanup(func() { _ = p.Close() })

		same := func(id string) map[string]string {
			rows, err := b.store.Load(t.Context(), e, []string{id})
			require.NoError(t, err)
			read, err := b.cache.Get(t.Context(), e, id)
			require.NoError(t, err)
			require.Equal(t, cache.Hit, read.Source, "no row was loaded")
			require.Equal(t, rows[id], read.Values)
			fields := map[string]string{}
			for i, text := range read.Values {
				fields[e.Fields[i].Name] = text
			}
			return fields
		}
		put := func(id string, fields schema.Fields) producer.Accepted {
			t.Helper()
			a, err := p.Put(t.Context(), "user", id, fields)
			require.NoError(t, err)
			return a
		}

		first := put("a", schema.Fields{"name": "Ann"})
		read, err := b.cache.Get(t.Context(), e, "a")
		require.NoError(t, err)
		require.Equal(t, schema.Values{`"Ann"`, "null", "null", "null", "null", "null"}, read.Values, "until the flush")
		_, err = p.Increment(t.Context(), "user", "a", schema.Fields{"no": 1})
		require.ErrorIs(t, err, schema.ErrInvalid)
		b.drain(w)
		got := same("a")
		require.Equal(t, []string{`"new"`, "3", `"ANN"`, "null"}, []string{got["state"], got["size"], got["loud"], got["price"]})
		require.NotEqual(t, "null", got["no"])
		after, err := b.cache.Get(t.Context(), e, "a")
		require.NoError(t, err)
		require.Greater(t, after.Version, first.Version, "another representation has another version")

		// Another program changes what is the database's; a PUT of the rest leaves it.
		_, err = db.Exec("UPDATE users SET state = 'old' WHERE id = 'a'")
		require.NoError(t, err)
		put("a", schema.Fields{"name": "Anna"})
		b.drain(w)
		again := same("a")
		require.Equal(t, []string{got["no"], `"old"`, "4", `"ANN`}, []string{again["no"], again["state"], again["size"], again["loud"][:4]})

		// What is named is written where the column takes a value, and rounded by it.
		put("a", schema.Fields{"name": "Ann", "state": "given", "size": 99, "loud": "quiet", "price": 0.1})
		put("b", schema.Fields{"name": "Bob", "no": 3, "size": 99})
		b.drain(w)
		got = same("a")
		require.Equal(t, []string{`"given"`, "3", `"ANN"`}, []string{got["state"], got["size"], got["loud"]})
		same("b")

		// A patch of a computed field changes nothing, and one of another leaves the rest.
		_, err = p.Patch(t.Context(), "user", "b", schema.Fields{"size": 5})
		require.NoError(t, err)
		_, err = p.Patch(t.Context(), "user", "a", schema.Fields{"name": "Annabel"})
		require.NoError(t, err)
		b.drain(w)
		require.Equal(t, "3", same("b")["size"])
		require.Equal(t, "7", same("a")["size"])
		s := b.stats()
		require.Zero(t, s.Pending+s.Held+s.Dead)
		require.Zero(t, s.Imbalance())
	})
}
