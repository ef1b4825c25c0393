package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/internal/gather"
	"github.com/afterwrite/afterwrite/schema"
)

// Sequences draws ids from the sequence of a table's key: the store.
type Sequences interface {
	Draw(ctx context.Context, e *schema.Entity, n int) ([]string, error)
}

// Bounds of the blocks in which ids are drawn.
const (
	maxBlock = 1000 // ids of one block
	// growing: a block that is used up sooner is followed by one of twice its size, otherwise of half.
	growing = time.Second
	// stale: the rest of a block that is older is dropped, because the database may have been restored since.
	stale    = 10 * time.Second
	maxTaken = 16 // ids in a row that rows have already, after which a create fails
)

// numbers hands out the ids that the sequence of one table makes. It draws them in blocks: concurrent callers wait for
// one draw together. What is left of a block when the process ends is a gap.
type numbers struct {
	entity  *schema.Entity
	from    Sequences
	waiting int
	timeout time.Duration
	drawn   func(n int) // counts
	now     func() time.Time
	trips   *gather.Combiner[*wanted]

	// Used by the one batch that runs.
	left  []string
	size  int
	since time.Time // when the block was drawn
}

// wanted is the wait for one id.
type wanted struct {
	id  string
	err error
}

func newNumbers(e *schema.Entity, from Sequences, waiting int, timeout time.Duration, drawn func(int)) *numbers {
	s := &numbers{entity: e, from: from, waiting: waiting, timeout: timeout, drawn: drawn, now: time.Now}
	s.trips = gather.New(gather.Limits{Batches: 1, Calls: maxBlock, Waiting: waiting}, s.give)
	return s
}

// next returns an id that nothing else gets.
func (s *numbers) next(ctx context.Context) (string, error) {
	w := new(wanted)
	switch err := s.trips.Do(ctx, w); {
	case errors.Is(err, gather.ErrFull):
		return "", fmt.Errorf("%d creates wait for ids of %s: %w", s.waiting, s.entity.Name, schema.ErrBusy)
	case errors.Is(err, gather.ErrSent):
		return "", context.Cause(ctx) // nothing was written; the id is a gap
	case err != nil:
		return "", err
	}
	return w.id, w.err
}

// give hands out the rest of the block, and draws for those who get none of it.
func (s *numbers) give(ctx context.Context, some []*wanted) {
	if s.now().Sub(s.since) > stale {
		s.left = nil
	}
	for i, w := range some {
		if len(s.left) == 0 {
			if err := s.draw(ctx, len(some)-i); err != nil {
				for _, w := range some[i:] {
					w.err = err
				}
				return
			}
		}
		w.id, s.left = s.left[0], s.left[1:]
	}
}

// draw draws a block, of at least so many ids where the database gives them at once.
func (s *numbers) draw(ctx context.Context, least int) error {
	switch age := s.now().Sub(s.since); {
	case s.size == 0:
		s.size = 1
	case age < growing:
		s.size = min(2*s.size, maxBlock)
	default:
		s.size = max(s.size/2, 1)
	}
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	ids, err := s.from.Draw(within, s.entity, max(s.size, min(least, maxBlock)))
	switch {
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err == nil && len(ids) == 0:
		return fmt.Errorf("%w: %s", schema.ErrNoID, s.entity.Name)
	case err == nil:
		s.left, s.since = ids, s.now()
		s.drawn(len(ids))
		return nil
	case errors.Is(err, schema.ErrNoID), errors.Is(err, schema.ErrSchema):
		return err
	}
	return fmt.Errorf("%w: %w", schema.ErrDatabaseUnavailable, err)
}
