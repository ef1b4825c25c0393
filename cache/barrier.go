package cache

import (
	"context"
	"errors"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

var (
	barScript   = layout.Load(sources, "bar")
	unbarScript = layout.Load(sources, "unbar")
)

// ErrBehind reports that a record is pending, held or dead: the database does not have its newest state, so a write
// that goes to the database first would lose that state. Such a write must be written behind.
var ErrBehind = errors.New("the record is not persisted yet")

// Barrier keeps a record out of the cache while a write goes to the database first.
type Barrier struct {
	entity  *schema.Entity
	id      string
	token   string
	Version schema.Version // that the write will get
}

// Turn is the turn of a transaction that holds a partition's fence, and the last one before it that was committed, as
// the fence spells them. None is noted if it is zero.
type Turn struct{ Before, Turn string }

// Bar drops the persisted copy of a record and bars fills for life, which must be longer than the transaction that
// writes it. Call it with the partition's fence locked, and Unbar when the transaction is over; without Unbar the
// barrier expires and the next read loads the row. Errors: ErrBehind; ErrVersionMismatch if match is not 0 and the
// cached record is at another version; ErrUnavailable. Redis notes the turn of the transaction.
func (c *Cache) Bar(ctx context.Context, e *schema.Entity, id string, match schema.Version,
	life time.Duration, turn Turn) (Barrier, error) {
	k := c.prefix.Keys(e, e.Partition(id))
	condition := ""
	if match > 0 {
		condition = match.String()
	}
	ranked := ""
	if e.RankBy != "" {
		ranked = id
	}
	b := Barrier{entity: e, id: id, token: newToken()}
	reply, err := c.redis.RunAny(ctx, barScript, []string{k.Stats, k.Record + id, k.Unsure}, b.token, layout.MS(life),
		condition, ranked, turn.Before, turn.Turn)
	if err != nil {
		return Barrier{}, err
	}
	switch answer := layout.Text(reply); answer {
	case "behind":
		return Barrier{}, ErrBehind
	case "mismatch":
		return Barrier{}, schema.ErrVersionMismatch
	default:
		b.Version = layout.Version(answer)
		return b, nil
	}
}

// Unbar ends a barrier. A committed change is counted as accepted and persisted. With keep it is also cached, unless a
// later write has barred the record again, or the barrier is gone: then nothing is cached. A nil change was not
// committed.
func (c *Cache) Unbar(ctx context.Context, b Barrier, committed *schema.Change, keep bool) error {
	k := c.prefix.Keys(b.entity, b.entity.Partition(b.id))
	version, what, life, rank := "", "", int64(0), ""
	if committed != nil {
		if committed.Deleted || len(committed.Values) > 0 { // else its place stays unsure
			rank = layout.Score(b.entity, committed.Values)
		}
		version, life = b.Version.String(), layout.MS(layout.TTL(b.entity, committed.Values, committed.Deleted))
		switch {
		case keep && committed.Deleted:
			what = "0"
		case keep:
			what = "1"
		case committed.Deleted:
			what = "d"
		}
	}
	args := []any{b.token, version, c.prefix.Channel(b.entity.Name), layout.KeptEvents, b.id, what, life, rank,
		layout.Member(b.entity, b.id)}
	if what == "1" {
		for i, value := range committed.Values {
			args = append(args, b.entity.Fields[i].Name, value)
		}
	}
	if committed != nil {
		if err := c.Committed(ctx, b.entity, b.entity.Partition(b.id), []string{b.id}); err != nil {
			return err
		}
	}
	_, err := c.redis.RunAny(ctx, unbarScript, []string{k.Stats, k.Record + b.id, k.Stream, k.Rank, k.Build, k.Unsure},
		args...)
	c.records.of(b.entity).Drop(b.id)
	return err
}
