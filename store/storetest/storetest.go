// Package storetest is the conformance suite of the store: every promise that a dialect makes,
// as a test with a name. It runs against any database that the store opens.
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, storetest.Database{URL: url, Exec: exec})
//	}
package storetest

import (
	"context"
	"crypto/rand"
	"database/sql/driver"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit/flush"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Database is a database to try. The suite makes the tables of the store in it and tables of
// its own, whose names are random and which it leaves empty.
type Database struct {
	URL string
	// Exec runs a statement past the store. Promises about tables that other programs made need
	// it; without it they are skipped, and the suite says so.
	Exec func(statement string) error
	// Wrap wraps the store's connections, as [store.Config.Wrap]; nil: nothing.
	Wrap func(driver.Connector) driver.Connector
	// Only are the names of the promises to run; none: all.
	Only []string
}

// Promise is one promise of a dialect.
type Promise struct {
	Name string // how it is run: one word after another, with hyphens
	Text string // what holds
	// Except says why a dialect, named as [store.Store.Dialect] names it, cannot promise it.
	Except map[string]string
	run    func(t *testing.T, b *bench)
}

// Promises are those of every dialect.
func Promises() []Promise { return promises }

// Run checks each promise as a subtest.
func Run(t *testing.T, d Database) {
	t.Helper()
	for _, p := range promises {
		if len(d.Only) > 0 && !slices.Contains(d.Only, p.Name) {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			b := &bench{t: t, d: d}
			if why := p.Except[b.open().Dialect()]; why != "" {
				t.Skip("not promised: " + why)
			}
			p.run(t, b)
		})
	}
}

// bench opens stores on the database under test.
type bench struct {
	t *testing.T
	d Database
}

// entity is an entity of a new table. Its id is a text unless another type is given.
func (b *bench) entity(id schema.FieldType, fields ...schema.Field) *schema.Entity {
	b.t.Helper()
	name := "c" + strings.ToLower(rand.Text()[:10])
	e := &schema.Entity{Name: name, Table: name, ID: schema.ID{Type: id}, Fields: fields}
	require.NoError(b.t, e.Init())
	return e
}

// open is a store of the entities, as another process would open it.
func (b *bench) open(entities ...*schema.Entity) *ledger.Ledger {
	b.t.Helper()
	return b.openWith(func(*store.Config) {}, entities...)
}

func (b *bench) openWith(change func(*store.Config), entities ...*schema.Entity) *ledger.Ledger {
	b.t.Helper()
	c := store.Config{URL: b.d.URL, Wrap: b.d.Wrap}
	change(&c)
	l, err := ledger.Open(c, entities)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = l.Close() })
	return l
}

// migrated is a store whose tables are made.
func (b *bench) migrated(entities ...*schema.Entity) *ledger.Ledger {
	b.t.Helper()
	l := b.open(entities...)
	_, err := l.Migrate(b.t.Context(), false)
	require.NoError(b.t, err)
	return l
}

// exec runs a statement past the store.
func (b *bench) exec(statement string) {
	b.t.Helper()
	if b.d.Exec == nil {
		b.t.Skip("not tried: the suite was given no way to run statements past the store")
	}
	require.NoError(b.t, b.d.Exec(statement))
}

// flush flushes changes to the partition 0, once more for each half that COMMIT refuses.
func (b *bench) flush(l *ledger.Ledger, e *schema.Entity, changes ...schema.Change) store.Outcome {
	b.t.Helper()
	outcome, err := try(b.t.Context(), l, e, changes)
	require.NoError(b.t, err)
	require.Empty(b.t, outcome.Slow)
	require.Len(b.t, changes, len(outcome.Persisted)+len(outcome.Refused), "each change has one fate")
	return outcome
}

func try(ctx context.Context, l *ledger.Ledger, e *schema.Entity, changes []schema.Change) (store.Outcome, error) {
	return flush.Partition(ctx, l.Begin, e, 0, func(context.Context) ([]schema.Change, error) { return changes, nil })
}

func (b *bench) load(l *ledger.Ledger, e *schema.Entity, ids ...string) map[string]schema.Values {
	b.t.Helper()
	rows, err := l.Load(b.t.Context(), e, ids)
	require.NoError(b.t, err)
	return rows
}

func put(id string, values ...string) schema.Change {
	return schema.Change{ID: id, Version: 1, Values: values}
}

func patch(id string, only []int, values ...string) schema.Change {
	return schema.Change{ID: id, Version: 2, Values: values, Only: only}
}

func del(id string) schema.Change { return schema.Change{ID: id, Version: 3, Deleted: true} }

func idsOf(changes []schema.Change) []string {
	ids := []string{}
	for _, c := range changes {
		ids = append(ids, c.ID)
	}
	return ids
}

func refusedIDs(o store.Outcome) []string {
	ids := []string{}
	for _, r := range o.Refused {
		ids = append(ids, r.ID)
	}
	return ids
}

// eventually waits for a condition, half a minute at most.
func (b *bench) eventually(what string, met func() bool) {
	b.t.Helper()
	require.Eventually(b.t, met, 30*time.Second, 20*time.Millisecond, what)
}
