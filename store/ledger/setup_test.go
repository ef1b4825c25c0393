package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// bench is a ledger on a fresh database, migrated.
type bench struct {
	*ledger.Ledger
	t      testing.TB
	url    string
	faults *testkit.SQLFaults
}

// onEach runs fn on every dialect.
func onEach(t *testing.T, fn func(t *testing.T, url string)) {
	t.Helper()
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		fn(t, url)
	})
}

func open(t testing.TB, url string, entities []*schema.Entity) *bench {
	t.Helper()
	faults := new(testkit.SQLFaults)
	l, err := ledger.Open(store.Config{URL: url, Wrap: faults.Wrap, Log: testkit.Logger(t)}, entities)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return &bench{l, t, url, faults}
}

func setup(t testing.TB, url string, entities []*schema.Entity) *bench {
	t.Helper()
	b := open(t, url, entities)
	_, err := b.Migrate(t.Context(), false)
	require.NoError(t, err)
	return b
}

// exec runs a statement past the ledger.
func (b *bench) exec(statement string, args ...any) {
	b.t.Helper()
	_, err := testkit.SQL(b.t, b.url).Exec(statement, args...)
	require.NoError(b.t, err)
}

// account is an entity to have letters of.
func account(t testing.TB) *schema.Entity {
	e := &schema.Entity{Name: "account", Table: "accounts", ID: schema.ID{Type: schema.String}, Fields: []schema.Field{
		{Name: "email", Type: schema.String, MaxLength: 320, Unique: true}, {Name: "age", Type: schema.Int},
	}}
	require.NoError(t, e.Init())
	return e
}
