package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// Actor is the person or process that does something, for the audit.
type Actor struct {
	Name   string // a token's name, a user, or a process that acts by itself
	Origin string // an address, or the command line
}

// AuditEntry is one action of an operator.
type AuditEntry struct {
	Number  int64 // given by the database
	At      time.Time
	Actor   Actor
	Action  string // for example dead.retry or policy.set
	Entity  string
	ID      string         // "" if it was not about one record
	Version schema.Version // 0 if it was not about one version
	Detail  map[string]any // further details; no secrets
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
		Entity: r.Entity, ID: r.ID, Version: schema.Version(r.Version),
	}
	_ = json.Unmarshal([]byte(r.Detail), &e.Detail) // written by insertAudit
	return e
}

// Audit adds an entry. Number is given by the database, and At is now if it is zero.
func (l *Ledger) Audit(ctx context.Context, entry AuditEntry) error {
	return l.db.Change(ctx, "audit "+entry.Action, func(db *gorm.DB) error { return insertAudit(db, entry) })
}

// Note adds entries for actions that change nothing in the database; all of them or none.
func (l *Ledger) Note(ctx context.Context, entries ...AuditEntry) error {
	if len(entries) == 0 {
		return nil
	}
	return l.db.Change(ctx, fmt.Sprintf("note %d times %s", len(entries), entries[0].Action), func(db *gorm.DB) error {
		return insertAudit(db, entries...)
	})
}

func insertAudit(db *gorm.DB, entries ...AuditEntry) error {
	rows := make([]auditRow, len(entries))
	for i, e := range entries {
		detail, err := json.Marshal(e.Detail)
		if err != nil {
			return &database.OwnError{Err: err}
		}
		if e.Detail == nil {
			detail = []byte("{}")
		}
		if e.At.IsZero() {
			e.At = time.Now()
		}
		rows[i] = auditRow{
			At: kit.Instant(e.At), Actor: e.Actor.Name, Origin: e.Actor.Origin, Action: e.Action,
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

// AuditQuery selects audit entries; zero fields do not restrict.
type AuditQuery struct {
	Entity string
	ID     string
	Before int64 // entries with a smaller number
	Limit  int   // up to store.MaxListLimit; 0: 100
}

// AuditLog returns audit entries, the newest first. For the next page pass the last number as Before.
func (l *Ledger) AuditLog(ctx context.Context, q AuditQuery) ([]AuditEntry, error) {
	defer l.db.Metrics.Time("audit")()
	query := l.db.Read(ctx).Table("afterwrite_audit").Order("number DESC").Limit(kit.Rows(q.Limit))
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
		return nil, l.db.Unavailable("read the audit", err)
	}
	entries := make([]AuditEntry, len(rows))
	for i, r := range rows {
		entries[i] = r.entry()
	}
	return entries, nil
}

// PurgeAudit deletes up to limit entries from before a time, the oldest first, and returns how many.
func (l *Ledger) PurgeAudit(ctx context.Context, before time.Time, limit int) (int, error) {
	purged := 0
	err := l.db.Change(ctx, "purge the audit", func(db *gorm.DB) error {
		// Numbers are in the order of time, and are indexed.
		done := db.Exec(`DELETE FROM afterwrite_audit WHERE number IN (SELECT number FROM
			(SELECT number, at FROM afterwrite_audit ORDER BY number LIMIT ?) oldest WHERE at < ?)`,
			min(max(1, limit), store.MaxListLimit), kit.Instant(before))
		purged = int(done.RowsAffected)
		return done.Error
	})
	if err != nil {
		return 0, err
	}
	return purged, nil
}
