package ledger

import (
	"context"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// pairingRow is a row of afterwrite_pairings.
type pairingRow struct {
	Name       string `gorm:"primaryKey"`
	Deployment string
	Life       string
	PairedAt   time.Time
}

// Pairing returns the Redis that belongs to the database under a name, the prefix of its keys. It is none if the two
// were never paired.
func (l *Ledger) Pairing(ctx context.Context, name string) (schema.Pairing, error) {
	p, err := pairing(l.db.Read(ctx), name)
	return p, l.db.Unavailable("read the pairing", err)
}

func pairing(db *gorm.DB, name string) (schema.Pairing, error) {
	var rows []pairingRow
	err := db.Table("afterwrite_pairings").Where("name = ?", name).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return schema.Pairing{}, err
	}
	return schema.Pairing{Deployment: rows[0].Deployment, Life: rows[0].Life}, nil
}

// Pairs is the result of a decision of [Ledger.Pair].
type Pairs struct {
	With   schema.Pairing
	Anew   bool         // another Redis: that it has noted no turn of a flush means nothing
	Losses []Loss       // stored with it
	Audit  []AuditEntry // stored with it
}

// Pair lets decide choose which Redis belongs to the database under a name, and stores the decision. Among any number
// of processes one decides at a time, and each sees the decision before. decide must be bounded in time by its context
// and must not use the store. Its error is returned unchanged, and then nothing is changed.
func (l *Ledger) Pair(
	ctx context.Context, name string, decide func(ctx context.Context, stored schema.Pairing) (Pairs, error),
) error {
	return l.db.Change(ctx, "pair", func(db *gorm.DB) error {
		// The insert locks the row, or creates it and makes the others wait until the end.
		err := db.Table("afterwrite_pairings").Clauses(clause.OnConflict{
			Columns: []clause.Column{{Name: "name"}}, DoUpdates: clause.AssignmentColumns([]string{"name"}),
		}).Create(&pairingRow{Name: name, PairedAt: kit.Instant(time.Now())}).Error
		if err != nil {
			return err
		}
		stored, err := pairing(db, name)
		if err != nil {
			return err
		}
		to, err := decide(ctx, stored)
		if err != nil {
			return &database.OwnError{Err: err}
		}
		if err := noteLosses(db, to.Losses); err != nil {
			return err
		}
		if len(to.Audit) > 0 {
			if err := insertAudit(db, to.Audit...); err != nil {
				return err
			}
		}
		if to.Anew {
			err := db.Table("afterwrite_fences").Where("turn_of = ?", name).Update("turn", 0).Error
			if err != nil {
				return err
			}
		}
		if to.With == stored {
			return nil
		}
		return db.Table("afterwrite_pairings").Where("name = ?", name).Updates(map[string]any{
			"deployment": to.With.Deployment, "life": to.With.Life, "paired_at": kit.Instant(time.Now()),
		}).Error
	})
}

// question follows the name of a pairing in the name of the row in which a starting process asks whether the Redis of
// a life is in use. No prefix of keys has it. Its deployment is the answer, "" until a process has answered.
const question = "?"

// AskInUse asks the processes that serve whether they use the Redis of a life. They answer by [Ledger.AnswerInUse].
func (l *Ledger) AskInUse(ctx context.Context, name, life string) error {
	return l.db.Change(ctx, "ask whether a Redis is in use", func(db *gorm.DB) error {
		return db.Table("afterwrite_pairings").Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "name"}},
			DoUpdates: clause.AssignmentColumns([]string{"deployment", "life", "paired_at"}),
		}).Create(&pairingRow{Name: name + question, Life: life, PairedAt: kit.Instant(time.Now())}).Error
	})
}

// InUse returns the process that has answered that it uses the Redis of a life, "" if none has, and whether one asks.
func (l *Ledger) InUse(ctx context.Context, name, life string) (process string, asked bool, err error) {
	p, err := pairing(l.db.Read(ctx), name+question)
	if err != nil || p.Life != life {
		return "", false, l.db.Unavailable("read whether a Redis is in use", err)
	}
	return p.Deployment, p.Deployment == "", nil
}

// AnswerInUse answers for a process that it uses the Redis of a life.
func (l *Ledger) AnswerInUse(ctx context.Context, name, life, process string) error {
	return l.db.Change(ctx, "answer that a Redis is in use", func(db *gorm.DB) error {
		return db.Table("afterwrite_pairings").Where("name = ? AND life = ? AND deployment = ''", name+question, life).
			Update("deployment", process).Error
	})
}

// Loss is a loss of accepted writes of an entity.
type Loss struct {
	Number  int64     `json:"number"` // given by the database
	At      time.Time `json:"at"`
	Entity  string    `json:"entity"`
	Life    string    `json:"-"`       // of the Redis found after it
	Records int64     `json:"records"` // how many were lost, 0 if unknown
	Why     string    `json:"why"`
}

// DatabaseWentBack begins the reason of a loss of rows: the database lacks what it had committed.
const DatabaseWentBack = "the database went back to an older state of itself"

// OfRows reports whether the loss is one of the database, not of Redis.
func (l Loss) OfRows() bool { return strings.HasPrefix(l.Why, DatabaseWentBack) }

