package pending

import (
	"context"
	"errors"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Turns are the turn of a flush, and the one that was committed before it; "" none. See store/reach.go.
type Turns struct{ Before, This string }

// ErrBroken reports that Redis may have gone back to an older state of itself since a batch was read.
var ErrBroken = errors.New("redis may have gone back since the batch was read")

// Note notes the turn of the flush that commits the batch, after the turn before. Call it while the partition's fence
// is locked, after the batch was read and before the commit. Redis then has all that was read, so an older copy of it
// that lacks any of that lacks the note. Errors: [schema.ErrOlder] if Redis has no note of the turn before, ErrBroken,
// ErrUnavailable.
func (b *Backlog) Note(ctx context.Context, e *schema.Entity, partition int, batch *Batch, before,
	turn string) error {
	if turns := (Turns{before, turn}); batch.noted != turns {
		stats := b.prefix.Keys(e, partition).Stats
		reply, err := b.redis.RunAny(ctx, turnScript, []string{stats}, batch.note(turns)...)
		if err != nil {
			return err
		}
		batch.noted, batch.answer = turns, layout.Text(reply)
	}
	switch batch.answer {
	case "broken":
		return ErrBroken
	case "older":
		return schema.ErrOlder
	}
	batch.Turn = turn
	return nil
}

// note returns the arguments of the script turn.
func (b *Batch) note(turns Turns) []any {
	return []any{b.field, b.token, b.trips, turns.Before, turns.This}
}

// Follow has the first batch of a flush, which is what is acked, follow the batch of a transaction that was committed,
// by its turn and by what either has read.
func (b *Batch) Follow(last *Batch) {
	b.Turn, b.whole = last.Turn, b.whole && last.whole
}
