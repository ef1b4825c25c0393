package pending

import (
	"context"
	"slices"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Ack marks records as persisted if the flushed version is still the newest, and gives them their TTL; where the
// database had the last word (see [schema.Change].Row) they take the values of their rows in the same step. A record
// rewritten since the batch was read stays pending, so a late or repeated Ack is harmless. Call it only after the
// database has committed. A Redis that went back to before the note of the batch's turn marks nothing: it may give the
// versions of the batch to other writes. It returns the number of records marked, also together with an error: a large
// batch takes several calls, and the calls before the failed one have taken effect.
func (b *Backlog) Ack(ctx context.Context, e *schema.Entity, partition int, batch Batch, flushed []schema.Change) (int,
	error) {
	if len(flushed) == 0 {
		return 0, nil
	}
	k, total, invalidated := b.prefix.Keys(e, partition), 0, false
	for some := range slices.Chunk(flushed, ackGather) {
		n, watched, err := b.ack(ctx, e, k, batch, invalidated, some)
		if watched != "" && err == nil {
			if err = b.changed.InvalidateTags(ctx, e, watched, idsOfChanges(flushed)); err != nil {
				return total, err
			}
			// A value that was loaded meanwhile is of the rows as they are now.
			invalidated = true
			n, _, err = b.ack(ctx, e, k, batch, invalidated, some)
		}
		total += n
		if err != nil {
			return total, err
		}
	}
	if !slices.ContainsFunc(flushed, func(c schema.Change) bool { return c.Row != nil }) {
		return total, nil
	}
	// Records have taken the values of their rows since.
	return total, b.changed.Committed(ctx, e, partition, idsOfChanges(flushed))
}

func idsOfChanges(changes []schema.Change) []string {
	ids := make([]string, len(changes))
	for i := range changes {
		ids[i] = changes[i].ID
	}
	return ids
}

// ackGather bounds the records of one script call, and so the time for which it blocks Redis: 500 records took Redis
// more than 4 ms, during which every write had to wait.
const ackGather = 128

// ack marks some records; or none, where values depend on them that were not invalidated, and returns what does.
func (b *Backlog) ack(ctx context.Context, e *schema.Entity, k layout.Keys, batch Batch, invalidated bool,
	flushed []schema.Change) (n int, watched string, err error) {
	keys := append(make([]string, 0, 7+len(flushed)), k.Stats, k.Pending, k.Held, k.Dead, k.Why, k.Stream, k.Letters)
	args := append(make([]any, 0, 8+2*len(flushed)), b.prefix.Channel(e.Name), layout.KeptEvents,
		batch.ReadAt.UnixMilli(), len(k.Record), batch.Turn, "", "", "")
	rows := slices.ContainsFunc(flushed, func(c schema.Change) bool { return c.Row != nil })
	if rows {
		args[5] = 1
	}
	if !batch.whole {
		args[6] = 1
	}
	if invalidated {
		args[7] = 1
	}
	for i := range flushed {
		change := &flushed[i]
		shown := int64(change.Version)
		if change.Deleted {
			shown = -shown
		}
		keys = append(keys, k.Record+change.ID)
		values := change.Values
		if len(change.Row) > 0 {
			values = change.Row
		}
		args = append(args, shown, layout.MS(layout.TTL(e, values, change.Deleted)))
	}
	if rows {
		at := len(args)
		args = append(args, 0)
		for i := range flushed {
			args = appendRow(args, e, &flushed[i])
		}
		args[at] = len(args) - at - 1
	}
	for i := range flushed {
		if o := flushed[i].Origin; o != nil {
			args = append(args, i+1, layout.OriginStamp(o), layout.OriginRequest(o))
		}
	}
	reply, err := b.redis.RunAny(ctx, ackScript, keys, args...)
	marked, _ := reply.(int64)
	return int(marked), layout.Text(reply), err
}

// appendRow appends what the row has and the record has not, after the number of texts; -1 where the row is not known,
// or has another score, whose place in the rank is set when the record is loaded.
func appendRow(args []any, e *schema.Entity, change *schema.Change) []any {
	at := len(args)
	args = append(args, 0)
	for i, text := range change.Row {
		if text == change.Values[i] {
			continue
		}
		if e.Fields[i].Name == e.RankBy {
			return append(args[:at], -1)
		}
		args = append(args, e.Fields[i].Name, text)
	}
	if args[at] = len(args) - at - 1; change.Row != nil && len(change.Row) == 0 {
		args[at] = -1
	}
	return args
}

// Drop removes ids from the partition's lists whose record is still missing, and returns their number. Redis has lost a
// missing record: it is never treated as a deletion.
func (b *Backlog) Drop(ctx context.Context, e *schema.Entity, partition int, ids []string) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	k := b.prefix.Keys(e, partition)
	keys := append(append(make([]string, 0, 7+len(ids)), k.Lists()...), k.Unsure, k.Letters)
	args := append(make([]any, 0, 1+len(ids)), e.RankBy)
	for _, id := range ids {
		keys = append(keys, k.Record+id)
		args = append(args, id)
	}
	lost, err := b.redis.RunInt(ctx, dropScript, keys, args...)
	if lost > 0 {
		b.lost.WithLabelValues(e.Name).Add(float64(lost))
	}
	return lost, err
}
