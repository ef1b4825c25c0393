package pending

import (
	"context"
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// Batch is the result of [Backlog.Due].
type Batch struct {
	Due      []Due
	Unknown  []Due          // due, too, but with fields that this process does not know: it can write no part of them
	Missing  []string       // listed ids without a record; see Drop
	ReadAt   time.Time      // Redis's clock, in ms: everything accepted before it is in Due, or still due
	More     bool           // more is due than was read
	Pairing  schema.Pairing // the database of this Redis, read with the records; none if there are no records
	Isolated bool           // an isolated record is due and not in Due: see [Backlog.DueAlone]
	Reach    Reach
	Turn     string // of the flush, as Note has noted it; "" before

	field, token string // what proves that Redis still has what was read
	trips        int    // that have read records
	noted        Turns  // that the script turn was run with; none if it was not
	answer       string // of the script turn
	whole        bool   // no record lists changed fields: all were put; in any batch of the flush
}

// Reach is how far a batch reads what is pending, by times of Redis, in ms, at which records became pending.
type Reach struct {
	Before  int64          // every pending record since before it is in the batch; 0: it cannot be told
	Last    int64          // no record that is pending only since after it is in the batch
	Version schema.Version // the partition's newest when the batch was listed
	Newest  schema.Version // that, or a newer one which was read
}

// dueGather is the number of records that one round trip of Due reads, and so how far it can exceed its bytes. Reading
// the records in the script, the only way to read all at one moment, costs Redis more than twice as much and blocks it
// meanwhile.
const dueGather = 128

// Due reads up to limit due records, and about maxBytes of values: first pending records that have waited the entity's
// flush delay, oldest first, then held records whose next attempt is due, except isolated ones. Call it only while the
// partition's fence is locked; otherwise the batch may be older than what another flusher has written. Call Note before
// anything of it is committed.
func (b *Backlog) Due(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int) (Batch, error) {
	return b.due(ctx, e, partition, limit, maxBytes, "i", Turns{})
}

// DueNoted is Due, and saves Note its round trip where it can: the last one that reads records notes the turn behind
// them. It cannot at the first turn, which may meet the Redis of another database, and in a cluster, whose nodes may
// answer a pipeline out of order while they move its slot.
func (b *Backlog) DueNoted(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int,
	turns Turns) (Batch, error) {
	if turns.Before == "" || b.redis.Clustered() {
		turns = Turns{}
	}
	return b.due(ctx, e, partition, limit, maxBytes, "i", turns)
}

// DueAhead is Due without the lock. The batch counts only if no flush has committed until the fence is locked.
func (b *Backlog) DueAhead(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int) (Batch, error) {
	return b.due(ctx, e, partition, limit, maxBytes, "h", Turns{})
}

func (b *Backlog) due(ctx context.Context, e *schema.Entity, partition, limit, maxBytes int, field string,
	turns Turns) (Batch, error) {
	k := b.prefix.Keys(e, partition)
	batch, pending, held, err := b.listDue(ctx, e, k, limit, heldShare(e, limit), field)
	if err != nil {
		return Batch{}, err
	}
	together := slices.DeleteFunc(held, func(d Due) bool { return d.isolated })
	batch.Isolated, held = len(together) < len(held), together
	since := make([]int64, len(pending))
	for i, d := range pending {
		since[i] = d.PendingSince.UnixMilli()
	}
	batch.Due = pending[:0] // never overtakes the part of the list that is still to be read
	heldBytes := maxBytes
	if batch.More {
		heldBytes /= 10 // the held records' share, as it is of records
	}
	first := turns
	if len(held) > 0 {
		first = Turns{}
	}
	read, err := b.readDue(ctx, e, k, &batch, pending, maxBytes, first)
	if err != nil {
		return Batch{}, err
	}
	if read < len(since) {
		batch.Reach.Before = min(batch.Reach.Before, since[read])
		batch.Reach.Last = since[max(read-1, 0)]
	}
	if _, err := b.readDue(ctx, e, k, &batch, held, heldBytes, turns); err != nil {
		return Batch{}, err
	}
	batch.reaches()
	return batch, nil
}

// reaches completes the reach with what was read: records are read after they were listed, and held ones waited before.
func (b *Batch) reaches() {
	for _, d := range b.Due {
		b.Reach.Newest = max(b.Reach.Newest, d.Version)
		b.Reach.Last = max(b.Reach.Last, d.PendingSince.UnixMilli())
	}
	for _, d := range b.Unknown {
		b.Reach.Before = min(b.Reach.Before, d.PendingSince.UnixMilli())
	}
}

// DueAlone reads one record: of the held, isolated and due records, the one that has been due the longest. If there is
// none, Due is empty. Call it only while the partition's fence is locked, like [Backlog.Due].
func (b *Backlog) DueAlone(ctx context.Context, e *schema.Entity, partition int) (Batch, error) {
	k := b.prefix.Keys(e, partition)
	batch, _, held, err := b.listDue(ctx, e, k, e.Flush.Batch, e.Flush.Batch, "i")
	if err != nil {
		return Batch{}, err
	}
	batch.Reach.Before = 0
	first := slices.IndexFunc(held, func(d Due) bool { return d.isolated })
	if first < 0 {
		return batch, nil
	}
	_, err = b.readDue(ctx, e, k, &batch, held[first:first+1], 1, Turns{})
	// What was written since it was listed is pending now, and like any other.
	pending := func(d Due) bool { return !d.Held }
	batch.Due, batch.Unknown = slices.DeleteFunc(batch.Due, pending), slices.DeleteFunc(batch.Unknown, pending)
	batch.reaches()
	return batch, err
}

// These reads those of the records that are pending or held, but for isolated ones and those of a partition that is
// paused. With a lock, the partition's fence is locked and the batch is one to flush, as that of Due. Without, it shows
// only what is there.
func (b *Backlog) These(ctx context.Context, e *schema.Entity, partition int, ids []string, lock bool) (Batch, error) {
	k, field := b.prefix.Keys(e, partition), ""
	if lock {
		field = "i"
	}
	token := crand.Text()
	args := []any{field, token, (len(ids) + dueGather - 1) / dueGather}
	for _, id := range ids {
		args = append(args, id)
	}
	reply, err := b.redis.Run(ctx, theseScript, []string{k.Pending, k.Held, k.Why, k.Stats}, args...)
	if err != nil {
		return Batch{}, err
	}
	batch, pending, held, err := listedDue(reply, field, token)
	if err != nil {
		return Batch{}, err
	}
	held = slices.DeleteFunc(held, func(d Due) bool { return d.isolated })
	_, err = b.readDue(ctx, e, k, &batch, append(pending, held...), maxThese, Turns{})
	batch.reaches()
	return batch, err
}

// maxThese bounds the values that These reads, in bytes.
const maxThese = 8 << 20

// listDue lists the due records, without their state.
func (b *Backlog) listDue(ctx context.Context, e *schema.Entity, k layout.Keys, limit, share int,
	field string) (batch Batch, pending, held []Due, err error) {
	token := crand.Text()
	reply, err := b.redis.Run(ctx, dueScript, []string{k.Pending, k.Held, k.Why, k.Stats}, limit,
		layout.MS(e.Flush.Delay), share, field, token, dueGather)
	if err != nil {
		return Batch{}, nil, nil, err
	}
	return listedDue(reply, field, token)
}

// listedDue is what a script has listed under the token of a read.
func listedDue(reply []any, field, token string) (batch Batch, pending, held []Due, err error) {
	if len(reply) != 8 {
		return Batch{}, nil, nil, fmt.Errorf("due script: %d values", len(reply))
	}
	batch = Batch{ReadAt: layout.Time(layout.Text(reply[0])), More: layout.Text(reply[1]) != ""}
	batch.field, batch.token, batch.whole = field, token, true
	version := layout.Version(layout.Text(reply[7]))
	batch.Reach = Reach{Before: number(reply[5]), Last: number(reply[6]), Version: version, Newest: version}
	return batch, listed(reply[2], nil), listed(reply[3], reply[4]), nil
}

// number is a number of a reply as text; 0 for "".
func number(reply any) int64 { return int64(layout.Version(layout.Text(reply))) }

// listed returns the records of a list, without their state.
func listed(list, details any) []Due {
	texts, _ := list.([]any)
	whys, _ := details.([]any)
	some := make([]Due, len(texts)/2)
	for i := range some {
		d := &some[i]
		d.ID = layout.Text(texts[2*i])
		if d.Held = i < len(whys); !d.Held {
			d.PendingSince = layout.Time(layout.Text(texts[2*i+1]))
			continue
		}
		w := layout.ParseWhy(layout.Text(whys[i]))
		d.Attempts, d.History, d.isolated, d.Left = w.Attempts, layout.Expand(w.History), w.Isolated, w.Left
		if w.Since > 0 {
			d.PendingSince = time.UnixMilli(w.Since)
		}
	}
	return some
}

// readDue reads listed records into the batch until room, in bytes of values, is used up, and returns how many it
// read. Its last trip, where it comes to that, notes the turns.
func (b *Backlog) readDue(ctx context.Context, e *schema.Entity, k layout.Keys, batch *Batch, some []Due, room int,
	turns Turns) (read int, err error) {
	asked := 0
	for chunk := range slices.Chunk(some, dueGather) {
		if room <= 0 {
			batch.More = true
			return read, nil
		}
		batch.trips++
		asked += len(chunk)
		last := Turns{}
		if asked == len(some) {
			last = turns
		}
		states, pairing, err := b.states(ctx, k, chunk, batch, last)
		if err != nil {
			return read, err
		}
		if len(batch.Due)+len(batch.Missing)+len(batch.Unknown) > 0 && pairing != batch.Pairing {
			return read, rdb.Fault("read records", errOther)
		}
		batch.Pairing = pairing
		for i, d := range chunk {
			if room <= 0 {
				batch.More = true
				return read, nil
			}
			read++
			found, partly := d.read(e, states[i], batch.ReadAt)
			if !found {
				batch.Missing = append(batch.Missing, d.ID)
				continue
			}
			batch.whole = batch.whole && !partly
			for _, value := range d.Values {
				room -= len(value)
			}
			if len(d.Unknown) > 0 {
				batch.Unknown = append(batch.Unknown, d)
			} else {
				batch.Due = append(batch.Due, d)
			}
		}
	}
	return read, nil
}

// errOther reports that the records of a batch came from two different Redis servers.
var errOther = errors.New("the Redis server was exchanged meanwhile")

// states reads whole records in one round trip, as alternating fields and values, together with the pairing of the
// Redis that they are read from. After that it removes the field of the trip, if the batch has one, and notes
// the turns, if there are any.
func (b *Backlog) states(ctx context.Context, k layout.Keys, some []Due, batch *Batch, turns Turns) ([][]string,
	schema.Pairing, error) {
	p := b.redis.Pipeline()
	asked := make([]redis.Cmder, len(some))
	for i, d := range some {
		asked[i] = b.redis.HashCmd(ctx, k.Record+d.ID)
		_ = p.Process(ctx, asked[i]) // only adds it to the pipeline
	}
	if batch.field != "" {
		p.HDel(ctx, k.Stats, batch.field+strconv.Itoa(batch.trips))
	}
	paired := p.HMGet(ctx, b.prefix.Pairing(), "deployment", "life")
	var note *redis.Cmd
	if turns != (Turns{}) {
		note = turnScript.Queue(ctx, p, []string{k.Stats}, batch.note(turns)...)
	}
	if cmds, err := p.Exec(ctx); err != nil {
		if note != nil {
			cmds = cmds[:len(cmds)-1] // if it alone failed, Note tries again
		}
		for _, cmd := range cmds {
			if cmd.Err() != nil {
				return nil, schema.Pairing{}, rdb.Fault("read records", err)
			}
		}
	}
	if note != nil && note.Err() == nil {
		batch.noted, batch.answer = turns, layout.Text(note.Val())
	}
	states := make([][]string, len(some))
	for i, cmd := range asked {
		states[i] = rdb.Pairs(cmd)
	}
	return states, layout.Pairing(paired.Val()), nil
}

// heldShare is the number of held records that a batch takes even if pending records could fill it: a tenth, rounded at
// random, so that a hot partition does not keep them waiting. A batch smaller than the entity's belongs to a partition
// whose flushes fail: there a held record, which may be the cause, waits until the other records are through.
func heldShare(e *schema.Entity, limit int) int {
	if limit < e.Flush.Batch {
		return 0
	}
	share := limit / 10
	if rand.IntN(10) < limit%10 {
		share++
	}
	return share
}
