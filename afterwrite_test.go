package afterwrite_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/afterwritetest"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

type User struct {
	ID        string  `gorm:"primaryKey;size:64"`
	Name      string  `gorm:"size:200;not null"`
	Email     *string `gorm:"size:320;uniqueIndex"`
	Age       int     `afterwrite:"min=0,max=150"`
	Plan      string  `gorm:"default:free"`
	Invited   string  `gorm:"<-:create"`
	Logins    int64
	Profile   map[string]any `gorm:"serializer:json"`
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt `gorm:"index"`
}

type Counter struct {
	ID string `gorm:"primaryKey"`
	N  int64
}

func TestTable(t *testing.T) {
	began := time.Now()
	db := afterwritetest.New(t, afterwrite.Model[User](), afterwrite.Model[Counter]())
	t.Logf("open after %s", time.Since(began))
	ctx := t.Context()
	users := afterwrite.Table[User](db)

	u := User{Name: "Ada", Invited: "by Bob", Profile: map[string]any{"a": "b"}}
	w, err := users.Put(ctx, &u)
	require.NoError(t, err)
	require.Len(t, u.ID, 36)
	require.Equal(t, "free", u.Plan)
	require.False(t, u.CreatedAt.IsZero())
	got, err := users.Get(ctx, u.ID)
	require.NoError(t, err)
	require.Equal(t, u, got.Value)
	require.Equal(t, w.Version, got.Version)
	afterwritetest.RequirePersisted(t, w)

	w, err = users.Patch(ctx, u.ID, afterwrite.Set("Age", 37),
		afterwrite.Assign(func(u *User) *string { return &u.Name }, "Ada L."), afterwrite.IfMatch(w.Version))
	require.NoError(t, err)
	_, err = users.Patch(ctx, u.ID, afterwrite.Set("Age", 38), afterwrite.IfMatch(got.Version))
	require.ErrorIs(t, err, afterwrite.ErrVersionMismatch)
	_, err = users.Patch(ctx, u.ID, afterwrite.Set("Age", 151))
	require.ErrorIs(t, err, afterwrite.ErrInvalid)
	_, err = users.Patch(ctx, u.ID, afterwrite.Set("Agee", 15))
	require.ErrorIs(t, err, afterwrite.ErrInvalid)
	_, err = users.Patch(ctx, u.ID, afterwrite.Set("Invited", "x"))
	require.ErrorIs(t, err, afterwrite.ErrInvalid)
	n, w, err := users.Add(ctx, u.ID, "Logins", 2)
	require.NoError(t, err)
	require.EqualValues(t, 2, n)
	w, err = users.Update(ctx, u.ID, func(u *User) error { u.Logins++; u.Email = new("a@x.org"); return nil })
	require.NoError(t, err)
	boom := errors.New("no")
	_, err = users.Update(ctx, u.ID, func(*User) error { return boom })
	require.ErrorIs(t, err, boom)
	got, err = users.Get(ctx, u.ID)
	require.NoError(t, err)
	require.Equal(t, 37, got.Value.Age)
	require.Equal(t, "Ada L.", got.Value.Name)
	require.EqualValues(t, 3, got.Value.Logins)
	require.Equal(t, "a@x.org", *got.Value.Email)
	require.False(t, got.Value.UpdatedAt.Before(u.UpdatedAt))

	// A Put keeps what is written at creation alone.
	got.Value.Invited = "by nobody"
	_, err = users.Put(ctx, &got.Value)
	require.NoError(t, err)
	got, err = users.Get(ctx, u.ID)
	require.NoError(t, err)
	require.Equal(t, "by Bob", got.Value.Invited)
	_, err = users.Create(ctx, &got.Value)
	require.ErrorIs(t, err, afterwrite.ErrExists)

	many, err := users.GetMany(ctx, "none", u.ID)
	require.NoError(t, err)
	require.Len(t, many, 1)

	w, err = users.Delete(ctx, u.ID)
	require.NoError(t, err)
	_, err = users.Get(ctx, u.ID)
	require.ErrorIs(t, err, afterwrite.ErrNotFound)
	for _, write := range []func() error{
		func() error { _, err := users.Patch(ctx, u.ID, afterwrite.Set("Age", 1)); return err },
		func() error { _, _, err := users.Add(ctx, u.ID, "Logins", 1); return err },
		func() error { _, err := users.Delete(ctx, u.ID); return err },
		func() error { _, err := users.Update(ctx, u.ID, func(*User) error { return nil }); return err },
	} {
		require.ErrorIs(t, write(), afterwrite.ErrNotFound)
	}
	afterwritetest.RequirePersisted(t, w)
	var rows, live int
	require.NoError(t, afterwritetest.SQL(t,
		db).QueryRow("SELECT count(*), count(*) FILTER (WHERE deleted_at IS NULL) FROM users").Scan(&rows, &live))
	require.Equal(t, []int{1, 0}, []int{rows, live})

	counters := afterwrite.Table[Counter](db)
	_, err = counters.Put(ctx, &Counter{ID: "c"})
	require.NoError(t, err)
	for range 3 {
		_, _, err = counters.Add(ctx, "c", "N", 5, afterwrite.IdempotencyKey("once"))
		require.NoError(t, err)
	}
	_, err = counters.Delete(ctx, "c")
	require.NoError(t, err)
	_, err = counters.Get(ctx, "c")
	require.ErrorIs(t, err, afterwrite.ErrNotFound)
	afterwritetest.Flush(t, db)

	_, err = afterwrite.Table[time.Time](db).Get(ctx, "x")
	require.ErrorIs(t, err, afterwrite.ErrUnknownModel)
}

