package survey

import (
	"context"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/store/internal/mapping"
	"github.com/afterwrite/afterwrite/store/internal/watching"
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
func (s *Survey) Watches(ctx context.Context) ([]Watch, error) {
	recorded, err := s.in.Recorded(ctx)
	if err != nil {
		return nil, err
	}
	var all []Watch
	for _, t := range s.in.Tables {
		if !recorded[t.Entity.Name] {
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

func (s *Survey) watchState(ctx context.Context, t *mapping.Table) (Watch, error) {
	w, err := s.in.Defined(ctx, t)
	if err != nil {
		return Watch{}, err
	}
	at, err := s.in.DB.Catalog(ctx, t.Name)
	if err != nil {
		return Watch{}, err
	}
	is := w.StateOf(s.in.DB.Dialect, at)
	state := Watch{Entity: t.Entity.Name, Table: t.Name, Missing: is.Missing, Disabled: is.Disabled, Older: is.Older,
		Blind: w.BlindOf(s.in.DB.Dialect, at)}
	state.Waiting, state.Oldest, err = s.waiting(ctx, t.Entity.Name, MaxWaiting+1)
	return state, err
}

// waiting counts the notes of an entity that no worker has handled, up to a number, and returns the time of the oldest
// of them.
func (s *Survey) waiting(ctx context.Context, entity string, most int) (n int64, oldest time.Time, err error) {
	var found struct {
		Waiting int64
		Oldest  int64
	}
	err = s.in.DB.Read(ctx).Raw(fmt.Sprintf("SELECT count(*) AS waiting, coalesce(min(noted_at), 0) AS oldest FROM "+
		"(SELECT noted_at FROM %s WHERE pairing = ? AND entity = ? LIMIT %d) AS notes", watching.ChangesTable, most),
		s.in.DB.Settings.Pair, entity).Scan(&found).Error
	if found.Oldest > 0 {
		oldest = time.UnixMilli(found.Oldest)
	}
	return found.Waiting, oldest, s.in.DB.Unavailable("count "+watching.ChangesTable, err)
}

// maxAged bounds how many notes of an entity are looked at for the oldest.
const maxAged = 1000

// OldestChanges returns when the oldest change by another program was noted that no worker has handled, by watched
// entity; entities without one are absent. Of more than a thousand it may be another.
func (s *Survey) OldestChanges(ctx context.Context) (map[string]time.Time, error) {
	recorded, err := s.in.Recorded(ctx)
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
