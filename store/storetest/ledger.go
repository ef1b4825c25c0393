package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// dead inserts a letter and returns it as it is kept.
func dead(t *testing.T, l *ledger.Ledger, e *schema.Entity, id, message string) ledger.Letter {
	at := time.Date(2026, 1, 31, 12, 0, 0, 123456000, time.UTC)
	letter := ledger.Letter{
		Entity: e.Name, ID: id, Version: 7, Payload: `{"email":"é'\\"}`, Attempts: 1, AcceptedAt: at,
		DiedAt:  at.Add(time.Second),
		Refusal: schema.Refusal{Kind: schema.KindUnique, Constraint: "c", Column: "email", Message: message},
		History: []schema.Attempt{{Number: 1, At: at, Kind: schema.KindUnique, Message: message, Worker: "w"}},
	}
	require.NoError(t, l.InsertDead(t.Context(), []ledger.Letter{letter}))
	got, err := l.LetterOf(t.Context(), e.Name, id, 7)
	require.NoError(t, err)
	letter.Number = got.Number
	if got.Resolution == "" {
		require.Equal(t, letter, got)
	}
	return got
}

func letters(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	first := dead(t, l, e, "a/é'", "taken")
	require.Equal(t, first.Number, dead(t, l, e, "a/é'", "taken").Number)
	n, err := l.Resolve(t.Context(), []int64{first.Number}, ledger.Discarded, somebody)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, ledger.Discarded, dead(t, l, e, "a/é'", "taken again").Resolution)
}

func resolveOnce(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	letter := dead(t, l, e, "a", "taken")
	var wait sync.WaitGroup
	var won atomic.Int64
	for range 6 {
		wait.Go(func() {
			n, err := l.Resolve(t.Context(), []int64{letter.Number}, ledger.Discarded, somebody)
			if err != nil && !fault.Unavailable(err) {
				t.Error(err)
			}
			won.Add(int64(n))
		})
	}
	wait.Wait()
	require.EqualValues(t, 1, won.Load())
	log, err := l.AuditLog(t.Context(), ledger.AuditQuery{Entity: e.Name, ID: "a"})
	require.NoError(t, err)
	require.Len(t, log, 1)
}

func letterSearch(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	dead(t, l, e, "a", `Duplicate 100%_\ KEY `+e.Name)
	dead(t, l, e, "b", "other "+e.Name)
	for text, want := range map[string]int{`duplicate 100%_\ key`: 1, "100x": 0, "OTHER": 1, e.Name: 2} {
		n, err := l.CountLetters(t.Context(), ledger.LetterFilter{Entity: e.Name, Text: text})
		require.NoError(t, err)
		require.Equal(t, want, n, text)
	}
}

func policies(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	p := schema.DefaultRetryPolicy()
	set, err := l.SetPolicy(t.Context(), e.Name, 0, p, somebody, "first")
	require.NoError(t, err)
	require.EqualValues(t, 1, set.Version)
	_, err = l.SetPolicy(t.Context(), e.Name, 0, p, somebody, "late")
	require.ErrorIs(t, err, ledger.ErrPolicyChanged)
	current, err := l.CurrentPolicies(t.Context())
	require.NoError(t, err)
	require.Equal(t, set, current[e.Name])
}

func tokens(t *testing.T, b *bench) {
	l := b.migrated()
	_, hash := token.New()
	_, other := token.New()
	name := account(b).Name
	require.NoError(t, l.NewToken(t.Context(), token.Token{Name: name, Hash: hash}, somebody))
	require.ErrorIs(t, l.NewToken(t.Context(), token.Token{Name: name, Hash: other}, somebody), token.ErrNameTaken)
	require.NoError(t, l.RevokeToken(t.Context(), name, somebody))
	require.NoError(t, l.NewToken(t.Context(), token.Token{Name: name, Hash: other}, somebody))
	require.NoError(t, l.RevokeToken(t.Context(), name, somebody))
}
