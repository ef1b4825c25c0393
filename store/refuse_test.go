package store_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
)

func email(n int) string { return fmt.Sprintf(`"u%d@example.com"`, n) }

// accounts are n changes with an email each.
func accounts(n int) []schema.Change {
	changes := make([]schema.Change, n)
	for i := range changes {
		changes[i] = put(fmt.Sprintf("u%04d", i), email(i), strconv.Itoa(i))
		changes[i].Version = schema.Version(i + 1)
	}
	return changes
}

// TestI5OneOf500Refused: a refused record costs its 499 neighbours nothing.
func TestI5OneOf500Refused(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("owner", email(250), "1"))
		flushed := b.flush(e, accounts(500)...)
		require.Len(t, flushed.Persisted, 499)
		require.Equal(t, []string{"u0250"}, refusedIDs(flushed))
		r := flushed.Refused[0].Refusal
		require.Equal(t, schema.KindUnique, r.Kind)
		require.Equal(t, "uq_accounts_email", r.Constraint)
		require.NotEmpty(t, r.Message)
		require.NotContains(t, r.Message, "u250@", "the value stays out of the message")
		require.Len(t, b.load(e, ids(accounts(500))...), 499)
	})
}

func TestI5TenPercentUnique(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e})
		var owners []schema.Change
		for i := range 50 {
			owners = append(owners, put("owner"+strconv.Itoa(i), email(i*10), "1"))
		}
		b.flush(e, owners...)
		flushed := b.flush(e, accounts(500)...)
		require.Len(t, flushed.Persisted, 450)
		require.Len(t, flushed.Refused, 50)
		for _, r := range flushed.Refused {
			require.Equal(t, schema.KindUnique, r.Refusal.Kind)
			require.True(t, strings.HasSuffix(r.ID, "0"))
		}
	})
}

// TestUniqueValuesMove: what a neighbour gives up in the same batch is free.
func TestUniqueValuesMove(t *testing.T) {
	batches := map[string]struct {
		batch   []schema.Change
		refused []string
	}{
		"swap": {[]schema.Change{put("a", email(2), "1"), put("b", email(1), "1")}, nil},
		"rotate": {[]schema.Change{put("a", email(2), "1"), put("b", email(3), "1"), put("c", email(1), "1")},
			nil},
		"chain": {[]schema.Change{put("a", email(2), "1"), put("b", email(3), "1"), put("c", email(9), "1")},
			nil},
		"deleted owner": {[]schema.Change{put("d", email(1), "1"), del("a")}, nil},
		"owner lets go": {[]schema.Change{put("d", email(1), "1"), put("a", "null", "1")}, nil},
		"owner keeps":   {[]schema.Change{put("d", email(1), "1"), put("a", email(1), "2")}, []string{"d"}},
		"wanted twice":  {[]schema.Change{put("d", email(7), "1"), put("e", email(7), "1")}, []string{"e"}},
		"swap and refusal": {[]schema.Change{put("a", email(2), "1"), put("b", email(1), "1"), put("d", email(3), "1")},
			[]string{"d"}},
	}
	onEach(t, func(t *testing.T, url string) {
		for name, test := range batches {
			e := entity(t, "move_"+strings.ReplaceAll(name, " ", "_"), schema.String,
				schema.Field{Name: "email", Type: schema.String, Unique: true},
				schema.Field{Name: "age", Type: schema.Int})
			b := setup(t, url, []*schema.Entity{e})
			b.flush(e, put("a", email(1), "0"), put("b", email(2), "0"), put("c", email(3), "0"))
			test.batch = slices.Clone(test.batch)
			for i := range test.batch {
				test.batch[i].Version = schema.Version(10 + i)
			}
			flushed := b.flush(e, test.batch...)
			require.Equal(t, append([]string{}, test.refused...), refusedIDs(flushed), name)
			rows := b.load(e, ids(test.batch)...)
			for _, c := range flushed.Persisted {
				require.Equal(t, c.Values, rows[c.ID], name)
			}
		}
	})
}

// TestRequiredUniqueValuesSwap: without NULL to pass through.
func TestRequiredUniqueValuesSwap(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "seat", schema.Int, schema.Field{Name: "holder", Type: schema.Text, Required: true,
			Unique: true})
		b := setup(t, url, []*schema.Entity{e})
		b.flush(e, put("1", `"ann"`), put("2", `"bob"`))
		require.Empty(t, b.flush(e, put("1", `"bob"`), put("2", `"ann"`)).Refused)
		require.Equal(t, map[string]schema.Values{"1": {`"bob"`}, "2": {`"ann"`}}, b.load(e, "1", "2"))
	})
}

