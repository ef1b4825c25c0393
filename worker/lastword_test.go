package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A trigger that changes what is written has the last word: after the flush every read has
// what the row has.
func TestReadsEqualTheRowThatATriggerChanged(t *testing.T) {
	t.Parallel()
	for name, statements := range map[string][]string{
		"sqlite": {"CREATE TRIGGER lower_email AFTER INSERT ON users BEGIN UPDATE users SET email = lower(new.email) WHERE id = new.id; END"},
		"postgres": {"CREATE FUNCTION lower_email() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.email := lower(NEW.email); RETURN NEW; END $$",
			"CREATE TRIGGER lower_email BEFORE INSERT OR UPDATE ON users FOR EACH ROW EXECUTE FUNCTION lower_email()"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := testkit.SQLite(t)
			if name == "postgres" {
				url = testkit.Postgres(t).Database(t)
			}
			b := setup(t, url)
			db := testkit.SQL(t, url)
			for _, s := range statements {
				_, err := db.ExecContext(t.Context(), s)
				require.NoError(t, err)
			}
			w := b.worker()
			b.mail("a", "Ann", "ANN@X")
			b.mail("b", "Bob", "bob@x")
			for _, o := range b.orders.take() {
				require.NoError(t, w.sync(t.Context(), task(o)))
			}
			rows, err := b.store.Load(t.Context(), b.e, []string{"a", "b"})
			require.NoError(t, err)
			i, _ := b.e.Field("email")
			require.Equal(t, `"ann@x"`, rows["a"][i])
			for id, row := range rows {
				read, err := b.cache.Get(t.Context(), b.e, id)
				require.NoError(t, err)
				require.Equal(t, row, read.Values)
			}
			b.quiet(0)
		})
	}
}
