package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/fault"
)

func withHook(e *schema.Entity, hook store.Hook) option {
	return func(c *store.Config) { c.Hooks = map[string]store.Hook{e.Name: hook} }
}

// TestHookRefusesItsRecordsAlone: an error of a hook, one of a statement of its, and a panic
// refuse the records that provoke them, and what it wrote for the others is committed with
// their rows, once.
func TestHookRefusesItsRecordsAlone(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		hook := func(ctx context.Context, tx *gorm.DB, changes []schema.Change) error {
			for _, c := range changes {
				if err := tx.Exec("INSERT INTO beside (id, email) VALUES (?, ?)", c.ID,
					len(changes)).Error; err != nil {
					return fmt.Errorf("beside: %w", err)
				}
				switch c.ID {
				case "u0007":
					return errors.New("not this one")
				case "u0099":
					panic("nor this one")
				}
			}
			return nil
		}
		b := setup(t, url, []*schema.Entity{e}, withHook(e, hook))
		b.exec("CREATE TABLE beside (id varchar(20) PRIMARY KEY, email integer NOT NULL)")
		b.exec("INSERT INTO beside VALUES ('u0050', 0)")
		flushed := b.flush(e, accounts(100)...)
		require.Len(t, flushed.Persisted, 97)
		kinds := map[string]schema.Kind{}
		for _, r := range flushed.Refused {
			kinds[r.ID] = r.Refusal.Kind
			require.Contains(t, r.Refusal.Message, "hook: ")
			require.Empty(t, r.Refusal.Column, "the column is of another table")
		}
		require.Equal(t, map[string]schema.Kind{"u0007": schema.KindCheck, "u0099": schema.KindCheck,
			"u0050": schema.KindUnique}, kinds)
		require.Len(t, b.load(e, ids(accounts(100))...), 97)
		db := b.connect()
		defer db.Close()
		var beside int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM beside").Scan(&beside))
		require.Equal(t, 97+1, beside)
	})
}

// TestHookOfADatabaseThatIsAway: what the database does not do for a hook refuses nothing.
func TestHookOfADatabaseThatIsAway(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		b := setup(t, url, []*schema.Entity{e}, withHook(e, func(_ context.Context, tx *gorm.DB,
			_ []schema.Change) error {
			return tx.Exec("INSERT INTO nowhere VALUES (1)").Error
		}))
		f, err := b.Begin(t.Context(), e, e.Partition("u0001"))
		require.NoError(t, err)
		defer f.Rollback()
		_, err = f.Write(t.Context(), []schema.Change{put("u0001", email(1), "1")})
		require.True(t, fault.Unavailable(err), "%v", err)
		f.Rollback()
		require.Empty(t, b.load(e, "u0001"))
	})
}

// TestHookWithTheRowOrNotAtAll: a transaction that is undone takes with it what its hook wrote.
func TestHookWithTheRowOrNotAtAll(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		e := account(t)
		var deleted []bool
		b := setup(t, url, []*schema.Entity{e}, withHook(e, func(_ context.Context, tx *gorm.DB,
			changes []schema.Change) error {
			for _, c := range changes {
				deleted = append(deleted, c.Deleted)
			}
			return tx.Exec("INSERT INTO beside VALUES (1)").Error
		}))
		b.exec("CREATE TABLE beside (n integer)")
		f, err := b.Begin(t.Context(), e, e.Partition("u0001"))
		require.NoError(t, err)
		_, err = f.Write(t.Context(), []schema.Change{put("u0001", email(1), "1")})
		require.NoError(t, err)
		f.Rollback()
		b.flush(e, put("u0001", email(1), "1"))
		b.flush(e, schema.Change{ID: "u0001", Version: 2, Deleted: true})
		require.Equal(t, []bool{false, false, true}, deleted)
		db := b.connect()
		defer db.Close()
		var beside int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM beside").Scan(&beside))
		require.Equal(t, 2, beside)
	})
}