// Values of any type and length can be exchanged, where a column must have one.
func TestRequiredUniqueValuesOfAnyTypeSwap(t *testing.T) {
	fields := map[string]struct {
		schema.Field
		one, other string
	}{
		"int":   {schema.Field{Type: schema.Int}, "1", "2"},
		"short": {schema.Field{Type: schema.String, MaxLength: 8}, `"ann"`, `"bob"`},
		"uuid": {schema.Field{Type: schema.UUID}, `"00000000-0000-4000-8000-000000000001"`,
			`"00000000-0000-4000-8000-000000000002"`},
		"time":    {schema.Field{Type: schema.Time}, `"2026-01-01T00:00:00Z"`, `"2026-01-02T00:00:00Z"`},
		"float":   {schema.Field{Type: schema.Float}, "0.5", "1.5"},
		"decimal": {schema.Field{Type: schema.Decimal, Precision: 6, Scale: 2}, `"1.00"`, `"2.00"`},
		"whole":   {schema.Field{Type: schema.Decimal, Precision: 30, Scale: 0}, `"1"`, `"2"`},
		"part":    {schema.Field{Type: schema.Decimal, Precision: 8, Scale: 8}, `"0.10000000"`, `"0.20000000"`},
		"bytes":   {schema.Field{Type: schema.Bytes, MaxLength: 4}, `"AQ=="`, `"Ag=="`},
	}
	onEach(t, func(t *testing.T, url string) {
		for name, test := range fields {
			test.Name, test.Required, test.Unique = "held", true, true
			e := entity(t, "swap_"+name, schema.Int, test.Field)
			b := setup(t, url, []*schema.Entity{e})
			b.flush(e, put("1", test.one), put("2", test.other))
			require.Empty(t, b.flush(e, put("1", test.other), put("2", test.one)).Refused, name)
			require.Equal(t, map[string]schema.Values{"1": {test.other}, "2": {test.one}}, b.load(e, "1", "2"), name)
		}
	})
}

// strict is an entity whose table the test makes itself, with every constraint.
func strict(t testing.TB, url string) (*bench, *schema.Entity) {
	e := entity(t, "item", schema.String,
		schema.Field{Name: "name", Type: schema.Text, Unique: true},
		schema.Field{Name: "parent", Type: schema.String},
		schema.Field{Name: "stock", Type: schema.Int},
		schema.Field{Name: "label", Type: schema.Text})
	b := open(t, url, []*schema.Entity{e})
	if b.Dialect() == "mysql" {
		b.exec(`CREATE TABLE parents (id text PRIMARY KEY);
			CREATE TABLE items (id text PRIMARY KEY, name varchar(255) COLLATE ` + testkit.ExactCollation + `, parent text REFERENCES parents (id),
				stock integer, label varchar(10) NOT NULL, CONSTRAINT stock_positive CHECK (stock >= 0))`)
		for _, event := range []string{"INSERT", "UPDATE"} {
			b.exec(`CREATE TRIGGER angry_` + event + ` BEFORE ` + event + ` ON items FOR EACH ROW BEGIN
				IF NEW.label = 'angry' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today'; END IF;
				IF NEW.label = 'own code' THEN SIGNAL SQLSTATE 'ZZ001' SET MESSAGE_TEXT = 'not today'; END IF;
				IF NEW.label = 'deadlock' THEN SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'x'; END IF; END`)
		}
	} else if b.Dialect() == "postgres" {
		b.exec(`CREATE TABLE parents (id text PRIMARY KEY);
			CREATE FUNCTION angry() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF NEW.label = 'angry' THEN RAISE EXCEPTION 'not today'; END IF;
				IF NEW.label = 'own code' THEN RAISE EXCEPTION 'not today' USING ERRCODE = 'ZZ001'; END IF;
				IF NEW.label = 'deadlock' THEN RAISE EXCEPTION 'x' USING ERRCODE = '40P01'; END IF;
				RETURN NEW; END $$;
			CREATE TABLE items (id text PRIMARY KEY, name text, parent text REFERENCES parents (id),
				stock integer CONSTRAINT stock_positive CHECK (stock >= 0), label varchar(10) NOT NULL);
			CREATE TRIGGER angry BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION angry()`)
	} else {
		b.exec(`CREATE TABLE parents (id text PRIMARY KEY)`)
		b.exec(`CREATE TABLE items (id text PRIMARY KEY, name text, parent text REFERENCES parents (id),
			stock integer CONSTRAINT stock_positive CHECK (stock >= 0), label text NOT NULL) STRICT`)
		b.exec(`CREATE TRIGGER angry BEFORE INSERT ON items WHEN NEW.label = 'angry' BEGIN SELECT RAISE(ABORT, 'not today'); END`)
		b.exec(`CREATE TRIGGER own BEFORE INSERT ON items WHEN NEW.label = 'own code' BEGIN SELECT RAISE(FAIL, 'not today'); END`)
		b.exec(`CREATE TRIGGER broken BEFORE INSERT ON items WHEN NEW.label = 'deadlock' BEGIN SELECT json_extract('{}', 'no path'); END`)
		b.exec(`CREATE TRIGGER big BEFORE INSERT ON items WHEN NEW.label = 'far too long for it' BEGIN SELECT length(zeroblob(2000000000)); END`)
	}
	b.exec(`INSERT INTO parents VALUES ('p')`)
	_, err := b.Migrate(b.t.Context(), false)
	require.NoError(t, err)
	return b, e
}

