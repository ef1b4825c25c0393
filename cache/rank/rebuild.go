package rank

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// ErrRebuildLost reports a rebuild of a rank that was ended early: it paused for too long, another rebuild has begun,
// or the rank's settings changed. Begin again.
var ErrRebuildLost = errors.New("the rebuild of the rank was overtaken")

// rebuildLife is how long a rebuild can take from one page to the next.
const rebuildLife = time.Minute

// Rows reads a page of an entity's rows in the order of their ids, after an id; "" is the start. A page without rows is
// the end.
type Rows func(ctx context.Context, after string) ([]schema.Row, error)

// By is how a rank orders the ids of equal scores.
type By bool

// Ids that are ints, or keys of several columns, can be ordered in two ways; all others have the same order by both.
const (
	ByValues By = true  // 9 before 10
	ByBytes  By = false // 10 before 9, as builds before did, and as they read and write it
)

// Complete reports whether the entity's rank contains every record, and has the order.
func (r *Ranks) Complete(ctx context.Context, e *schema.Entity, by By) (bool, error) {
	if e.RankBy == "" {
		return true, nil
	}
	parts, err := r.parts(ctx, e, 0, "", "")
	if errors.Is(err, ErrIncomplete) {
		return false, nil
	}
	mark := by.mark(e)
	return err == nil && !slices.ContainsFunc(parts, func(p part) bool { return p.mark != mark }), err
}

// Ordered reports whether the two orders of an entity's ids differ.
func Ordered(e *schema.Entity) bool { return layout.HasMembers(e) }

func (by By) mark(e *schema.Entity) string {
	values, ids := layout.RankMarks(e)
	if by == ByValues {
		return values
	}
	return ids
}

// Rebuild rebuilds the entity's rank from the rows of the database, beside live writes and reads; a complete rank
// answers reads until the new one replaces it. While a process of a build that orders by bytes is alive, it must be by
// bytes: such a process ends a rebuild by values when it writes, and a rank by values is not complete for it. It
// reports the number of records processed so far after each page; progress can be nil.
//
// The rebuild is a second sorted set beside the first:
//
//  1. From its beginning every write and fill puts its record there; a record without a score
//     gets +inf.
//  2. Records that were cached before are put there from Redis, unless an entry exists: all
//     pending records are among them. A record that left Redis before is persisted.
//  3. Only then every row of the database is read, and put there unless an entry exists.
//  4. The second set becomes the first.
//
// So a row never replaces a newer entry, in whatever order they arrive. A crash leaves the old rank unchanged, and a
// repeat starts from scratch. Errors: ErrRebuildLost, ErrUnavailable, the errors of rows.
func (r *Ranks) Rebuild(ctx context.Context, e *schema.Entity, by By, rows Rows,
	progress func(records int)) error {
	if e.RankBy == "" {
		return fmt.Errorf("rebuild rank of %s: it has no rank.by", e.Name)
	}
	b := &rebuild{ranks: r, entity: e, by: by, token: by.mark(e) + ":" + rand.Text(), progress: progress}
	for _, step := range []func(context.Context) error{
		func(ctx context.Context) error { return b.all(ctx, b.begin) },
		b.cached,
		func(ctx context.Context) error { return b.rows(ctx, rows) },
		func(ctx context.Context) error { return b.all(ctx, b.end) },
	} {
		if err := step(ctx); err != nil {
			return fmt.Errorf("rebuild rank of %s: %w", e.Name, err)
		}
	}
	return nil
}

// rebuild is one run of Rebuild.
type rebuild struct {
	ranks    *Ranks
	entity   *schema.Entity
	by       By
	token    string
	records  int
	progress func(int)
}

func (b *rebuild) begin(partition int) *rdb.Call {
	k := b.ranks.prefix.Keys(b.entity, partition)
	return rerankBeginScript.Call([]string{k.Stats, k.Build}, b.token, layout.MS(rebuildLife))
}

func (b *rebuild) end(partition int) *rdb.Call {
	k := b.ranks.prefix.Keys(b.entity, partition)
	return rerankEndScript.Call([]string{k.Stats, k.Build, k.Rank}, b.token, b.by.mark(b.entity))
}

// put returns a step without records; it extends the life of the partition's rebuild.
func (b *rebuild) put(partition int) *rdb.Call {
	k := b.ranks.prefix.Keys(b.entity, partition)
	return rerankScript.Call([]string{k.Stats, k.Build}, b.token, layout.MS(rebuildLife), b.entity.RankBy, k.Record)
}

// all runs a step on every partition.
func (b *rebuild) all(ctx context.Context, of func(partition int) *rdb.Call) error {
	calls := make([]*rdb.Call, b.entity.Partitions)
	for i := range calls {
		calls[i] = of(i)
	}
	return b.send(ctx, calls)
}

func (b *rebuild) send(ctx context.Context, calls []*rdb.Call) error {
	b.ranks.redis.Send(ctx, calls...)
	for _, one := range calls {
		n, err := one.Int()
		if err != nil {
			return rdb.Fault(one.Script.Name, err)
		}
		if n != 1 {
			return ErrRebuildLost
		}
	}
	return nil
}

// cached adds the records that are in Redis.
func (b *rebuild) cached(ctx context.Context) error {
	step := func(partition int, ids []string) error {
		return b.step(ctx, len(ids), func(i int) (int, string, string) { return partition, ids[i], "" })
	}
	return layout.ScanRecords(ctx, b.ranks.redis, b.ranks.prefix, b.entity, "*", step)
}

// rows adds the rows of the database.
func (b *rebuild) rows(ctx context.Context, page Rows) error {
	for after := ""; ; {
		rows, err := page(ctx, after)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].ID
		rows = slices.DeleteFunc(rows, func(row schema.Row) bool { return row.Foreign != "" })
		err = b.step(ctx, len(rows), func(i int) (int, string, string) {
			return b.entity.Partition(rows[i].ID), rows[i].ID, layout.Score(b.entity, rows[i].Values)
		})
		if err != nil {
			return err
		}
	}
}

func (b *rebuild) member(id string) string {
	if b.by == ByValues {
		return layout.Member(b.entity, id)
	}
	return id
}

// step sends n records to their partitions, and extends the life of the rebuild in the others.
func (b *rebuild) step(ctx context.Context, n int, record func(i int) (partition int, id, score string)) error {
	calls := make([]*rdb.Call, b.entity.Partitions)
	for i := range calls {
		calls[i] = b.put(i)
	}
	for i := range n {
		partition, id, score := record(i)
		if partition < len(calls) { // otherwise left over from another number of partitions
			calls[partition].Words = append(calls[partition].Words, id, b.member(id), score)
		}
	}
	if err := b.send(ctx, calls); err != nil {
		return err
	}
	b.records += n
	if b.progress != nil {
		b.progress(b.records)
	}
	return nil
}
