package pending

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Stats are the statistics of one partition at one moment, or of several together.
type Stats struct {
	Partition                                        int
	Accepted, Superseded, Persisted, Discarded, Lost int64
	Pending, Held, Dead                              int64
	Conflicts                                        int64     // see Cache.RowsChanged
	Keys, MostKeys                                   int64     // operation ids kept, and at most; of several: added up
	OldestPending, OldestHeld, OldestDead            time.Time // first pending, next attempt, death; zero if none
	LastVersion                                      schema.Version
	FlagUntil                                        time.Time // the scheduled flag; zero: free
	Paused                                           bool      // flushing is paused; for several partitions: of any
}

// Imbalance returns accepted - (persisted + superseded + pending + held + dead + discarded): zero, unless Redis has
// lost records.
func (s Stats) Imbalance() int64 {
	return s.Accepted - s.Persisted - s.Superseded - s.Pending - s.Held - s.Dead - s.Discarded
}

// Total adds up partitions. Of times it takes the oldest of each kind, of versions the newest.
func Total(partitions []Stats) Stats {
	var t Stats
	for _, s := range partitions {
		t.Accepted += s.Accepted
		t.Superseded += s.Superseded
		t.Persisted += s.Persisted
		t.Discarded += s.Discarded
		t.Lost += s.Lost
		t.Conflicts += s.Conflicts
		t.Keys, t.MostKeys = t.Keys+s.Keys, t.MostKeys+s.MostKeys
		t.Pending += s.Pending
		t.Held += s.Held
		t.Dead += s.Dead
		t.OldestPending = older(t.OldestPending, s.OldestPending)
		t.OldestHeld = older(t.OldestHeld, s.OldestHeld)
		t.OldestDead = older(t.OldestDead, s.OldestDead)
		t.LastVersion = max(t.LastVersion, s.LastVersion)
		t.Paused = t.Paused || s.Paused
	}
	return t
}

func older(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// Stats reads the statistics of an entity's partitions, each at one moment.
func (b *Backlog) Stats(ctx context.Context, e *schema.Entity) ([]Stats, error) {
	calls := make([]*rdb.Call, e.Partitions)
	for i := range calls {
		calls[i] = statsScript.Call(append(b.prefix.Keys(e, i).Lists()[:4], b.prefix.Keys(e, i).OpsAt))
	}
	b.redis.Send(ctx, calls...)
	stats := make([]Stats, e.Partitions)
	for i, one := range calls {
		reply, err := one.Slice()
		if err != nil {
			return nil, rdb.Fault("stats", err)
		}
		if len(reply) != 16 {
			return nil, fmt.Errorf("stats script: %d values", len(reply))
		}
		stats[i] = readStats(i, reply)
		stats[i].MostKeys = b.keptOps
	}
	return stats, nil
}

// OldestPending returns the time at which an entity's oldest pending record became pending; zero if none is pending. It
// costs one plain command per partition, in one round trip.
func (b *Backlog) OldestPending(ctx context.Context, e *schema.Entity) (time.Time, error) {
	p := b.redis.Pipeline()
	heads := make([]*redis.ZSliceCmd, e.Partitions)
	for i := range heads {
		heads[i] = p.ZRangeWithScores(ctx, b.prefix.Keys(e, i).Pending, 0, 0)
	}
	if _, err := p.Exec(ctx); err != nil {
		return time.Time{}, rdb.Fault("oldest pending", err)
	}
	var oldest time.Time
	for _, head := range heads {
		for _, z := range head.Val() {
			oldest = older(oldest, time.UnixMilli(int64(z.Score)))
		}
	}
	return oldest, nil
}

func readStats(partition int, reply []any) Stats {
	n := func(i int) int64 {
		if n, ok := reply[i].(int64); ok {
			return n
		}
		return int64(layout.Version(layout.Text(reply[i])))
	}
	t := func(i int) time.Time { return layout.Time(layout.Text(reply[i])) }
	return Stats{
		Partition: partition, LastVersion: schema.Version(n(0)),
		Accepted: n(1), Superseded: n(2), Persisted: n(3), Discarded: n(4), Lost: n(5), FlagUntil: t(6),
		Pending: n(7), Held: n(8), Dead: n(9), OldestPending: t(10), OldestHeld: t(11), OldestDead: t(12),
		Paused: n(13) == 1, Conflicts: n(14), Keys: n(15),
	}
}