func item(id, name, parent, stock, label string) schema.Change {
	return put(id, name, parent, stock, label)
}

// TestRefusalKinds provokes each kind of refusal on the real databases, alone and
// among neighbours, of which none may be lost.
func TestRefusalKinds(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, e := strict(t, url)
		b.flush(e, item("owner", `"taken"`, "null", "1", `"x"`))
		cases := []struct {
			kind               schema.Kind
			constraint, column string
			bad                schema.Change
		}{
			{schema.KindUnique, "uq_items_name", "name", item("bad", `"taken"`, "null", "1", `"x"`)},
			{schema.KindForeignKey, "items_parent_fkey", "parent", item("bad", "null", `"nobody"`, "1", `"x"`)},
			{schema.KindNotNull, "", "label", item("bad", "null", "null", "1", "null")},
			{schema.KindCheck, "stock_positive", "", item("bad", "null", "null", "-1", `"x"`)},
			{schema.KindRange, "", "", item("bad", "null", "null", "1", `"far too long for it"`)},
			{schema.KindPoison, "", "", item("bad", "null", "null", "1", `"angry"`)},
			{schema.KindPoison, "", "", item("bad", "null", "null", "1", `"own code"`)},
		}
		if b.Dialect() == "postgres" {
			cases = append(cases, struct {
				kind               schema.Kind
				constraint, column string
				bad                schema.Change
			}{schema.KindRange, "", "", item("bad", "null", "null", "2147483648", `"x"`)})
			cases = append(cases, struct {
				kind               schema.Kind
				constraint, column string
				bad                schema.Change
			}{schema.KindRange, "", "", item("bad", incompressible(), "null", "1", `"x"`)})
		}
		for n, c := range cases {
			for _, neighbours := range []int{0, 1, 20} {
				var changes []schema.Change
				for i := range neighbours {
					changes = append(changes, item(fmt.Sprintf("n%d-%d-%d", n, neighbours, i), "null", `"p"`, "1",
						`"x"`))
				}
				at := neighbours / 2
				changes = append(changes[:at:at], append([]schema.Change{c.bad}, changes[at:]...)...)
				flushed := b.flush(e, changes...)
				require.Equal(t, []string{"bad"}, refusedIDs(flushed), "%s %v", c.kind, flushed.Refused)
				r := flushed.Refused[0].Refusal
				require.Equal(t, c.kind, r.Kind, "%+v", r)
				if b.Dialect() == "postgres" || c.kind != schema.KindForeignKey {
					require.Equal(t, c.constraint, r.Constraint, "%+v", r)
				}
				if c.column != "" {
					require.Equal(t, c.column, r.Column)
				}
				require.NotEmpty(t, r.Message)
				require.Len(t, b.load(e, append(ids(changes), "bad")...), neighbours, "no half a row")
			}
		}
	})
}

// incompressible is a text too large for an entry of a PostgreSQL index.
func incompressible() string {
	var s strings.Builder
	for i := range 3000 {
		s.WriteString(strconv.FormatInt(int64(i)*2654435761%4294967296, 36))
	}
	return `"` + s.String() + `"`
}

func TestRefusedType(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "loose", schema.String, schema.Field{Name: "n", Type: schema.Text})
		b := open(t, url, []*schema.Entity{e})
		if b.Dialect() != "sqlite" {
			b.exec(`CREATE TABLE looses (id text PRIMARY KEY, n integer)`)
		} else {
			b.exec(`CREATE TABLE looses (id text PRIMARY KEY, n integer) STRICT`)
		}
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		flushed := b.flush(e, put("a", `"12"`), put("bad", `"twelve"`), put("c", `"13"`))
		require.Equal(t, []string{"bad"}, refusedIDs(flushed))
		require.Equal(t, schema.KindType, flushed.Refused[0].Refusal.Kind)
		require.Equal(t, schema.Values{`"13"`}, b.load(e, "c")["c"])
	})
}

