package store_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/survey"
)

// family is an entity over a table of parents and one over a table of children, which follow their parents.
func family(t *testing.T, parents, children string) (parent, child *schema.Entity) {
	parent = &schema.Entity{Name: "parent", Table: parents, ID: schema.ID{Type: schema.Int}, Partitions: 1,
		Fields: []schema.Field{{Name: "name", Type: schema.Text}}}
	child = &schema.Entity{Name: "child", Table: children, ID: schema.ID{Type: schema.Int}, Partitions: 1,
		Fields: []schema.Field{{Name: "parent", Type: schema.Int}}}
	require.NoError(t, parent.Init())
	require.NoError(t, child.Init())
	return parent, child
}

// beside are the children that the deletion of a parent changes, as the store finds them.
func beside(b *bench, parent *schema.Entity, id string) (children []string) {
	b.t.Helper()
	for _, one := range b.flush(parent, del(id)).Beside {
		require.Equal(b.t, "child", one.Entity.Name)
		children = append(children, one.IDs...)
	}
	return children
}

// A foreign key leads to the table that it is on, whatever schema that has and however it is found.
func TestRowsBesideInOtherSchemas(t *testing.T) {
	t.Parallel()
	for name, tables := range map[string][2]string{
		"found by the search path":       {"parents", "children"},
		"named with their schema":        {"app.parents", "app.children"},
		"named with and without it":      {"parents", "app.children"},
		"in another schema":              {"app.parents", "Odd.Children"},
		"in another one, without theirs": {"parents", "Odd.Children"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := testkit.Postgres(t).Database(t)
			parent, child := family(t, tables[0], tables[1])
			u, err := url.Parse(at)
			require.NoError(t, err)
			q := u.Query()
			q.Set("search_path", "app,public")
			u.RawQuery = q.Encode()
			b := open(t, u.String(), []*schema.Entity{parent, child})
			b.url = at
			children := `"` + strings.ReplaceAll(strings.TrimPrefix(tables[1], "app."), ".", `"."`) + `"`
			if !strings.Contains(children, ".") {
				children = "app." + children
			}
			b.exec(`CREATE SCHEMA app; CREATE SCHEMA "Odd"; CREATE TABLE app.parents (id bigint PRIMARY KEY, name text);
				CREATE TABLE public.parents (id bigint PRIMARY KEY, name text);
				CREATE TABLE public.children (id bigint PRIMARY KEY, parent bigint REFERENCES public.parents ON DELETE CASCADE);
				CREATE TABLE ` + children + ` (id bigint PRIMARY KEY, parent bigint REFERENCES app.parents ON DELETE CASCADE);
				INSERT INTO app.parents VALUES (1), (2); INSERT INTO public.parents VALUES (1);
				INSERT INTO public.children VALUES (30, 1);
				INSERT INTO ` + children + ` VALUES (10, 1), (11, 1), (20, 2)`)
			_, err = b.Migrate(t.Context(), false)
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"10", "11"}, beside(b, parent, "1"))
			require.Len(t, b.load(child, "10", "20"), 1)
		})
	}
}

// A database of MySQL is a schema.
func TestRowsBesideInOtherDatabases(t *testing.T) {
	t.Parallel()
	onMySQLs(t, func(t *testing.T, at string) {
		name := at[strings.LastIndexByte(at, '/')+1:]
		name, _, _ = strings.Cut(name, "?")
		for _, tables := range [][2]string{{"parents", name + "x.children"}, {name + ".parents", name + "x.children"},
			{name + ".parents", name + ".offspring"}} {
			parent, child := family(t, tables[0], tables[1])
			b := open(t, at, []*schema.Entity{parent, child})
			for _, statement := range []string{
				"DROP DATABASE IF EXISTS " + name + "x", "CREATE DATABASE " + name + "x", "DROP TABLE IF EXISTS offspring",
				"DROP TABLE IF EXISTS parents", "CREATE TABLE parents (id bigint PRIMARY KEY, name text)",
				fmt.Sprintf(`CREATE TABLE %s (id bigint PRIMARY KEY, parent bigint,
					FOREIGN KEY (parent) REFERENCES %s.parents (id) ON DELETE CASCADE)`, tables[1], name),
				"INSERT INTO parents VALUES (1, ''), (2, '')", "INSERT INTO " + tables[1] + " VALUES (10, 1), (11, 1), (20, 2)",
			} {
				b.exec(statement)
			}
			_, err := b.Migrate(t.Context(), false)
			require.NoError(t, err)
			require.ElementsMatch(t, []string{"10", "11"}, beside(b, parent, "1"), tables)
			b.exec("DROP TABLE " + tables[1])
		}
	})
}

// Keys and triggers that one partition has do what those of its table do.
func TestWhatOnePartitionHas(t *testing.T) {
	t.Parallel()
	parent, child := family(t, "parents", "children")
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{parent, child})
	b.exec(`CREATE TABLE parents (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
		CREATE TABLE parents_1 PARTITION OF parents FOR VALUES FROM (0) TO (100);
		CREATE TABLE parents_2 PARTITION OF parents FOR VALUES FROM (100) TO (200);
		CREATE TABLE children (id bigint PRIMARY KEY, parent bigint) PARTITION BY RANGE (id);
		CREATE TABLE children_1 PARTITION OF children FOR VALUES FROM (0) TO (100);
		CREATE TABLE children_2 PARTITION OF children FOR VALUES FROM (100) TO (200);
		ALTER TABLE children_1 ADD FOREIGN KEY (parent) REFERENCES parents ON DELETE CASCADE;
		ALTER TABLE children_2 ADD FOREIGN KEY (parent) REFERENCES parents_2 ON DELETE SET NULL;
		INSERT INTO parents VALUES (1), (101); INSERT INTO children VALUES (10, 1), (110, 101)`)
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.flush(parent, put("2", `"ann"`))
	b.exec(`CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';
		CREATE TRIGGER loud BEFORE INSERT OR UPDATE ON parents_1 FOR EACH ROW EXECUTE FUNCTION loud()`)
	flushed := b.flush(parent, put("2", `"bob"`))
	require.Equal(t, schema.Values{`"BOB"`}, flushed.Persisted[0].Row, "the trigger has the last word")
	require.Equal(t, []string{"10"}, beside(b, parent, "1"))
	require.Equal(t, []string{"110"}, beside(b, parent, "101"))
	require.Equal(t, schema.Values{schema.Null}, b.load(child, "110")["110"])
}