func TestKeyedPutIsOneWrite(t *testing.T) {
	db := afterwritetest.New(t, afterwrite.Model[User]())
	users := afterwrite.Table[User](db)
	first := User{Name: "Ada"}
	w, err := users.Put(t.Context(), &first, afterwrite.IdempotencyKey("k"))
	require.NoError(t, err)
	second := User{Name: "Ada"}
	again, err := users.Put(t.Context(), &second, afterwrite.IdempotencyKey("k"))
	require.NoError(t, err)
	require.True(t, again.Repeated)
	require.Equal(t, w.Version, again.Version)
	require.Equal(t, first.ID, second.ID)
	_, err = users.Put(t.Context(), &User{Name: "Bob"}, afterwrite.IdempotencyKey("k"))
	require.ErrorIs(t, err, afterwrite.ErrKeyReused)
}

func TestFates(t *testing.T) {
	db := afterwritetest.New(t, afterwrite.Model[Counter](afterwrite.Retry(schema.RetryPolicy{MaxAttempts: 2,
		Base: 10 * time.Second, Jitter: "none"})))
	counters := afterwrite.Table[Counter](db)
	accept := afterwritetest.Refuse(t, db, Counter{}, "bad", "check")
	w, err := counters.Put(t.Context(), &Counter{ID: "bad"})
	require.NoError(t, err)
	var held *afterwrite.HeldError
	require.ErrorAs(t, w.Wait(t.Context()), &held)
	require.EqualValues(t, "check", held.Refusal.Kind)
	afterwritetest.Flush(t, db)
	var dead *afterwrite.DeadError
	testkit.Eventually(t, "it is dead", func() bool { return errors.As(w.Wait(t.Context()), &dead) })
	accept()
	w, err = counters.Put(t.Context(), &Counter{ID: "bad"})
	require.NoError(t, err)
	afterwritetest.RequirePersisted(t, w)
}

func TestContextThatEnded(t *testing.T) {
	db := afterwritetest.New(t, afterwrite.Model[Counter]())
	counters := afterwrite.Table[Counter](db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := counters.Put(ctx, &Counter{ID: "a"})
	require.ErrorIs(t, err, context.Canceled)
	_, err = counters.Get(t.Context(), "a")
	require.ErrorIs(t, err, afterwrite.ErrNotFound)
}
