package pending

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Notes are the turns of a partition's flushes that Redis has noted.
type Notes struct {
	Before string // the last that was committed when the other was noted; "" for none
	Last   string // the last; "" for none
	Acked  string // the last that was committed and acked by a flush; "" for none
}

// Has reports whether a turn is noted.
func (n Notes) Has(turn string) bool { return turn == n.Before || turn == n.Last }

// Committed is the number of the last turn that is known to be committed; 0 for none.
func (n Notes) Committed() int64 { return max(TurnNumber(n.Before), TurnNumber(n.Acked)) }

// TurnNumber is the number of a turn; 0 for "".
func TurnNumber(turn string) int64 {
	digits, _, _ := strings.Cut(turn, ".")
	n, _ := strconv.ParseInt(digits, 10, 64)
	return n
}

// Turns returns the notes of each partition of an entity. If they have not the last turn that the database had
// committed before this call, nor know of one with a greater number, Redis is older than that flush. A turn that was
// known to be committed before this call, and that the database lacks after it, tells of an older database.
func (b *Backlog) Turns(ctx context.Context, e *schema.Entity) ([]Notes, error) {
	p := b.redis.Pipeline()
	found := make([]*redis.SliceCmd, e.Partitions)
	for i := range found {
		found[i] = p.HMGet(ctx, b.prefix.Keys(e, i).Stats, "t", "y", "m")
	}
	if _, err := p.Exec(ctx); err != nil {
		return nil, rdb.Fault("turns", err)
	}
	all := make([]Notes, e.Partitions)
	for i, one := range found {
		v := one.Val()
		all[i] = Notes{layout.Text(v[0]), layout.Text(v[1]), layout.Text(v[2])}
	}
	return all, nil
}

// Older is what [Backlog.Older] found.
type Older struct {
	Notes Notes
	Now   time.Time // Redis's clock
}

// Older begins to repair a partition, unless Redis has noted the last turn that was committed: then older is false. New
// writes get versions above the newest that a flush has read. Call it while the partition's fence is locked.
func (b *Backlog) Older(ctx context.Context, e *schema.Entity, partition int, turn string,
	newest schema.Version) (o Older, older bool, err error) {
	stats := b.prefix.Keys(e, partition).Stats
	reply, err := b.redis.Run(ctx, olderScript, []string{stats}, turn, int64(newest))
	if err != nil || len(reply) != 3 {
		return Older{}, false, err
	}
	o.Notes = Notes{Before: layout.Text(reply[0]), Last: layout.Text(reply[1])}
	o.Now = layout.Time(layout.Text(reply[2]))
	return o, true, nil
}

// Repaired notes the last turn that was committed, so that the partition is flushed again. repaired is false if Redis
// has other notes than those that were read, as when it went back once more. Call it while the partition's fence is
// locked.
func (b *Backlog) Repaired(ctx context.Context, e *schema.Entity, partition int, read Notes,
	turn string) (repaired bool, err error) {
	stats := b.prefix.Keys(e, partition).Stats
	n, err := b.redis.RunInt(ctx, repairedScript, []string{stats}, read.Before, read.Last, turn)
	return n == 1, err
}

// ForgetTurns removes the notes of an entity's turns: those of another database mean nothing.
func (b *Backlog) ForgetTurns(ctx context.Context, e *schema.Entity) error {
	p := b.redis.Pipeline()
	for i := range e.Partitions {
		p.HDel(ctx, b.prefix.Keys(e, i).Stats, "t", "y", "m")
	}
	if _, err := p.Exec(ctx); err != nil {
		return rdb.Fault("forget the turns", err)
	}
	return nil
}

// Unpersisted calls fn with the pending and then the held records of a partition, as [Backlog.Due] reads them, a
// bounded number at a time. It includes every record that is there all the while; one may come twice.
func (b *Backlog) Unpersisted(ctx context.Context, e *schema.Entity, partition int, fn func([]Due) error) error {
	k := b.prefix.Keys(e, partition)
	for _, list := range []string{k.Pending, k.Held} {
		for cursor := uint64(0); ; {
			found, next, err := b.redis.ZScan(ctx, list, cursor, "", dueGather).Result()
			if err != nil {
				return rdb.Fault("scan", err)
			}
			some, err := b.readListed(ctx, e, k, found, list == k.Held)
			if err != nil {
				return err
			}
			if err := fn(some); err != nil {
				return err
			}
			if cursor = next; cursor == 0 {
				break
			}
		}
	}
	return nil
}

// readListed reads the records of a part of a list, as ids and times.
func (b *Backlog) readListed(ctx context.Context, e *schema.Entity, k layout.Keys, found []string,
	held bool) ([]Due, error) {
	list, ids := make([]any, len(found)), make([]string, 0, len(found)/2)
	for i, text := range found {
		if list[i] = text; i%2 == 0 {
			ids = append(ids, text)
		}
	}
	var whys []any
	var err error
	if held && len(ids) > 0 {
		if whys, err = b.redis.HMGet(ctx, k.Why, ids...).Result(); err != nil {
			return nil, rdb.Fault("read refusals", err)
		}
	}
	some := listed(list, whys)
	if len(some) == 0 {
		return nil, nil
	}
	var batch Batch
	// As much as there is: a part of a list is small.
	if _, err := b.readDue(ctx, e, k, &batch, some, int(^uint(0)>>1), Turns{}); err != nil {
		return nil, err
	}
	return append(batch.Due, batch.Unknown...), nil
}

// Yield takes pending and held records, at their versions, out of an older copy of Redis: their rows stay as they are,
// and the next read loads them. persisted counts them as persisted; otherwise as discarded, because dead letters have
// them. It returns how many there were.
func (b *Backlog) Yield(ctx context.Context, e *schema.Entity, partition int, records []schema.Versioned,
	persisted bool) (int, error) {
	if len(records) == 0 {
		return 0, nil
	}
	k := b.prefix.Keys(e, partition)
	ids := make([]string, len(records))
	keys := append(append(make([]string, 0, 7+len(records)), k.Lists()...), k.Unsure, k.Letters)
	args := append(make([]any, 0, 3+2*len(records)), e.RankBy, "d", b.prefix.Channel(e.Name))
	if persisted {
		args[1] = "p"
	}
	for i, r := range records {
		ids[i] = r.ID
		keys = append(keys, k.Record+r.ID)
		args = append(args, r.ID, int64(r.Version))
	}
	if err := b.changed.Committed(ctx, e, partition, ids); err != nil {
		return 0, err
	}
	return b.redis.RunInt(ctx, yieldScript, keys, args...)
}
