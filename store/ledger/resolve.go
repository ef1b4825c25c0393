package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// Retried marks open letters as retried and returns how many were open. They stay open until the record is persisted,
// or dies again.
func (l *Ledger) Retried(ctx context.Context, numbers []int64, by Actor) (int, error) {
	return l.touch(ctx, "dead.retry", numbers, by, "retried_at = ?", kit.Instant(time.Now()))
}

// Resolve resolves those of the letters that are open and returns how many there were. A letter is resolved once: a
// second call changes nothing. Each resolved letter gets an audit entry in the same transaction.
func (l *Ledger) Resolve(ctx context.Context, numbers []int64, as Resolution, by Actor) (int, error) {
	if !slices.Contains([]Resolution{Persisted, Superseded, Edited, Discarded}, as) {
		return 0, fmt.Errorf("resolve dead letters: %q is not a resolution", as)
	}
	return l.touch(ctx, "dead."+string(as), numbers, by,
		"resolution = ?, resolved_at = ?, resolver = ?", string(as), kit.Instant(time.Now()), by.Name)
}

// touch changes open letters and audits each.
func (l *Ledger) touch(ctx context.Context, action string, numbers []int64, by Actor, set string, args ...any) (int,
	error) {
	touched := 0
	err := l.db.Change(ctx, fmt.Sprintf("%s of %d letters", action, len(numbers)), func(db *gorm.DB) error {
		for some := range slices.Chunk(numbers, lettersPerStatement) {
			n, err := l.touchSome(db, action, some, by, set, args)
			if err != nil {
				return err
			}
			touched += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return touched, nil
}

func (l *Ledger) touchSome(db *gorm.DB, action string, numbers []int64, by Actor, set string, args []any) (int, error) {
	// The condition skips a letter that another transaction resolves meanwhile, so the update itself shows which
	// letters were open, not a read before it.
	var open []auditRow
	update := "UPDATE afterwrite_dead_letters SET " + set + " WHERE number IN ? AND resolution = ''"
	args = append(slices.Clone(args), numbers)
	var err error
	if l.db.Dialect.Name() == "mysql" { // its UPDATE returns no rows: they are locked first
		err = db.Raw(`SELECT entity, id, version FROM afterwrite_dead_letters
			WHERE number IN ? AND resolution = '' ORDER BY number FOR UPDATE`, numbers).Scan(&open).Error
		if err == nil {
			err = db.Exec(update, args...).Error
		}
	} else {
		err = db.Raw(update+" RETURNING entity, id, version", args...).Scan(&open).Error
	}
	if err != nil || len(open) == 0 {
		return 0, err
	}
	at := kit.Instant(time.Now())
	for i := range open {
		open[i].At, open[i].Actor, open[i].Origin, open[i].Action, open[i].Detail = at, by.Name, by.Origin, action, "{}"
	}
	return len(open), db.Table("afterwrite_audit").Create(&open).Error
}

// OpenLetter identifies an open letter.
type OpenLetter struct {
	Number  int64
	ID      string
	Version schema.Version
}

// OpenLetters returns up to limit open letters of an entity with numbers above after, in order. The sweeper walks them
// to resolve letters that were superseded.
func (l *Ledger) OpenLetters(ctx context.Context, e *schema.Entity, after int64, limit int) ([]OpenLetter, error) {
	defer l.db.Metrics.Time("letters")()
	var open []OpenLetter
	err := l.db.Read(ctx).Raw(`SELECT number, id, version FROM afterwrite_dead_letters
		WHERE entity = ? AND resolution = '' AND number > ? ORDER BY number LIMIT ?`, e.Name, after, min(max(1, limit), store.MaxListLimit)).Scan(&open).Error
	return open, l.db.Unavailable("list the open letters of "+e.Name, err)
}

// Lettered reports which of some versions of records have a dead letter, open or resolved.
func (l *Ledger) Lettered(ctx context.Context, e *schema.Entity, some []schema.Versioned) ([]bool, error) {
	defer l.db.Metrics.Time("letters")()
	ids := make([]string, len(some))
	for i, one := range some {
		ids[i] = one.ID
	}
	found := map[schema.Versioned]bool{}
	for part := range slices.Chunk(ids, lettersPerStatement) {
		var rows []schema.Versioned
		err := l.db.Read(ctx).Raw(`SELECT id, version FROM afterwrite_dead_letters WHERE entity = ? AND id IN ?`,
			e.Name, part).Scan(&rows).Error
		if err != nil {
			return nil, l.db.Unavailable("look for the letters of "+e.Name, err)
		}
		for _, one := range rows {
			found[one] = true
		}
	}
	have := make([]bool, len(some))
	for i, one := range some {
		have[i] = found[one]
	}
	return have, nil
}

// PurgeLetters deletes up to limit letters that were resolved before a time, and returns how many. Open letters are
// kept for ever.
func (l *Ledger) PurgeLetters(ctx context.Context, before time.Time, limit int) (int, error) {
	purged := 0
	err := l.db.Change(ctx, "purge resolved dead letters", func(db *gorm.DB) error {
		some := `DELETE FROM afterwrite_dead_letters WHERE number IN (SELECT number FROM afterwrite_dead_letters
			WHERE resolution <> '' AND resolved_at < ? ORDER BY resolved_at LIMIT ?)`
		if l.db.Dialect.Name() == "mysql" { // MySQL has no limit in a subquery, but has one for DELETE
			some = `DELETE FROM afterwrite_dead_letters WHERE resolution <> '' AND resolved_at < ? ORDER BY resolved_at LIMIT ?`
		}
		done := db.Exec(some, kit.Instant(before), min(max(1, limit), store.MaxListLimit))
		purged = int(done.RowsAffected)
		return done.Error
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}
