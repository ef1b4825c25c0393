package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite"
)

// Actor is who does something, for the audit.
type Actor struct {
	Name   string // a token's name, a user, or a process that acts by itself
	Origin string // an address, or the command line
}

// Retried marks open letters as sent back and returns how many were open. They stay
// open until the record is persisted, or dies again.
func (s *Store) Retried(ctx context.Context, numbers []int64, by Actor) (int, error) {
	return s.touch(ctx, "dead.retry", numbers, by, "retried_at = ?", sqlInstant(time.Now()))
}

// Resolve closes those of the letters that are open and returns how many there were.
// A letter is resolved once: whoever comes second changes nothing. Each letter that
// it closes gets a row in the audit, in the same transaction.
func (s *Store) Resolve(ctx context.Context, numbers []int64, as Resolution, by Actor) (int, error) {
	if !slices.Contains([]Resolution{Persisted, Superseded, Edited, Discarded}, as) {
		return 0, fmt.Errorf("resolve dead letters: %q is not a resolution", as)
	}
	return s.touch(ctx, "dead."+string(as), numbers, by,
		"resolution = ?, resolved_at = ?, resolver = ?", string(as), sqlInstant(time.Now()), by.Name)
}

// touch changes open letters and audits each.
func (s *Store) touch(ctx context.Context, action string, numbers []int64, by Actor, set string, args ...any) (int, error) {
	touched := 0
	err := s.change(ctx, fmt.Sprintf("%s of %d letters", action, len(numbers)), func(db *gorm.DB) error {
		for some := range slices.Chunk(numbers, lettersPerStatement) {
			n, err := touchSome(db, action, some, by, set, args)
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

func touchSome(db *gorm.DB, action string, numbers []int64, by Actor, set string, args []any) (int, error) {
	// A letter that another transaction resolves meanwhile is skipped by the condition,
	// so it is the update that tells which were open, not a look before it.
	var open []auditRow
	err := db.Raw("UPDATE afterwrite_dead_letters SET "+set+" WHERE number IN ? AND resolution = '' RETURNING entity, id, version",
		append(slices.Clone(args), numbers)...).Scan(&open).Error
	if err != nil || len(open) == 0 {
		return 0, err
	}
	at := sqlInstant(time.Now())
	for i := range open {
		open[i].At, open[i].Actor, open[i].Origin, open[i].Action, open[i].Detail = at, by.Name, by.Origin, action, "{}"
	}
	return len(open), db.Table("afterwrite_audit").Create(&open).Error
}

// OpenLetter names an open letter.
type OpenLetter struct {
	Number  int64
	ID      string
	Version afterwrite.Version
	Retried bool // sent back, and not dead again
}

// OpenLetters returns the open letters of an entity with numbers above after, in
// their order, limit at most. The sweeper walks them to close what was overtaken.
func (s *Store) OpenLetters(ctx context.Context, e *afterwrite.Entity, after int64, limit int) ([]OpenLetter, error) {
	defer s.metrics.time("letters")()
	var open []OpenLetter
	err := s.read(ctx).Raw(`SELECT number, id, version, retried_at IS NOT NULL AS retried FROM afterwrite_dead_letters
		WHERE entity = ? AND resolution = '' AND number > ? ORDER BY number LIMIT ?`, e.Name, after, min(max(1, limit), MaxListLimit)).Scan(&open).Error
	return open, s.unavailable("list the open letters of "+e.Name, err)
}

// PurgeLetters deletes letters that were resolved before a time, limit at most, and
// returns how many. Open letters are kept for ever.
func (s *Store) PurgeLetters(ctx context.Context, before time.Time, limit int) (int, error) {
	purged := 0
	err := s.change(ctx, "purge resolved dead letters", func(db *gorm.DB) error {
		done := db.Exec(`DELETE FROM afterwrite_dead_letters WHERE number IN (SELECT number FROM afterwrite_dead_letters
			WHERE resolution <> '' AND resolved_at < ? ORDER BY resolved_at LIMIT ?)`, sqlInstant(before), min(max(1, limit), MaxListLimit))
		purged = int(done.RowsAffected)
		return done.Error
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}

// AuditEntry is one action of an operator.
type AuditEntry struct {
	Number  int64 // given by the database
	At      time.Time
	Actor   Actor
	Action  string // such as dead.retry or policy.set
	Entity  string
	ID      string             // "" if it was not about one record
	Version afterwrite.Version // 0 if it was not about one version
	Detail  map[string]any     // what else is to be known; no secrets
}

// auditRow is a row of afterwrite_audit.
type auditRow struct {
	Number  int64 `gorm:"->;column:number"`
	At      time.Time
	Actor   string
	Origin  string
	Action  string
	Entity  string
	ID      string `gorm:"column:id"`
	Version int64
	Detail  string
}

func (r auditRow) entry() AuditEntry {
	e := AuditEntry{
		Number: r.Number, At: r.At.UTC(), Actor: Actor{r.Actor, r.Origin}, Action: r.Action,
		Entity: r.Entity, ID: r.ID, Version: afterwrite.Version(r.Version),
	}
	_ = json.Unmarshal([]byte(r.Detail), &e.Detail) // written by insertAudit
	return e
}

// Audit adds an entry. Number is given by the database, and At is now if it is zero.
func (s *Store) Audit(ctx context.Context, entry AuditEntry) error {
	return s.change(ctx, "audit "+entry.Action, func(db *gorm.DB) error { return insertAudit(db, entry) })
}

// Note adds entries to the audit that belong to no change of the database, all or none.
func (s *Store) Note(ctx context.Context, entries ...AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	return s.change(ctx, fmt.Sprintf("note %d times %s", len(entries), entries[0].Action), func(db *gorm.DB) error {
		return insertAudit(db, entries...)
	})
}

func insertAudit(db *gorm.DB, entries ...AuditEntry) error {
	rows := make([]auditRow, len(entries))
	for i, e := range entries {
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return &ownError{err}
		}
		if e.Detail == nil {
			detail = []byte("{}")
		}
		if e.At.IsZero() {
			e.At = time.Now()
		}
		rows[i] = auditRow{
			At: sqlInstant(e.At), Actor: e.Actor.Name, Origin: e.Actor.Origin, Action: e.Action,
			Entity: e.Entity, ID: e.ID, Version: int64(e.Version), Detail: string(detail),
		}
	}
	for some := range slices.Chunk(rows, lettersPerStatement) {
		if err := db.Table("afterwrite_audit").Create(&some).Error; err != nil {
			return err
		}
	}
	return nil
}

// AuditQuery selects audit entries; what is zero does not restrict.
type AuditQuery struct {
	Entity string
	ID     string
	Before int64 // entries with a smaller number
	Limit  int   // up to MaxListLimit; 0: DefaultListLimit
}

// AuditLog returns audit entries, the newest first. Page on with the last number.
func (s *Store) AuditLog(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	defer s.metrics.time("audit")()
	query := s.read(ctx).Table("afterwrite_audit").Order("number DESC").Limit(limit(q.Limit))
	if q.Entity != "" {
		query = query.Where("entity = ?", q.Entity)
	}
	if q.ID != "" {
		query = query.Where("id = ?", q.ID)
	}
	if q.Before > 0 {
		query = query.Where("number < ?", q.Before)
	}
	var rows []auditRow
	if err := query.Find(&rows).Error; err != nil {
		return nil, s.unavailable("read the audit", err)
	}
	entries := make([]AuditEntry, len(rows))
	for i, r := range rows {
		entries[i] = r.entry()
	}
	return entries, nil
}
