package store

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/store/catalog"
)

// Watch is the state of an entity's table that is watched.
type Watch struct {
	Entity, Table string
	Missing       []string // triggers that are not there
	Disabled      []string // triggers that do not fire
	Older         []string // triggers of another definition than today's
	Blind         []string // what no trigger sees, a sentence each
	Waiting       int64    // records whose change no worker has handled, at most [MaxWaiting]+1
	Oldest        time.Time
}

// MaxWaiting bounds how far the notes of an entity are counted.
const MaxWaiting = 100_000

// Fine reports whether all triggers are there, as they should be.
func (w Watch) Fine() bool { return len(w.Missing)+len(w.Disabled)+len(w.Older) == 0 }

// Watches returns the state of every watched entity, in the configuration's order.
func (s *Store) Watches(ctx context.Context) ([]Watch, error) {
	recorded, err := s.recordedWatches(ctx)
	if err != nil {
		return nil, err
	}
	var all []Watch
	for _, t := range s.entries {
		if !recorded[t.entity.Name] {
			continue
		}
		one, err := s.watchState(ctx, t)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

func (s *Store) watchState(ctx context.Context, t *table) (Watch, error) {
	w, err := s.defined(ctx, t)
	if err != nil {
		return Watch{}, err
	}
	at, err := s.catalog(ctx, t.name)
	if err != nil {
		return Watch{}, err
	}
	state := s.stateOf(w, at)
	state.Blind = s.blindOf(t, at)
	state.Waiting, state.Oldest, err = s.waiting(ctx, t.entity.Name, MaxWaiting+1)
	return state, err
}

// waiting counts the notes of an entity that no worker has handled, up to a number, and returns the time of the oldest
// of them.
func (s *Store) waiting(ctx context.Context, entity string, most int) (n int64, oldest time.Time, err error) {
	var found struct {
		Waiting int64
		Oldest  int64
	}
	err = s.read(ctx).Raw(fmt.Sprintf("SELECT count(*) AS waiting, coalesce(min(noted_at), 0) AS oldest FROM "+
		"(SELECT noted_at FROM %s WHERE pairing = ? AND entity = ? LIMIT %d) AS notes", changesTable, most),
		s.cfg.Pair, entity).Scan(&found).Error
	if found.Oldest > 0 {
		oldest = time.UnixMilli(found.Oldest)
	}
	return found.Waiting, oldest, s.unavailable("count "+changesTable, err)
}

// maxAged bounds how many notes of an entity are looked at for the oldest.
const maxAged = 1000

// OldestChanges returns when the oldest change by another program was noted that no worker has handled, by watched
// entity; entities without one are absent. Of more than a thousand it may be another.
func (s *Store) OldestChanges(ctx context.Context) (map[string]time.Time, error) {
	recorded, err := s.recordedWatches(ctx)
	if err != nil {
		return nil, err
	}
	all := map[string]time.Time{}
	for name := range recorded {
		n, oldest, err := s.waiting(ctx, name, maxAged)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			all[name] = oldest
		}
	}
	return all, nil
}

// stateOf compares the triggers that a table has with those that it should have.
func (s *Store) stateOf(w *watching, at *catalog.Table) Watch {
	state := Watch{Entity: w.entity.Name, Table: w.table.name}
	_, want := s.dialect.triggers(w)
	function := s.dialect.function(w)
	own := w.own(at)
	isWanted := func(name string) bool {
		return slices.ContainsFunc(want, func(t watchTrigger) bool { return t.name == name })
	}
	for _, trigger := range own {
		switch {
		case !isWanted(trigger.Name), function != "" && trigger.Source != function:
			state.Older = append(state.Older, trigger.Name)
		case !trigger.Enabled:
			state.Disabled = append(state.Disabled, trigger.Name)
		}
	}
	for _, trigger := range want {
		there := slices.ContainsFunc(own, func(t catalog.Trigger) bool { return t.Name == trigger.name })
		if !there && len(state.Older) == 0 {
			state.Missing = append(state.Missing, trigger.name)
		}
	}
	return state
}

// blindOf names the foreign keys through which the database changes rows of a table without
// running triggers.
func (s *Store) blindOf(t *table, at *catalog.Table) []string {
	why := s.dialect.unseen()
	if why == "" {
		return nil
	}
	var lines []string
	for _, key := range at.ForeignKeys {
		changes := func(action string) bool {
			return slices.Contains([]string{"CASCADE", "SET NULL", "SET DEFAULT"}, action)
		}
		if changes(key.OnDelete) || changes(key.OnUpdate) {
			lines = append(lines, fmt.Sprintf("rows of %s that the foreign key %s to %s changes are not noted: %s",
				t.name, key.Name, key.RefTable, why))
		}
	}
	return lines
}
