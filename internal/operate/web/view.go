package web

import (
	"encoding/json"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// AuditPage is a page of the audit.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Next    *int64       `json:"next"`
}

// AuditEntry is one action of an operator.
type AuditEntry struct {
	Number  int64           `json:"number"`
	At      time.Time       `json:"at"`
	Actor   string          `json:"actor"`
	Origin  string          `json:"origin"`
	Action  string          `json:"action"`
	Entity  *string         `json:"entity"`
	ID      json.RawMessage `json:"id"`
	Version Version         `json:"version,omitzero"`
	Detail  map[string]any  `json:"detail"`
}

// AuditEntryOf views an entry.
func AuditEntryOf(e ledger.AuditEntry, entity *schema.Entity, form Form) AuditEntry {
	v := AuditEntry{Number: e.Number, At: e.At, Actor: e.Actor.Name, Origin: e.Actor.Origin, Action: e.Action,
		Entity: textOrNull(e.Entity), Version: form.version(e.Version), Detail: e.Detail}
	if e.ID != "" {
		v.ID = form.id(entity, e.ID)
	}
	return v
}

// Stats are the figures of an entity.
type Stats struct {
	Entity        string     `json:"entity"`
	Accepted      int64      `json:"accepted"`
	Persisted     int64      `json:"persisted"`
	Superseded    int64      `json:"superseded"`
	Discarded     int64      `json:"discarded"`
	Lost          int64      `json:"lost"`
	Conflicts     int64      `json:"conflicts"` // rows that others changed while their record was not persisted
	Pending       int64      `json:"pending"`
	Held          int64      `json:"held"`
	Dead          int64      `json:"dead"`
	OldestPending *time.Time `json:"oldest_pending"`
	NextAttempt   *time.Time `json:"next_attempt"`
	OldestDead    *time.Time `json:"oldest_dead"`
}

// StatsOf views the figures of an entity.
func StatsOf(e *schema.Entity, s pending.Stats) Stats {
	return Stats{e.Name, s.Accepted, s.Persisted, s.Superseded, s.Discarded, s.Lost, s.Conflicts, s.Pending,
		s.Held, s.Dead, timeOrNull(s.OldestPending), timeOrNull(s.OldestHeld), timeOrNull(s.OldestDead)}
}

// FlushedNow says what a flush that was asked for found.
type FlushedNow struct {
	Entity     string `json:"entity"`
	Pending    int64  `json:"pending"`
	Held       int64  `json:"held"`       // whose next attempt was to come later
	Partitions int    `json:"partitions"` // that are flushed now
	Paused     int    `json:"paused"`     // partitions that were left alone
}

func textOrNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