// TestManyForeignKeys: a tenth of a batch refers to nobody.
func TestManyForeignKeys(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, e := strict(t, url)
		var changes []schema.Change
		for i := range 200 {
			parent := `"p"`
			if i%10 == 0 {
				parent = `"nobody"`
			}
			changes = append(changes, item(strconv.Itoa(i), "null", parent, "1", `"x"`))
		}
		flushed := b.flush(e, changes...)
		require.Len(t, flushed.Refused, 20)
		require.Len(t, flushed.Persisted, 180)
	})
}

// TestManyKindsAtOnce: each culprit keeps its own reason.
func TestManyKindsAtOnce(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, e := strict(t, url)
		b.flush(e, item("owner", `"taken"`, "null", "1", `"x"`))
		want := map[string]schema.Kind{}
		var changes []schema.Change
		add := func(kind schema.Kind, name, parent, stock, label string) {
			id := strconv.Itoa(len(changes))
			changes = append(changes, item(id, name, parent, stock, label))
			if kind != "" {
				want[id] = kind
			}
		}
		for range 10 {
			add("", "null", `"p"`, "1", `"x"`)
			add(schema.KindCheck, "null", "null", "-5", `"x"`)
			add("", "null", "null", "1", `"y"`)
			add(schema.KindUnique, `"taken"`, "null", "1", `"x"`)
			add(schema.KindNotNull, "null", "null", "1", "null")
			add(schema.KindForeignKey, "null", `"q"`, "1", `"x"`)
			add(schema.KindPoison, "null", "null", "1", `"angry"`)
		}
		got := map[string]schema.Kind{}
		for _, r := range b.flush(e, changes...).Refused {
			got[r.ID] = r.Refusal.Kind
		}
		require.Equal(t, want, got)
	})
}

// TestDeletionsRefused: a row that others refer to stays, its neighbours go.
func TestDeletionsRefused(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		_, items := strict(t, url)
		parents := entity(t, "parent", schema.String, schema.Field{Name: "note", Type: schema.Text})
		b := setup(t, url, []*schema.Entity{parents, items})
		b.flush(parents, put("q", "null"), put("r", "null"))
		b.flush(items, item("child", "null", `"q"`, "1", `"x"`))
		flushed := b.flush(parents, del("p"), del("q"), del("r"), del("never"))
		require.Equal(t, []string{"q"}, refusedIDs(flushed))
		require.Equal(t, schema.KindForeignKey, flushed.Refused[0].Refusal.Kind)
		require.Len(t, b.load(parents, "p", "q", "r"), 1)
	})
}

// TestRefusedAtCommit: deferred constraints are found out by transactions.
func TestRefusedAtCommit(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		if strings.HasPrefix(url, "mysql") {
			return // it defers no constraint
		}
		e := entity(t, "node", schema.String, schema.Field{Name: "above", Type: schema.String})
		b := open(t, url, []*schema.Entity{e})
		b.exec(`CREATE TABLE nodes (id text PRIMARY KEY, above text REFERENCES nodes (id) DEFERRABLE INITIALLY DEFERRED)`)
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		var changes []schema.Change
		for i := range 20 {
			changes = append(changes, put(strconv.Itoa(i), "null"))
		}
		changes[3].Values = schema.Values{`"nobody"`}
		changes[17].Values = schema.Values{`"nobody either"`}
		reads := 0
		flushed, err := b.Flush(t.Context(), e, 0, func(context.Context) ([]schema.Change, error) {
			reads++
			return changes, nil
		})
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"3", "17"}, refusedIDs(flushed))
		require.Len(t, flushed.Persisted, 18)
		require.Equal(t, schema.KindForeignKey, flushed.Refused[0].Refusal.Kind)
		require.Equal(t, "above", flushed.Refused[0].Refusal.Column)
		require.Greater(t, reads, 2, "each transaction reads for itself")
		require.Len(t, b.load(e, ids(changes)...), 18)
	})
}

