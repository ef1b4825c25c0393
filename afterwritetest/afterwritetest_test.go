package afterwritetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/afterwritetest"
	"github.com/afterwrite/afterwrite/schema"
)

type item struct {
	ID     string `gorm:"primaryKey"`
	N      int64
	Made   time.Time `gorm:"autoCreateTime"`
	Parent *string
}

func items(t testing.TB) (*afterwrite.DB, *afterwrite.TableOf[item]) {
	db := afterwritetest.New(t, afterwrite.Model[item]())
	return db, afterwrite.Table[item](db)
}

// recorder is a test that notes its failure and goes on.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Fatalf(format string, a ...any) {
	r.failed = fmt.Sprintf(format, a...)
	panic(r)
}

func (r *recorder) Fatal(a ...any) { r.Fatalf("%s", fmt.Sprint(a...)) }

// failure is what fn fails its test with; "" where it does not.
func failure(t *testing.T, fn func(t testing.TB)) string {
	r := &recorder{TB: t}
	func() {
		defer func() {
			if caught := recover(); caught != nil && caught != any(r) {
				panic(caught)
			}
		}()
		fn(r)
	}()
	return r.failed
}

func TestRequirePersisted(t *testing.T) {
	db, table := items(t)
	w, err := table.Put(t.Context(), &item{ID: "a", N: 1})
	require.NoError(t, err)
	afterwritetest.RequirePersisted(t, w)
	var n int
	require.NoError(t, afterwritetest.SQL(t, db).QueryRow("SELECT n FROM items WHERE id = 'a'").Scan(&n))
	require.Equal(t, 1, n)

	afterwritetest.Refuse(t, db, item{}, "b", "not_null")
	w, err = table.Put(t.Context(), &item{ID: "b"})
	require.NoError(t, err)
	require.Contains(t, failure(t, func(t testing.TB) { afterwritetest.RequirePersisted(t, w) }),
		"not persisted: item b: refused")
}

// TestRefuse has the database refuse a record in each way, and its neighbour in none.
func TestRefuse(t *testing.T) {
	db, table := items(t)
	for _, kind := range []schema.Kind{
		schema.KindUnique, schema.KindNotNull, schema.KindCheck, schema.KindForeignKey, schema.KindRange,
		schema.KindType, schema.KindPoison,
	} {
		id := string(kind)
		accept := afterwritetest.Refuse(t, db, item{}, id, id)
		w, err := table.Put(t.Context(), &item{ID: id})
		require.NoError(t, err)
		var held *afterwrite.HeldError
		require.ErrorAs(t, w.Wait(t.Context()), &held, id)
		if kind != schema.KindPoison { // SQLite calls what a trigger raises a failed constraint
			require.Equal(t, kind, held.Refusal.Kind)
		}
		neighbour, err := table.Put(t.Context(), &item{ID: id + "2"})
		require.NoError(t, err)
		afterwritetest.RequirePersisted(t, neighbour)
		accept()
		w, err = table.Put(t.Context(), &item{ID: id, N: 2})
		require.NoError(t, err)
		afterwritetest.RequirePersisted(t, w)
	}
	require.Contains(t, failure(t, func(t testing.TB) { afterwritetest.Refuse(t, db, item{}, "a", "rain") }), `"rain"`)
	require.Contains(t, failure(t, func(t testing.TB) { afterwritetest.Refuse(t, db, time.Time{}, "a", "check") }),
		"not a model")
}

func TestClock(t *testing.T) {
	db, table := items(t)
	clock := afterwritetest.Clock(t, db)
	began := clock.Now()
	_, err := table.Put(t.Context(), &item{ID: "a"})
	require.NoError(t, err)
	clock.Advance(24 * time.Hour)
	require.GreaterOrEqual(t, clock.Now().Sub(began), 24*time.Hour)
	i := item{ID: "b"}
	_, err = table.Put(t.Context(), &i)
	require.NoError(t, err)
	require.WithinDuration(t, clock.Now(), i.Made, time.Minute)
	afterwritetest.Flush(t, db)

	afterwritetest.Refuse(t, db, item{}, "c", "check")() // its next attempt is due when the clock says so
	got, err := table.Get(t.Context(), "a")
	require.NoError(t, err)
	require.WithinDuration(t, began, got.Value.Made, time.Minute)
}

func TestDown(t *testing.T) {
	db, table := items(t)
	w, err := table.Put(t.Context(), &item{ID: "a", N: 1})
	require.NoError(t, err)
	afterwritetest.RequirePersisted(t, w)

	up := afterwritetest.Down(t, db, afterwritetest.Redis)
	_, err = table.Put(t.Context(), &item{ID: "a", N: 2})
	require.True(t, errors.Is(err, afterwrite.ErrUnavailable) || errors.Is(err, afterwrite.ErrOutcomeUnknown), "%v",
		err)
	got, err := table.Get(t.Context(), "a")
	require.NoError(t, err)
	require.True(t, got.Stale, "the row is read")
	up()
	require.Eventually(t, func() bool {
		_, err := table.Put(t.Context(), &item{ID: "a", N: 3})
		return err == nil
	}, time.Minute, 20*time.Millisecond)

	up = afterwritetest.Down(t, db, afterwritetest.Database)
	w, err = table.Put(t.Context(), &item{ID: "a", N: 4})
	require.NoError(t, err, "writes go on")
	require.Eventually(t, func() bool { // the connections for reads may find out later that Redis is up
		short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		return errors.Is(w.Wait(short), context.DeadlineExceeded)
	}, time.Minute, 20*time.Millisecond)
	up()
	require.NoError(t, w.Wait(t.Context()))
	require.Contains(t, failure(t, func(t testing.TB) { afterwritetest.Down(t, db, "moon") }), `"moon"`)
}

func TestNotOfTheKit(t *testing.T) {
	require.Contains(t, failure(t, func(t testing.TB) { afterwritetest.SQL(t, &afterwrite.DB{}) }), "not made by New")
}

func ExampleRefuse() {
	// In a test: t is its *testing.T, db is from New.
	refused := func(t testing.TB, db *afterwrite.DB) {
		accept := afterwritetest.Refuse(t, db, item{}, "a", "unique")
		defer accept()
		w, _ := afterwrite.Table[item](db).Put(t.Context(), &item{ID: "a"})
		var held *afterwrite.HeldError
		if !errors.As(w.Wait(t.Context()), &held) {
			t.Fatal("the program should see that it is held")
		}
	}
	_ = refused
}
