package store

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite"
)

// Adopt returns the number of partitions that the database keeps for the entity. The
// first to ask sets it to the entity's own. A caller configured with another number
// must not write: see [afterwrite.ErrPartitionsChanged].
func (s *Store) Adopt(ctx context.Context, e *afterwrite.Entity) (stored int, err error) {
	err = s.read(ctx).Raw("SELECT partitions FROM afterwrite_entities WHERE entity = ?", e.Name).Scan(&stored).Error
	if err == nil && stored == 0 {
		err = s.writing.orm.WithContext(ctx).Raw(`INSERT INTO afterwrite_entities AS e (entity, partitions) VALUES (?, ?)
			ON CONFLICT (entity) DO UPDATE SET partitions = e.partitions RETURNING partitions`,
			e.Name, e.Partitions).Scan(&stored).Error
	}
	return stored, s.unavailable(fmt.Sprintf("adopt %s", e.Name), err)
}

// SetPartitions makes the entity's number of partitions the stored one. Call it only
// when nothing of the entity is pending: ids move to other partitions.
func (s *Store) SetPartitions(ctx context.Context, e *afterwrite.Entity) error {
	err := s.writing.orm.WithContext(ctx).Exec(`INSERT INTO afterwrite_entities (entity, partitions) VALUES (?, ?)
		ON CONFLICT (entity) DO UPDATE SET partitions = excluded.partitions, updated_at = CURRENT_TIMESTAMP`,
		e.Name, e.Partitions).Error
	return s.unavailable(fmt.Sprintf("set the partitions of %s", e.Name), err)
}