// TestParentAndChildInOneBatch: a table that refers to itself, in the worst order.
func TestParentAndChildInOneBatch(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := entity(t, "node", schema.String, schema.Field{Name: "above", Type: schema.String})
		b := open(t, url, []*schema.Entity{e})
		b.exec(`CREATE TABLE nodes (id text PRIMARY KEY, above text REFERENCES nodes (id))`)
		_, err := b.Migrate(t.Context(), false)
		require.NoError(t, err)
		flushed := b.flush(e, put("c", `"b"`), put("b", `"a"`), put("x", `"nobody"`), put("a", "null"))
		require.Equal(t, []string{"x"}, refusedIDs(flushed))
	})
}

// TestIsolate: an error that looks like the database's trouble and is one record's.
func TestIsolate(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, e := strict(t, url)
		read := batch(item("a", "null", "null", "1", `"x"`), item("bad", "null", "null", "1", `"deadlock"`),
			item("c", "null", "null", "1", `"x"`))
		_, err := b.Flush(t.Context(), e, 0, read)
		require.True(t, fault.Unavailable(err), "%v", err)
		require.Empty(t, b.load(e, "a", "c"))
		flushed, err := b.Isolate(t.Context(), e, 0, read)
		require.NoError(t, err)
		require.Equal(t, []string{"bad"}, refusedIDs(flushed))
		kind := schema.KindTimeout
		if b.Dialect() == "sqlite" {
			kind = schema.KindPoison
		}
		require.Equal(t, kind, flushed.Refused[0].Refusal.Kind)
		require.Equal(t, kind == schema.KindTimeout, flushed.Refused[0].Blocked, "as by another transaction")
		require.Equal(t, []string{"a", "c"}, ids(flushed.Persisted))

		b.exec("DROP TABLE items")
		_, err = b.Isolate(t.Context(), e, 0, read)
		require.True(t, fault.Unavailable(err))
		require.ErrorIs(t, err, fault.ErrNotMigrated, "a missing table is nobody's poison")
	})
}

// TestIsolationStopsInTime: a batch whose culprits take longer to find than a flush
// may last is done in several flushes, each of which gets further.
func TestIsolationStopsInTime(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b, e := strict(t, url)
		open := map[string]schema.Change{}
		for i := range 3000 {
			c := item(strconv.Itoa(i), "null", "null", strconv.Itoa(-(i % 2)), `"x"`)
			open[c.ID] = c
		}
		persisted, refused := 0, 0
		bound := 500 * time.Millisecond
		testkit.Within(t, 2*time.Minute, "every change has its fate", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), bound)
			defer cancel()
			flushed, err := b.Flush(ctx, e, 0, batch(slices.Collect(maps.Values(open))...))
			if err != nil {
				require.True(t, fault.Unavailable(err), "%v", err)
				bound *= 2 // the machine is slow today
				return false
			}
			for _, c := range flushed.Persisted {
				delete(open, c.ID)
			}
			for _, r := range flushed.Refused {
				require.Equal(t, schema.KindCheck, r.Refusal.Kind)
				delete(open, r.ID)
			}
			persisted, refused = persisted+len(flushed.Persisted), refused+len(flushed.Refused)
			return len(open) == 0
		})
		require.Equal(t, 1500, persisted)
		require.Equal(t, 1500, refused)
	})
}

// What a function of SQLite's own cannot take of a value, in a generated column, a CHECK or the index on an expression,
// is refused as every database refuses it: its code is that of a table that takes nothing.
func TestWhatSQLitesFunctionsCannotTakeIsRefused(t *testing.T) {
	t.Parallel()
	e := entity(t, "doc", schema.Int, schema.Field{Name: "body", Type: schema.Text}, schema.Field{Name: "n", Type: schema.Int})
	b := open(t, testkit.SQLite(t), []*schema.Entity{e})
	b.exec(`CREATE TABLE docs (id integer PRIMARY KEY, body text, title text AS (json_extract(body, '$.title')) STORED,
		n integer CHECK (abs(n) > 0))`)
	b.exec("CREATE INDEX docs_tag ON docs (json_extract(body, '$.tag'))")
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	b.flush(e, put("1", `"{}"`, "1"), put("2", `"{}"`, "1"))
	flushed := b.flush(e, put("1", `"no JSON"`, "1"), put("2", `"{\"title\": 1}"`, "2"), put("3", `"{"`, "1"),
		put("4", `"{}"`, "-9223372036854775808"), put("5", `"{}"`, "5"))
	require.ElementsMatch(t, []string{"1", "3", "4"}, refusedIDs(flushed))
	for _, refused := range flushed.Refused {
		require.Equal(t, schema.KindType, refused.Refusal.Kind)
		require.False(t, refused.OfTable)
	}
}
