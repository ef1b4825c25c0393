package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

const (
	notesEvery   = 500 * time.Millisecond // between reads of the notes
	notesBatch   = 500                    // read at once
	notesTimeout = 30 * time.Second       // of one pass over them
	notesLogged  = 3                      // ids of conflicts that a log line names
)

// followNotes drops the records whose rows other programs have changed from the cache, as the triggers of watched
// tables note them (store/watch.go), if this worker is the leader. It passes over all notes once, in the order of their
// ids and not of their time: a transaction may commit a note behind the place that the pass has reached, and the next
// pass finds it. A note is deleted after its record was dropped, so a crash in between repeats the drop.
func (w *Worker) followNotes(ctx context.Context) error {
	if !w.leading.Load() {
		return nil
	}
	if err := w.checkPairing(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, notesTimeout)
	defer cancel()
	for after, more := (store.Note{}), true; more; {
		notes, err := w.store.Notes(ctx, after, notesBatch)
		if err != nil {
			return fmt.Errorf("read the notes of other programs' changes: %w", err)
		}
		if more = len(notes) == notesBatch; more {
			after = notes[len(notes)-1]
		}
		for len(notes) > 0 {
			n := slices.IndexFunc(notes, func(o store.Note) bool { return o.Entity != notes[0].Entity })
			if n < 0 {
				n = len(notes)
			}
			// Notes of an entity that this worker does not know wait for one that does.
			if e := w.entities[notes[0].Entity]; e != nil {
				if err := w.followEntity(ctx, e, notes[:n]); err != nil {
					return err
				}
			}
			notes = notes[n:]
		}
	}
	return nil
}

// followEntity handles notes of one entity. Some are about rows that no record can have.
func (w *Worker) followEntity(ctx context.Context, e *schema.Entity, notes []store.Note) error {
	ids := make([]string, 0, len(notes))
	for _, n := range notes {
		if n.Record != "" {
			ids = append(ids, n.Record)
		}
	}
	err := w.rowsChanged(ctx, e, ids)
	if err == nil && notes[0].ID == "" {
		w.log.Info("any row may have changed; the entity is dropped from the cache", "entity", e.Name, "table", e.Table)
		err = w.cache.AnyRowChanged(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("drop %d changed records of %s: %w", len(notes), e.Name, err)
	}
	w.metrics.noted.WithLabelValues(e.Name).Add(float64(len(notes)))
	if err := w.store.ForgetNotes(ctx, e, notes); err != nil {
		return fmt.Errorf("forget %d changed records of %s: %w", len(notes), e.Name, err)
	}
	return nil
}

// rowsChanged drops records whose rows another program changed from the cache. Those that are not persisted are
// conflicts, and their acks drop them: the notes that a flush finds of its own records are handled before their acks.
func (w *Worker) rowsChanged(ctx context.Context, e *schema.Entity, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	conflicts, err := w.cache.RowsChanged(ctx, e, ids)
	if len(conflicts) > 0 {
		w.log.Warn("another program changed rows whose records are not persisted", "entity", e.Name,
			"conflicts", len(conflicts), "first", conflicts[:min(notesLogged, len(conflicts))],
			"hint", "their writes keep the fields that they name; the others are read from the row when they are persisted")
	}
	return err
}
