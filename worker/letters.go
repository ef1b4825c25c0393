package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/store"
)

// DefaultKeepLetters is how long a resolved dead letter is kept.
const DefaultKeepLetters = 90 * 24 * time.Hour

// Bounds of one look at the dead letters.
const (
	lettersPage    = 500              // letters of one page, and of those that stay open in one look
	lettersPages   = 8                // pages, however many letters are closed
	lettersTimeout = 10 * time.Second // of one look
	purgeEvery     = time.Minute      // between purges that found little
	mendTime       = 3 * time.Second  // in which an operator's write is followed by its letter's end
)

// letters is the side of the database that lists and closes dead letters.
type letters interface {
	OpenLetters(ctx context.Context, e *afterwrite.Entity, after int64, limit int) ([]store.OpenLetter, error)
	Resolve(ctx context.Context, numbers []int64, as store.Resolution, by store.Actor) (int, error)
	PurgeLetters(ctx context.Context, before time.Time, limit int) (int, error)
}

// round is where the leader is on its endless round of the open letters. Only one
// goroutine uses it.
type round struct {
	entity int       // position in Worker.all
	after  int64     // number of the last letter that was looked at
	purge  time.Time // of the next purge
}

// tidy closes the open letters whose records have moved on, as far as a look goes, and
// deletes what was resolved long ago. Only the leader does; two at once are harmless.
func (w *Worker) tidy(ctx context.Context) error {
	if !w.leading.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lettersTimeout)
	defer cancel()
	return errors.Join(w.closeLetters(ctx), w.purgeLetters(ctx))
}

// closeLetters goes on with the round: until it has met a page's worth of letters that
// stay open, or has been everywhere. Letters that it closes cost it little, so that
// thousands which were sent back are closed in one look.
func (w *Worker) closeLetters(ctx context.Context) error {
	open, ended := 0, 0
	for range lettersPages {
		e := w.all[w.round.entity]
		page, err := w.store.OpenLetters(ctx, e, w.round.after, lettersPage)
		if err != nil {
			return err
		}
		closed, err := w.closePage(ctx, e, page)
		if err != nil {
			return fmt.Errorf("close dead letters of %s: %w", e.Name, err)
		}
		open += len(page) - closed
		if len(page) == lettersPage {
			w.round.after = page[len(page)-1].Number
		} else {
			w.round.entity, w.round.after = (w.round.entity+1)%len(w.all), 0
			ended++
		}
		if open >= lettersPage || ended == len(w.all) {
			return nil
		}
	}
	return nil
}

// closePage closes those of the letters whose records are no longer pending, held or
// dead at the letter's version. It closes none whose record it could not look at.
func (w *Worker) closePage(ctx context.Context, e *afterwrite.Entity, page []store.OpenLetter) (int, error) {
	ends, err := w.ends(ctx, e, page)
	if err != nil {
		return 0, err
	}
	closed := 0
	for as, letters := range ends {
		n, err := w.store.Resolve(ctx, numbersOf(letters), as, store.Actor{Name: sweeper, Origin: w.id})
		if err != nil {
			return closed, err
		}
		closed += n
		w.metrics.closed.WithLabelValues(e.Name, string(as)).Add(float64(n))
		w.log.Info("dead letters closed", "entity", e.Name, "resolution", as, "letters", n)
		w.tellResolved(ctx, e, letters)
	}
	return closed, nil
}

func numbersOf(letters []store.OpenLetter) []int64 {
	numbers := make([]int64, len(letters))
	for i, l := range letters {
		numbers[i] = l.Number
	}
	return numbers
}

// tellResolved tells who listens. Events are hints, so a failure is only logged.
func (w *Worker) tellResolved(ctx context.Context, e *afterwrite.Entity, letters []store.OpenLetter) {
	parts := map[int][]cache.Versioned{}
	for _, l := range letters {
		p := e.Partition(l.ID)
		parts[p] = append(parts[p], cache.Versioned{ID: l.ID, Version: l.Version})
	}
	for partition, records := range parts {
		if err := w.cache.Tell(ctx, e, partition, "resolved", records); err != nil {
			w.log.Warn("event of closed dead letters not told", "entity", e.Name, "partition", partition, "err", err)
		}
	}
}

// ends are the letters that are to be closed, by how they ended.
func (w *Worker) ends(ctx context.Context, e *afterwrite.Entity, page []store.OpenLetter) (map[store.Resolution][]store.OpenLetter, error) {
	if len(page) == 0 {
		return nil, nil
	}
	parts := map[int][]string{}
	for _, l := range page {
		p := e.Partition(l.ID)
		parts[p] = append(parts[p], l.ID)
	}
	records := map[string]cache.Cached{}
	for partition, ids := range parts {
		found, err := w.cache.Peek(ctx, bare(e), partition, ids)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			records[r.ID] = r
		}
	}
	stats, err := w.cache.Stats(ctx, e) // after the look, or a Redis emptied in between would pass for whole
	if err != nil {
		return nil, err
	}
	ends := map[store.Resolution][]store.OpenLetter{}
	for _, l := range page {
		if as := end(l, records[l.ID], stats[e.Partition(l.ID)].LastVersion); as != store.Unresolved {
			ends[as] = append(ends[as], l)
		}
	}
	return ends, nil
}

// end says how a letter ended, if it has. The record is zero where it is not cached: then
// the database has it, in the state of the letter or in a newer one, and so it is where a
// fill gave it a version of its own. A partition that never came as far as the letter's
// version belongs to a Redis that has lost its data, of which nothing can be concluded.
//
// A record that was written a moment ago is left for the next round: if an operator did it,
// the letter is about to be closed in the operator's name.
func end(l store.OpenLetter, r cache.Cached, last afterwrite.Version) store.Resolution {
	waits := r.Pending || r.Held || r.Dead
	recent := r.Version > l.Version && time.Since(time.UnixMicro(int64(r.Version))) < mendTime
	switch {
	case last < l.Version, recent, waits && r.Version <= l.Version:
		return store.Unresolved
	case waits:
		return store.Superseded
	case r.Version == l.Version, l.Retried:
		return store.Persisted
	default:
		return store.Superseded
	}
}

// purgeLetters deletes a step of the letters that were resolved longer ago than they are
// kept, and comes back soon if there are more.
func (w *Worker) purgeLetters(ctx context.Context) error {
	if time.Now().Before(w.round.purge) {
		return nil
	}
	n, err := w.store.PurgeLetters(ctx, time.Now().Add(-w.keepLetters), lettersPage)
	if err != nil {
		return err
	}
	if n < lettersPage {
		w.round.purge = time.Now().Add(purgeEvery)
	}
	if n > 0 {
		w.log.Info("resolved dead letters deleted", "letters", n)
	}
	return nil
}
