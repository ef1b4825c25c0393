package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Bounds of one pass over the dead letters.
const (
	lettersPage    = 500              // letters per page, and letters that stay open in one pass
	lettersPages   = 8                // pages per pass, however many letters are resolved
	lettersTimeout = 10 * time.Second // of one pass
	purgeEvery     = time.Minute      // between purges that found little
	mendTime       = 3 * time.Second  // within which an operator's write is followed by the resolution of its letter
)

// round is where the leader is on its endless round of the open letters. Only one
// goroutine uses it.
type round struct {
	entity int       // position in Worker.all
	after  int64     // number of the last letter that was checked
	purge  time.Time // of the next purge
}

// tidy resolves open letters whose records have moved on, one pass at a time, and deletes letters that were resolved
// long ago. Only the leader does it; two leaders at once are harmless.
func (w *Worker) tidy(ctx context.Context) error {
	if err := w.checkPairing(); err != nil {
		return err
	}
	if !w.leading.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, lettersTimeout)
	defer cancel()
	return errors.Join(w.closeLetters(ctx), w.purge(ctx))
}

// closeLetters continues the round until it has met a page's worth of letters that stay open, or has completed a round.
// Letters that it resolves do not count, so one pass can resolve thousands that were retried.
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

// closePage resolves the letters whose records are no longer pending, held or dead at the letter's version. It leaves a
// letter open if it could not check the record.
func (w *Worker) closePage(ctx context.Context, e *schema.Entity, page []ledger.OpenLetter) (int, error) {
	ends, err := w.ends(ctx, e, page)
	if err != nil {
		return 0, err
	}
	closed := 0
	for as, letters := range ends {
		n, err := w.store.Resolve(ctx, numbersOf(letters), as, ledger.Actor{Name: sweeper, Origin: w.id})
		if err != nil {
			return closed, err
		}
		closed += n
		w.metrics.closed.WithLabelValues(e.Name, string(as)).Add(float64(n))
		w.log.Info("dead letters resolved", "entity", e.Name, "resolution", as, "letters", n)
		w.resolved(ctx, e, letters)
	}
	return closed, nil
}

func numbersOf(letters []ledger.OpenLetter) []int64 {
	numbers := make([]int64, len(letters))
	for i, l := range letters {
		numbers[i] = l.Number
	}
	return numbers
}

// byPartition groups letters by partition.
func byPartition(e *schema.Entity, letters []ledger.OpenLetter) map[int][]schema.Versioned {
	parts := map[int][]schema.Versioned{}
	for _, l := range letters {
		p := e.Partition(l.ID)
		parts[p] = append(parts[p], schema.Versioned{ID: l.ID, Version: l.Version})
	}
	return parts
}

// resolved removes the resolved letters' marks in Redis and publishes an event. Neither is required, so a failure is
// only logged.
func (w *Worker) resolved(ctx context.Context, e *schema.Entity, letters []ledger.OpenLetter) {
	for partition, records := range byPartition(e, letters) {
		err := errors.Join(w.cache.Forget(ctx, e, partition, records),
			w.cache.Tell(ctx, e, partition, "resolved", records))
		if err != nil {
			w.log.Warn("resolved dead letters not announced", "entity", e.Name, "partition", partition, "error", err)
		}
	}
}

// ends returns the letters that are to be resolved, by resolution.
func (w *Worker) ends(ctx context.Context, e *schema.Entity,
	page []ledger.OpenLetter) (map[ledger.Resolution][]ledger.OpenLetter, error) {
	fates := map[schema.Versioned]pending.Told{}
	for partition, letters := range byPartition(e, page) {
		told, err := w.cache.Fates(ctx, e, partition, letters)
		if err != nil {
			return nil, err
		}
		for i, l := range letters {
			fates[l] = told[i]
		}
	}
	ends := map[ledger.Resolution][]ledger.OpenLetter{}
	for _, l := range page {
		if as := end(l, fates[schema.Versioned{ID: l.ID, Version: l.Version}]); as != ledger.Unresolved {
			ends[as] = append(ends[as], l)
		}
	}
	return ends, nil
}

// end returns how a letter was resolved, if it was. If Redis has lost the record, the letter stays open: its payload
// may be all that is left of the record, and an operator decides.
//
// A record that was written a moment ago is left for the next round: if an operator wrote it, the letter is about to be
// resolved in the operator's name. A version in the future, by a clock that is ahead of this one, is not waited for.
func end(l ledger.OpenLetter, told pending.Told) ledger.Resolution {
	recent := told.Version > l.Version && time.Since(time.UnixMicro(int64(told.Version))).Abs() < mendTime
	switch {
	case recent, told.Fate == pending.FateWaits, told.Fate == pending.FateLost:
		return ledger.Unresolved
	case told.Fate == pending.FatePersisted:
		return ledger.Persisted
	default:
		return ledger.Superseded
	}
}

// purge deletes a batch of resolved letters and audit entries that are older than they are kept, and is due again soon
// if there are more.
func (w *Worker) purge(ctx context.Context) error {
	if time.Now().Before(w.round.purge) {
		return nil
	}
	n, err := w.store.PurgeLetters(ctx, time.Now().Add(-w.keepLetters), lettersPage)
	if err != nil {
		return err
	}
	lines := 0
	if w.keepAudit > 0 {
		if lines, err = w.store.PurgeAudit(ctx, time.Now().Add(-w.keepAudit), lettersPage); err != nil {
			return err
		}
	}
	if n < lettersPage && lines < lettersPage {
		w.round.purge = time.Now().Add(purgeEvery)
	}
	if n+lines > 0 {
		w.log.Info("old rows deleted", "resolved_dead_letters", n, "audit_lines", lines)
	}
	return nil
}
