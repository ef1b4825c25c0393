package worker

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/survey"
)

// shop is a bench of customers, whose deletion deletes their orders; of lines, which are no
// entity's and go with their order; and of notes, which stay and lose their line. An order has
// its customer's code, which follows the customer's.
type shop struct {
	*bench
	w                      *Worker
	customer, order, notes *schema.Entity
}

func onShops(t *testing.T, fn func(t *testing.T, s *shop)) {
	t.Helper()
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		s := &shop{
			customer: &schema.Entity{Name: "customer", Table: "customers", ID: schema.ID{Type: schema.Int},
				Fields: []schema.Field{
					{Name: "code", Type: schema.String, MaxLength: 20},
					{Name: "name", Type: schema.String, MaxLength: 20}}},
			order: &schema.Entity{Name: "order", Table: "orders", ID: schema.ID{Type: schema.Int},
				Fields: []schema.Field{
					{Name: "customer", Type: schema.Int}, {Name: "code", Type: schema.String, MaxLength: 20},
					{Name: "text", Type: schema.String, MaxLength: 20}}},
			notes: &schema.Entity{Name: "note", Table: "notes", ID: schema.ID{Type: schema.Int}, Fields: []schema.Field{
				{Name: "line", Type: schema.Int}, {Name: "text", Type: schema.String, MaxLength: 20}}},
		}
		for _, e := range []*schema.Entity{s.customer, s.order, s.notes} {
			e.Partitions, e.Retry = 1, quick
			require.NoError(t, e.Init())
		}
		db := testkit.SQL(t, url)
		for _, statement := range []string{
			"CREATE TABLE customers (id bigint PRIMARY KEY, code varchar(20) UNIQUE, name varchar(20))",
			"CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint REFERENCES customers (id) ON DELETE CASCADE, " +
				"code varchar(20) REFERENCES customers (code) ON UPDATE CASCADE ON DELETE CASCADE, text varchar(20))",
			`CREATE TABLE "Lines" (id bigint PRIMARY KEY, order_id bigint REFERENCES orders (id) ON DELETE CASCADE)`,
			`CREATE TABLE notes (id bigint PRIMARY KEY, line bigint REFERENCES "Lines" (id) ON DELETE SET NULL, text varchar(20))`,
			"INSERT INTO customers VALUES (1, 'a', 'Ann'), (2, 'b', 'Bob')",
			"INSERT INTO orders VALUES (10, 1, 'a', 'x'), (11, 1, 'a', 'y'), (20, 2, 'b', 'z')",
			`INSERT INTO "Lines" VALUES (100, 10), (200, 20)`,
			"INSERT INTO notes VALUES (1000, 100, 'n'), (2000, 200, 'm')",
		} {
			execute(t, db, statement)
		}
		s.bench = setupFor(t, url, testkit.SharedRedis(t).URL(), s.customer, s.order, s.notes)
		s.w = s.worker()
		fn(t, s)
	})
}

// read is a record as the cache has it, which must be the row; "" is none.
func (s *shop) read(e *schema.Entity, id string) schema.Values {
	s.t.Helper()
	got, err := s.cache.Get(s.t.Context(), e, id)
	if err != nil {
		require.ErrorIs(s.t, err, schema.ErrNotFound)
	}
	rows, err := s.store.Load(s.t.Context(), e, []string{id})
	require.NoError(s.t, err)
	if got.Deleted {
		got.Values = nil
	}
	require.Equal(s.t, rows[id], got.Values, "%s %s", e.Name, id)
	return got.Values
}

func (s *shop) readAll() {
	s.t.Helper()
	for _, id := range []string{"1", "2"} {
		s.read(s.customer, id)
	}
	for _, id := range []string{"10", "11", "20"} {
		s.read(s.order, id)
	}
	for _, id := range []string{"1000", "2000"} {
		s.read(s.notes, id)
	}
}

func (s *shop) do(e *schema.Entity, w cache.Write) {
	s.t.Helper()
	s.e = e
	s.write(w)
}

// patch changes one field of a record.
func (s *shop) patch(e *schema.Entity, id, field, text string) {
	s.t.Helper()
	i, _ := e.Field(field)
	s.do(e, cache.Write{Op: cache.OpPatch, ID: id, Values: s.only(e, i, text)})
}

func (s *shop) only(e *schema.Entity, i int, text string) schema.Values {
	values := make(schema.Values, len(e.Fields))
	values[i] = text
	return values
}

