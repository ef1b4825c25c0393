package storetest

import (
	"context"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func list(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	ids := []string{"10", "2", "A", "B", "a", "b", "é", "😀"} // in the order of their bytes
	var changes []schema.Change
	for i, id := range ids {
		changes = append(changes, put(id, "null", strconv.Itoa(i%2)))
	}
	b.flush(l, e, changes...)
	var got []string
	for after := ""; ; after = got[len(got)-1] {
		page, err := l.List(t.Context(), e, store.Query{After: after, Limit: 3})
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, row := range page {
			got = append(got, row.ID)
		}
	}
	require.Equal(t, ids, got)
	odd, err := l.List(t.Context(), e, store.Query{Equal: map[int]string{1: "1", 0: "null"}})
	require.NoError(t, err)
	require.Len(t, odd, 4)
}

func partitions(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	for range 2 {
		stored, err := l.Adopt(t.Context(), e)
		require.NoError(t, err)
		require.Equal(t, e.Partitions, stored)
	}
	more := *e
	more.Partitions = 32
	stored, err := l.Adopt(t.Context(), &more)
	require.NoError(t, err)
	require.Equal(t, e.Partitions, stored)
	require.NoError(t, l.SetPartitions(t.Context(), &more))
	stored, err = l.Adopt(t.Context(), e)
	require.NoError(t, err)
	require.Equal(t, 32, stored)
}

func through(t *testing.T, b *bench) {
	e := account(b)
	l := b.migrated(e)
	b.flush(l, e, put("a", "null", "0"))
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for range 5 {
				_, err := l.Through(t.Context(), e, "a", func(_ context.Context, row schema.Row,
					_, _ string) (schema.Change, error) {
					n, err := strconv.Atoi(row.Values[1])
					return put("a", "null", strconv.Itoa(n+1)), err
				}, nil)
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	require.Equal(t, "20", b.load(l, e, "a")["a"][1])
}

var somebody = ledger.Actor{Name: "storetest", Origin: "storetest"}