// lossRow is a row of afterwrite_losses.
type lossRow struct {
	Number         int64 `gorm:"->;column:number"`
	At             time.Time
	Entity         string
	Life           string
	Noted          *string // Life, of a loss whose records are not counted: unique with Entity
	Records        int64
	Why            string
	AcknowledgedAt *time.Time
	AcknowledgedBy string
	Reason         string
}

func (r lossRow) loss() Loss {
	return Loss{Number: r.Number, At: r.At.UTC(), Entity: r.Entity, Life: r.Life, Records: r.Records, Why: r.Why}
}

// NoteLosses stores losses until an operator acknowledges them, and writes them to the audit. A zero At means now. A
// loss whose records are not counted is stored once for each entity and life of a Redis: if it was noted before,
// nothing happens.
func (l *Ledger) NoteLosses(ctx context.Context, losses ...Loss) error {
	if len(losses) == 0 {
		return nil
	}
	return l.db.Change(ctx, "note a loss", func(db *gorm.DB) error { return noteLosses(db, losses) })
}

func noteLosses(db *gorm.DB, losses []Loss) error {
	for _, l := range losses {
		if l.At.IsZero() {
			l.At = time.Now()
		}
		row := lossRow{At: kit.Instant(l.At), Entity: l.Entity, Life: l.Life, Records: l.Records, Why: l.Why}
		entry := AuditEntry{At: l.At, Actor: Actor{Name: "afterwrite", Origin: "watch"}, Action: RedisLost,
			Entity: l.Entity, Detail: map[string]any{"why": l.Why}}
		if l.Records > 0 {
			entry.Detail["records"] = l.Records
		} else {
			var before int64
			row.Noted = &l.Life
			err := db.Table("afterwrite_losses").Where("entity = ? AND noted = ?", l.Entity, l.Life).Count(&before).Error
			if err != nil {
				return err
			}
			if before > 0 {
				continue
			}
		}
		if err := db.Table("afterwrite_losses").Create(&row).Error; err != nil {
			return err
		}
		if err := insertAudit(db, entry); err != nil {
			return err
		}
	}
	return nil
}

// OpenLosses returns the losses that no operator has acknowledged, the oldest first.
func (l *Ledger) OpenLosses(ctx context.Context) ([]Loss, error) {
	return l.losses(ctx, func(db *gorm.DB) *gorm.DB { return db.Where("acknowledged_at IS NULL") })
}

// LossesOf returns the losses of a life of Redis, acknowledged or not.
func (l *Ledger) LossesOf(ctx context.Context, life string) ([]Loss, error) {
	return l.losses(ctx, func(db *gorm.DB) *gorm.DB { return db.Where("life = ?", life) })
}

func (l *Ledger) losses(ctx context.Context, of func(*gorm.DB) *gorm.DB) ([]Loss, error) {
	var rows []lossRow
	if err := of(l.db.Read(ctx).Table("afterwrite_losses")).Order("number").Find(&rows).Error; err != nil {
		return nil, l.db.Unavailable("read the losses", err)
	}
	losses := make([]Loss, len(rows))
	for i, r := range rows {
		losses[i] = r.loss()
	}
	return losses, nil
}

// Acknowledge marks open losses as acknowledged, with the operator's reason, and writes that to the audit. It returns
// how many it marked: losses that another operator acknowledged meanwhile are left out.
func (l *Ledger) Acknowledge(ctx context.Context, losses []Loss, reason string, by Actor) (marked int, err error) {
	err = l.db.Change(ctx, "acknowledge losses", func(db *gorm.DB) error {
		marked = 0
		for _, loss := range losses {
			done := db.Table("afterwrite_losses").Where("number = ? AND acknowledged_at IS NULL",
				loss.Number).Updates(map[string]any{
				"acknowledged_at": kit.Instant(time.Now()), "acknowledged_by": by.Name, "reason": reason,
			})
			if done.Error != nil {
				return done.Error
			}
			if done.RowsAffected == 0 {
				continue
			}
			marked++
			entry := AuditEntry{Actor: by, Action: LossAcknowledged, Entity: loss.Entity,
				Detail: map[string]any{"loss": loss.Number, "why": loss.Why, "reason": reason}}
			if err := insertAudit(db, entry); err != nil {
				return err
			}
		}
		return nil
	})
	return marked, err
}

// Actions of the audit's entries about the pairing and about losses.
const (
	RedisLost        = "redis.lost"
	LossAcknowledged = "loss.acknowledge"
	Paired           = "pair"
)

// FlushedEntities returns the names of the entities of which records were ever flushed to this database.
func (l *Ledger) FlushedEntities(ctx context.Context) (map[string]bool, error) {
	var names []string
	err := l.db.Read(ctx).Table("afterwrite_fences").Where("flushes > 0").Distinct().Pluck("entity", &names).Error
	if err != nil {
		return nil, l.db.Unavailable("look for flushes", err)
	}
	flushed := make(map[string]bool, len(names))
	for _, name := range names {
		flushed[name] = true
	}
	return flushed, nil
}