// What the database deletes and changes beside the row leaves the cache with the flush, through
// tables that are no entity's, too.
func TestRowsChangedBesideAreReadAgain(t *testing.T) {
	onShops(t, func(t *testing.T, s *shop) {
		s.readAll()
		s.do(s.customer, cache.Write{Op: cache.OpDelete, ID: "1"})
		s.flush(s.w)
		s.readAll()
		require.Nil(t, s.read(s.order, "10"))
		require.Equal(t, schema.Values{schema.Null, `"n"`}, s.read(s.notes, "1000"))
		require.Equal(t, schema.Values{"200", `"m"`}, s.read(s.notes, "2000"))

		s.patch(s.customer, "2", "name", `"Rob"`)
		s.patch(s.customer, "2", "code", `"c"`)
		s.flush(s.w)
		require.Equal(t, schema.Values{"2", `"c"`, `"z"`}, s.read(s.order, "20"))
		s.quiet(0)
	})
}

// A write through the database has the same barrier.
func TestRowsChangedBesideAWriteThrough(t *testing.T) {
	onShops(t, func(t *testing.T, s *shop) {
		s.readAll()
		_, err := s.store.Through(t.Context(), s.customer, "1", func(context.Context, schema.Row,
			string, string) (schema.Change, error) {
			return schema.Change{ID: "1", Deleted: true}, nil
		}, func(_ context.Context, beside []schema.Beside) error {
			found := map[string][]string{}
			for _, b := range beside {
				found[b.Entity.Name] = b.IDs
			}
			require.Equal(t, map[string][]string{"order": {"10", "11"}, "note": {"1000"}}, found)
			return nil
		})
		require.NoError(t, err)
	})
}

// A trigger that changes another entity's table is named: no flush can tell what it changes.
func TestTriggersOnOtherEntitiesAreNamed(t *testing.T) {
	onShops(t, func(t *testing.T, s *shop) {
		db := testkit.SQL(t, s.db)
		for _, statement := range map[string][]string{
			"sqlite": {"CREATE TRIGGER count_orders AFTER INSERT ON orders BEGIN UPDATE customers SET name = 'x' WHERE id = new.customer; END"},
			"mysql":  {"CREATE TRIGGER count_orders AFTER INSERT ON orders FOR EACH ROW UPDATE customers SET name = 'x' WHERE id = new.customer"},
			"postgres": {"CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE customers SET name = 'x'; RETURN NULL; END $$",
				"CREATE TRIGGER count_orders AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION f()"},
		}[s.store.Dialect()] {
			execute(t, db, statement)
		}
		lines, err := survey.Of(s.store.Store).Unseen(t.Context())
		require.NoError(t, err)
		require.Len(t, lines, 1)
		require.Contains(t, lines[0], "the trigger count_orders of orders names customers: rows of customer")
	})
}

// A child with a pending write whose parent is deleted is not revived: it is held with its
// reason. One that stays shows what the database made of it when its own write is acked.
func TestPendingChildrenOfADeletedParent(t *testing.T) {
	onShops(t, func(t *testing.T, s *shop) {
		s.readAll()
		s.patch(s.order, "10", "text", `"late"`)
		values, err := s.order.Whole(schema.Fields{"customer": 1, "code": "a", "text": "put"})
		require.NoError(t, err)
		s.do(s.order, cache.Write{Op: cache.OpPut, ID: "11", Values: values})
		s.patch(s.notes, "1000", "text", `"late"`)
		late := s.orders.take()
		s.do(s.customer, cache.Write{Op: cache.OpDelete, ID: "1"})
		s.flush(s.w)
		for _, o := range late {
			require.NoError(t, s.w.sync(t.Context(), task(o)))
		}
		s.e = s.order
		require.Equal(t, schema.KindMissing, s.status("10").Refusal.Kind)
		require.Equal(t, schema.KindForeignKey, s.status("11").Refusal.Kind)
		rows, err := s.store.Load(t.Context(), s.order, []string{"10", "11"})
		require.NoError(t, err)
		require.Empty(t, rows)
		require.Equal(t, schema.Values{schema.Null, `"late"`}, s.read(s.notes, "1000"))
	})
}

// A flush that ends between its commit and its ack does not find the children again: the
// barrier that it set before has readers load them until it ends.
func TestACrashAfterTheCommitLeavesNoOldChild(t *testing.T) {
	onShops(t, func(t *testing.T, s *shop) {
		s.readAll()
		s.do(s.customer, cache.Write{Op: cache.OpDelete, ID: "1"})
		_, err := s.cache.Invalidate(t.Context(), s.order, []string{"99"}) // Redis knows the script from now on
		require.NoError(t, err)
		faults := []*testkit.Fault{
			s.redis.Inject(testkit.Refuse, testkit.Script(t, "invalidate"), testkit.After(2), testkit.Always()),
			s.redis.Inject(testkit.Refuse, testkit.Script(t, "ack"), testkit.Always()),
		}
		for _, o := range s.orders.take() {
			_ = s.w.sync(t.Context(), task(o))
		}
		require.Positive(t, faults[0].Hits(), "the barriers would have been ended")
		s.readAll()
		require.Nil(t, s.read(s.order, "10"))
		s.redis.Clear()
		s.drain(s.w)
		s.readAll()
	})
}
