package afterwrite_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/afterwritetest"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// Account is a record with a rule of its own: no overdraft, and no deletion of what is left.
type Account struct {
	ID        string `gorm:"primaryKey"`
	Name      string
	Balance   int64
	Level     string
	DeletedAt gorm.DeletedAt
}

var errOverdrawn = errors.New("is overdrawn")

func rule(ctx context.Context, a *Account) error {
	a.Name = strings.TrimSpace(a.Name)
	switch {
	case a.Balance < 0:
		return errOverdrawn
	case afterwrite.Operation(ctx) == "delete" && a.Balance > 0:
		return errors.New("has money left")
	}
	if a.Level = "plain"; a.Balance >= 1000 {
		a.Level = "gold"
	}
	return nil
}

func accounts(t *testing.T) (*afterwrite.DB, *afterwrite.TableOf[Account]) {
	db := afterwritetest.New(t, afterwrite.Model[Account](afterwrite.BeforeAccept(rule)))
	return db, afterwrite.Table[Account](db)
}

func requireAccount(t *testing.T, table *afterwrite.TableOf[Account], want Account) {
	t.Helper()
	got, err := table.Get(t.Context(), want.ID)
	require.NoError(t, err)
	require.Equal(t, want, got.Value)
}

// TestBeforeAcceptHoldsForEveryWrite tries each way to write past a rule.
func TestBeforeAcceptHoldsForEveryWrite(t *testing.T) {
	db, table := accounts(t)
	ctx := t.Context()
	_, err := table.Put(ctx, &Account{ID: "a", Balance: -1})
	require.ErrorIs(t, err, errOverdrawn)
	_, err = table.Create(ctx, &Account{ID: "a", Balance: -1})
	require.ErrorIs(t, err, errOverdrawn)
	_, err = table.Put(ctx, &Account{ID: "a", Name: " Ada ", Balance: 10})
	require.NoError(t, err)
	_, err = table.Patch(ctx, "a", afterwrite.Set("Balance", -1))
	require.ErrorIs(t, err, errOverdrawn)
	require.ErrorIs(t, err, afterwrite.ErrInvalid)
	_, err = table.Update(ctx, "a", func(a *Account) error { a.Balance = -1; return nil })
	require.ErrorIs(t, err, errOverdrawn)
	_, _, err = table.Add(ctx, "a", "Balance", -11)
	require.ErrorIs(t, err, errOverdrawn)
	_, err = table.Delete(ctx, "a")
	require.ErrorContains(t, err, "has money left")
	requireAccount(t, table, Account{ID: "a", Name: "Ada", Balance: 10, Level: "plain"})

	n, w, err := table.Add(ctx, "a", "Balance", 990, afterwrite.IdempotencyKey("k"))
	require.NoError(t, err)
	require.EqualValues(t, 1000, n)
	requireAccount(t, table, Account{ID: "a", Name: "Ada", Balance: 1000, Level: "gold"})
	n, again, err := table.Add(ctx, "a", "Balance", 990, afterwrite.IdempotencyKey("k"))
	require.NoError(t, err)
	require.EqualValues(t, 1000, n)
	require.True(t, again.Repeated)
	require.Equal(t, w.Version, again.Version)
	_, err = table.Patch(ctx, "a", afterwrite.Set("Balance", 0), afterwrite.IfMatch(w.Version))
	require.NoError(t, err)
	_, err = table.Patch(ctx, "a", afterwrite.Set("Balance", 5), afterwrite.IfMatch(w.Version))
	require.ErrorIs(t, err, afterwrite.ErrVersionMismatch)
	_, err = table.Delete(ctx, "a")
	require.NoError(t, err)
	_, err = table.Get(ctx, "a")
	require.ErrorIs(t, err, afterwrite.ErrNotFound)
	afterwritetest.Flush(t, db)
}

func TestBeforeAcceptHoldsForTheAPI(t *testing.T) {
	db, table := accounts(t)
	api := db.API(afterwrite.APIConfig{})
	send := func(method, path, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		if method == http.MethodPatch {
			r.Header.Set("Content-Type", "application/merge-patch+json")
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, r)
		return w
	}
	answer := send("PUT", "/v1/account/a", `{"name":"x","balance":-1,"level":"x"}`)
	require.Equal(t, 422, answer.Code, answer.Body)
	require.Contains(t, answer.Body.String(), errOverdrawn.Error())
	require.Equal(t, 202, send("PUT", "/v1/account/a", `{"name":" x ","balance":10,"level":"x"}`).Code)
	requireAccount(t, table, Account{ID: "a", Name: "x", Balance: 10, Level: "plain"})
	require.Equal(t, 422, send("PATCH", "/v1/account/a", `{"balance":-1}`).Code)
	require.Equal(t, 422, send("POST", "/v1/account/a/increment", `{"balance":-11}`).Code)
	require.Equal(t, 202, send("POST", "/v1/account/a/increment", `{"balance":990}`).Code)
	require.Equal(t, 422, send("DELETE", "/v1/account/a", "").Code)
	requireAccount(t, table, Account{ID: "a", Name: "x", Balance: 1000, Level: "gold"})
}

