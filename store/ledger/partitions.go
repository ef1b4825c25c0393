package ledger

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// entityRow is a row of afterwrite_entities.
type entityRow struct {
	Entity     string `gorm:"primaryKey"`
	Partitions int
	UpdatedAt  time.Time
}

// Adopt returns the number of partitions that the database keeps for the entity. The
// first to ask sets it to the entity's own. A caller configured with another number
// must not write: see [schema.ErrPartitionsChanged].
func (l *Ledger) Adopt(ctx context.Context, e *schema.Entity) (stored int, err error) {
	op := "adopt " + e.Name
	stored, err = partitions(l.db.Read(ctx), e)
	if err != nil || stored > 0 {
		return stored, l.db.Unavailable(op, err)
	}
	err = l.db.Change(ctx, op, func(db *gorm.DB) error {
		if err := setPartitions(db, e, clause.OnConflict{DoNothing: true}); err != nil {
			return err
		}
		stored, err = partitions(db, e)
		return err
	})
	return stored, err
}

// SetPartitions makes the entity's number of partitions the stored one. Call it only
// when nothing of the entity is pending: ids move to other partitions.
func (l *Ledger) SetPartitions(ctx context.Context, e *schema.Entity) error {
	return l.db.Change(ctx, "set the partitions of "+e.Name, func(db *gorm.DB) error {
		return setPartitions(db, e, clause.OnConflict{
			Columns:   []clause.Column{{Name: "entity"}},
			DoUpdates: clause.AssignmentColumns([]string{"partitions", "updated_at"}),
		})
	})
}

// partitions is 0 for an entity that was never adopted.
func partitions(db *gorm.DB, e *schema.Entity) (int, error) {
	var stored []int
	err := db.Table("afterwrite_entities").Where("entity = ?", e.Name).Pluck("partitions", &stored).Error
	if err != nil || len(stored) == 0 {
		return 0, err
	}
	return stored[0], nil
}

func setPartitions(db *gorm.DB, e *schema.Entity, conflict clause.OnConflict) error {
	return db.Table("afterwrite_entities").Clauses(conflict).
		Create(&entityRow{e.Name, e.Partitions, kit.Instant(time.Now())}).Error
}
