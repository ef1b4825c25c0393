package afterwrite_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Line has a key of two columns, one of which is a UUID.
type Line struct {
	Tenant string    `gorm:"primaryKey;size:40"`
	ID     uuid.UUID `gorm:"primaryKey;type:uuid"`
	Title  string    `gorm:"size:200"`
	N      int64
}

// Reading has a key of a number and a time, in a partitioned table.
type Reading struct {
	Sensor int64     `gorm:"primaryKey;autoIncrement:false"`
	At     time.Time `gorm:"primaryKey"`
	Value  float64
}

// Member is a join table: nothing but its key.
type Member struct {
	Team int64  `gorm:"primaryKey;autoIncrement:false"`
	User string `gorm:"primaryKey;size:40"`
}

// TestModelsWithSeveralKeys: a model with two primary keys is named by a Key, a struct, or the text of its id.
func TestModelsWithSeveralKeys(t *testing.T) {
	testkit.Databases(t, func(t *testing.T, url string) {
		ctx := t.Context()
		g := gormOf(t, url)
		require.NoError(t, g.AutoMigrate(&Line{}, &Reading{}, &Member{}))
		two := afterwrite.Partitions(2)
		db := open(t, url, afterwrite.Model[Line](two), afterwrite.Model[Reading](two), afterwrite.Model[Member](two))

		lines := afterwrite.Table[Line](db)
		one := Line{Tenant: "a/b~", Title: "first"}
		w, err := lines.Put(ctx, &one) // the UUID is made
		require.NoError(t, err)
		require.NotEqual(t, uuid.Nil, one.ID)
		require.Equal(t, "a=2Fb=7E~"+one.ID.String(), w.ID)
		for _, id := range []any{afterwrite.Key{"a/b~", one.ID}, afterwrite.Key{"a/b~", one.ID.String()}, one, &one, w.ID,
			Line{Tenant: one.Tenant, ID: one.ID}} {
			got, err := lines.Get(ctx, id)
			require.NoError(t, err, "%T", id)
			require.Equal(t, one, got.Value)
		}
		for _, bad := range []any{afterwrite.Key{"a"}, afterwrite.Key{"a", "x"}, afterwrite.Key{nil, one.ID},
			Line{Tenant: "a"}, 7, nil, "a", (*Line)(nil), Reading{}} {
			_, err := lines.Get(ctx, bad)
			require.ErrorIs(t, err, afterwrite.ErrInvalid, "%#v", bad)
		}
		w, err = lines.Patch(ctx, one, afterwrite.Set("Title", "second"), afterwrite.Set("Tenant", "a/b~"))
		require.NoError(t, err)
		_, err = lines.Patch(ctx, one, afterwrite.Set("Tenant", "other"))
		require.ErrorIs(t, err, afterwrite.ErrInvalid)
		n, w2, err := lines.Add(ctx, one, "N", 5)
		require.NoError(t, err)
		require.EqualValues(t, 5, n)
		require.NoError(t, w.Wait(ctx))
		require.NoError(t, w2.Wait(ctx))
		w, err = lines.Update(ctx, one, func(l *Line) error { l.N++; return nil })
		require.NoError(t, err)
		require.NoError(t, w.Wait(ctx))
		_, err = lines.Update(ctx, one, func(l *Line) error { l.Tenant = "other"; return nil })
		require.ErrorIs(t, err, afterwrite.ErrInvalid)
		var row Line
		require.NoError(t, g.First(&row, "tenant = ? AND id = ?", one.Tenant, one.ID).Error)
		require.Equal(t, Line{one.Tenant, one.ID, "second", 6}, row)
		require.NoError(t, lines.Invalidate(ctx, one))
		again := Line{Tenant: "keyed"}
		made, err := lines.Create(ctx, &again, afterwrite.IdempotencyKey("k"))
		require.NoError(t, err)
		repeat, err := lines.Create(ctx, &Line{Tenant: "keyed"}, afterwrite.IdempotencyKey("k"))
		require.NoError(t, err)
		require.Equal(t, made.ID, repeat.ID)
		_, err = lines.Create(ctx, &again)
		require.ErrorIs(t, err, afterwrite.ErrExists)
		w, err = lines.Delete(ctx, one)
		require.NoError(t, err)
		require.NoError(t, w.Wait(ctx))
		require.Error(t, g.First(&row, "tenant = ?", one.Tenant).Error)

		at := time.Date(2026, 1, 31, 12, 0, 0, 123456789, time.FixedZone("", 3600))
		readings := afterwrite.Table[Reading](db)
		w, err = readings.Put(ctx, &Reading{7, at, 0.5})
		require.NoError(t, err)
		digits := "123456"
		if g.Name() == "mysql" { // as gorm has it there
			digits = "123"
		}
		require.Equal(t, "7~2026-01-31T11:00:00."+digits+"Z", w.ID)
		require.NoError(t, w.Wait(ctx))
		got, err := readings.Get(ctx, afterwrite.Key{7, at})
		require.NoError(t, err)
		require.InDelta(t, 0.5, got.Value.Value, 0)
		_, err = readings.Put(ctx, &Reading{})
		require.ErrorIs(t, err, afterwrite.ErrInvalid)

		members := afterwrite.Table[Member](db)
		w, err = members.Put(ctx, &Member{3, "ada"})
		require.NoError(t, err)
		require.NoError(t, w.Wait(ctx))
		w, err = members.Put(ctx, &Member{3, "ada"})
		require.NoError(t, err)
		require.NoError(t, w.Wait(ctx))
		many, err := members.GetMany(ctx, Member{3, "ada"}, afterwrite.Key{3, "bob"})
		require.NoError(t, err)
		require.Len(t, many, 1)

		var text bytes.Buffer
		require.NoError(t, db.WriteConfig(&text))
		require.Contains(t, text.String(), `id: {columns: ["tenant", "id"]}`)
	})
}
