// Package flush gives tests the flush of a partition without a worker: lock, read, write,
// commit, and once more for each half that COMMIT refuses.
package flush

import (
	"context"
	"errors"
	"slices"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// Reader reads the batch to flush. It is called while the fence is locked.
type Reader = func(ctx context.Context) ([]schema.Change, error)

// Begin is [store.Store.Begin] or [store.Store.Isolate].
type Begin = func(ctx context.Context, e *schema.Entity, partition int) (*store.Flush, error)

// Partition flushes what read returns.
func Partition(ctx context.Context, begin Begin, e *schema.Entity, partition int, read Reader) (store.Outcome, error) {
	return some(ctx, begin, e, partition, read, nil)
}

// some flushes those of the changes that have one of the ids; nil: all.
func some(ctx context.Context, begin Begin, e *schema.Entity, n int, read Reader, ids []string) (store.Outcome, error) {
	f, err := begin(ctx, e, n)
	if err != nil {
		return store.Outcome{}, err
	}
	defer f.Rollback()
	changes, err := read(ctx)
	if err != nil {
		return store.Outcome{}, err
	}
	if ids != nil {
		changes = slices.DeleteFunc(slices.Clone(changes), func(c schema.Change) bool {
			return !slices.Contains(ids, c.ID)
		})
	}
	outcome, err := f.Write(ctx, changes)
	if err != nil {
		return store.Outcome{}, err
	}
	err = f.Commit(ctx)
	var split *store.SplitError
	if !errors.As(err, &split) {
		return outcome, err
	}
	outcome = split.Outcome
	for _, half := range split.Halves {
		more, err := some(ctx, begin, e, n, read, half)
		if err != nil {
			return store.Outcome{}, err
		}
		outcome.Add(more)
	}
	return outcome, nil
}