// TestBeforeAcceptCountsEveryAddition: additions that a hook looks at count each, though it
// sees one version each.
func TestBeforeAcceptCountsEveryAddition(t *testing.T) {
	_, table := accounts(t)
	ctx := t.Context()
	_, err := table.Put(ctx, &Account{ID: "a"})
	require.NoError(t, err)
	var all sync.WaitGroup
	var added atomic.Int64
	for range 8 {
		all.Go(func() {
			for range 5 {
				_, _, err := table.Add(ctx, "a", "Balance", 1)
				switch {
				case err == nil:
					added.Add(1)
				case !errors.Is(err, afterwrite.ErrBusy):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	got, err := table.Get(ctx, "a")
	require.NoError(t, err)
	require.Equal(t, added.Load(), got.Value.Balance)
	require.Positive(t, added.Load())
}

// Entry is what a hook writes beside a record.
type Entry struct {
	N       uint
	Account string `gorm:"uniqueIndex"`
	Balance int64
}

func (Entry) TableName() string { return "journal" }

// TestInTransaction writes a table of the program's own with each flush, through its own gorm.
func TestInTransaction(t *testing.T) {
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		g := gormOf(t, url)
		require.NoError(t, g.Exec("CREATE TABLE journal (n integer, account varchar(64), balance bigint)").Error)
		db, err := afterwrite.Open(t.Context(), afterwrite.Config{
			Redis: ownRedis(t, testkit.SharedRedis(t)), GORM: g, Prefix: testkit.Prefix(t), Logger: testkit.Logger(t),
		}, afterwrite.Model[Account](afterwrite.InTransaction(
			func(ctx context.Context, tx *gorm.DB, changes []afterwrite.Flushed[Account]) error {
				for _, c := range changes {
					if err := tx.WithContext(ctx).Create(&Entry{Account: c.ID,
						Balance: c.Value.Balance}).Error; err != nil {
						return err
					}
					if c.Value.Name == "refused" {
						return errors.New("the journal does not take it")
					}
				}
				return nil
			})))
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, db.Close()) })
		require.NoError(t, db.Migrate(t.Context()))
		table := afterwrite.Table[Account](db)
		var written []afterwrite.Written
		for _, id := range strings.Split("abcdefghij", "") {
			a := Account{ID: id, Balance: 7}
			if id == "e" {
				a.Name = "refused"
			}
			w, err := table.Put(t.Context(), &a)
			require.NoError(t, err)
			written = append(written, w)
		}
		go func() { _ = db.Work(t.Context()) }()
		for i, w := range written {
			err := w.Wait(t.Context())
			if i == 4 {
				var held *afterwrite.HeldError
				require.ErrorAs(t, err, &held)
				require.Equal(t, schema.KindCheck, held.Refusal.Kind)
				continue
			}
			require.NoError(t, err)
		}
		var journal []string
		require.NoError(t, g.Model(&Entry{}).Where("balance = 7").Order("account").Pluck("account", &journal).Error)
		require.Equal(t, []string{"a", "b", "c", "d", "f", "g", "h", "i", "j"}, slices.Compact(journal))
	})
}

// TestAfterPersist: the hook sees each version that became a row, and one that fails sees it
// again.
func TestAfterPersist(t *testing.T) {
	var mu sync.Mutex
	var seen []afterwrite.Flushed[Account]
	fail := true
	db := afterwritetest.New(t, afterwrite.Model[Account](afterwrite.AfterPersist(
		func(_ context.Context, changes []afterwrite.Flushed[Account]) error {
			mu.Lock()
			defer mu.Unlock()
			if fail {
				fail = false
				panic("the first time")
			}
			seen = append(seen, changes...)
			return nil
		})))
	table := afterwrite.Table[Account](db)
	w, err := table.Put(t.Context(), &Account{ID: "a", Balance: 3})
	require.NoError(t, err)
	afterwritetest.RequirePersisted(t, w)
	mu.Lock()
	defer mu.Unlock()
	require.False(t, fail)
	require.NotEmpty(t, seen)
	require.Equal(t, afterwrite.Flushed[Account]{ID: "a", Version: w.Version, Value: Account{ID: "a", Balance: 3}},
		seen[0])
}

func TestHooksOfAnotherModel(t *testing.T) {
	for _, option := range []afterwrite.ModelOption{
		afterwrite.BeforeAccept(rule),
		afterwrite.AfterPersist(func(context.Context, []afterwrite.Flushed[Account]) error { return nil }),
	} {
		_, err := afterwrite.Open(t.Context(), afterwrite.Config{RedisURL: "redis://x", DatabaseURL: "sqlite://x"},
			afterwrite.Model[Counter](option))
		require.ErrorContains(t, err, "takes a afterwrite_test.Account")
	}
	_, err := afterwrite.Open(t.Context(), afterwrite.Config{RedisURL: "redis://x", DatabaseURL: "sqlite://x"},
		afterwrite.Model[Account](
			afterwrite.WriteMode(schema.WriteThrough),
			afterwrite.AfterPersist(func(context.Context, []afterwrite.Flushed[Account]) error { return nil })))
	require.ErrorContains(t, err, "written behind")
}