// A rule that another program gives a table in use is noticed: a table with rules takes no ON CONFLICT.
func TestARuleIsNoticed(t *testing.T) {
	t.Parallel()
	e := entity(t, "thing", schema.String, schema.Field{Name: "n", Type: schema.Int})
	b := open(t, testkit.Postgres(t).Database(t), []*schema.Entity{e})
	b.exec("CREATE TABLE things (id text PRIMARY KEY, n bigint); CREATE TABLE log (n bigint)")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.flush(e, put("a", "1"))
	b.exec("CREATE RULE doubles AS ON UPDATE TO things DO ALSO INSERT INTO log VALUES (NEW.n)")
	b.flush(e, put("a", "3"))
	require.Equal(t, "3", b.text("SELECT max(n) FROM log"))
}

// A trigger that changes other rows of its own table is named; one that changes the row for which it fires is not, for
// that row is read back.
func TestTriggersOnOtherRowsAreNamed(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{"sqlite": testkit.SQLite(t), "postgres": testkit.Postgres(t).Database(t)} {
		b := open(t, at, []*schema.Entity{entity(t, "thing", schema.Int, schema.Field{Name: "n", Type: schema.Int})})
		b.exec("CREATE TABLE things (id bigint PRIMARY KEY, n bigint)")
		for i, c := range []struct {
			statement string
			named     bool
		}{
			{"UPDATE things SET n = 1 WHERE id = NEW.id", false}, {`UPDATE "things" SET n = 1 WHERE NEW."id" = "id"`, false},
			{"UPDATE things SET n = 0 WHERE id <> NEW.id", true}, {"DELETE FROM things WHERE n = NEW.n", true},
			{"UPDATE things SET n = 0 WHERE id = NEW.n", true}, {"INSERT INTO things_log VALUES (1)", false},
		} {
			create := []string{"CREATE TRIGGER a AFTER INSERT ON things BEGIN " + c.statement + "; END"}
			drop := "DROP TRIGGER a"
			if name == "postgres" {
				f := fmt.Sprintf("f%d()", i)
				create = []string{"CREATE FUNCTION " + f + " RETURNS trigger LANGUAGE plpgsql AS 'BEGIN " + c.statement +
					"; RETURN NULL; END'", "CREATE TRIGGER a AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION " + f}
				drop += " ON things"
			}
			for _, statement := range create {
				b.exec(statement)
			}
			lines, err := survey.Of(b.Store).Unseen(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.named, len(lines) == 1, "%s: %s: %v", name, c.statement, lines)
			b.exec(drop)
		}
	}
}

// One table is no two entities', though one of them names its schema.
func TestOneTableOfTwoEntities(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, at string) {
		if strings.HasPrefix(at, "sqlite") {
			return // which has no schemas
		}
		name := at[strings.LastIndexByte(at, '/')+1:]
		if name, _, _ = strings.Cut(name, "?"); strings.HasPrefix(at, "postgres") {
			name = "public"
		}
		parent, child := family(t, "people", name+".people")
		b := open(t, at, []*schema.Entity{parent, child})
		b.exec("CREATE TABLE people (id bigint PRIMARY KEY, name varchar(20), parent bigint)")
		_, err := b.Outstanding(t.Context())
		require.ErrorIs(t, err, fault.ErrUnfit)
		require.ErrorContains(t, err, "people, the table of ")
	})
}

// A blob in a key of SQLite is another key than its text, and no id.
func TestBlobsInAKey(t *testing.T) {
	t.Parallel()
	for typ, ids := range map[schema.FieldType][2]string{schema.String: {"'a'", "a"}, schema.Int: {"5", "5"}} {
		e := entity(t, "thing", typ, schema.Field{Name: "v", Type: schema.Text})
		b := open(t, testkit.SQLite(t), []*schema.Entity{e})
		b.exec("CREATE TABLE things (id " + map[schema.FieldType]string{schema.String: "text", schema.Int: "int"}[typ] +
			" PRIMARY KEY, v text)")
		b.exec("INSERT INTO things VALUES (" + ids[0] + ", 'text'), (CAST('" + ids[1] + "' AS blob), 'blob'), (x'ff', 'blob')")
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		b.flush(e, put(ids[1], `"new"`))
		require.Equal(t, schema.Values{`"new"`}, b.load(e, ids[1])[ids[1]])
		var seen []string
		for after := ""; len(seen) < 5; { // pages of one row
			rows, err := b.List(t.Context(), e, store.Query{Limit: 1, After: after})
			require.NoError(t, err)
			if len(rows) == 0 {
				break
			}
			after = rows[0].ID
			seen = append(seen, strings.TrimPrefix(rows[0].Foreign+rows[0].Values[0], "is no id of type "+string(typ)))
		}
		require.Equal(t, []string{`"new"`, `"blob"`, `"blob"`}, seen)
	}
}
