package ledger

import (
	"context"

	"github.com/afterwrite/afterwrite/store/internal/database"
)

// Turn is the turn of a partition's fence, see [store.Flush.Turn].
type Turn struct {
	Entity    string
	Partition int
	Turn      int64  // the number of those that were committed
	TurnID    string // of the last of them
	TurnOf    string // the Redis that they flushed from, as in [store.Config.Pair]; "" before the first
}

// String is the turn as Redis notes it.
func (t Turn) String() string { return database.Turn(t.Turn, t.TurnID) }

// Turns returns the committed turns of all fences, whatever Redis they flushed from.
func (l *Ledger) Turns(ctx context.Context) ([]Turn, error) {
	var turns []Turn
	err := l.db.Read(ctx).Table("afterwrite_fences").Find(&turns).Error
	return turns, l.db.Unavailable("read the turns", err)
}
