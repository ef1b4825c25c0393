package cache

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite"
)

// Op is what a write does to its record.
type Op string

// The operations.
const (
	OpPut       Op = "put"       // create or replace
	OpCreate    Op = "create"    // create; ErrExists
	OpPatch     Op = "patch"     // set some fields; ErrNotFound
	OpIncrement Op = "increment" // add to int fields, all or nothing; ErrNotFound
	OpDelete    Op = "delete"    // ErrNotFound
	// OpDiscard gives up a held or dead record at the version of IfMatch: the state of
	// its row, as it was just loaded, is accepted as a new version, or a deletion where
	// there is no row (Values nil). Anything less would race with a flusher that has
	// read the refused state. ErrVersionMismatch where it is not held or dead at that
	// version.
	OpDiscard Op = "discard"
)

// AnyVersion as IfMatch asks that the record exists, at whatever version.
const AnyVersion afterwrite.Version = -1

// Write is one write to a record. Its values are canonical.
type Write struct {
	Op      Op
	ID      string
	Values  afterwrite.Values  // put and create: whole; patch: "" leaves a field as it is
	Deltas  []afterwrite.Delta // increment
	IfMatch afterwrite.Version // 0: none; or AnyVersion

	// Key is an operation id of the record: the write is applied once, however often it is
	// repeated within Config.OpAge. KeyHash tells the operation from others under the same
	// Key of the same record.
	Key, KeyHash string

	// Row and Token answer an earlier Written.Token: the record as it was loaded.
	Row   *afterwrite.Row
	Token string
}

// Written is the outcome of one write.
type Written struct {
	Version afterwrite.Version
	Values  afterwrite.Values // increment: the new values of the added fields, "" elsewhere
	Again   bool              // applied before, under the same Key; Version is of then
	// Token is set where the write needs the record and it is not cached: load its row
	// from the database now, and write again with Row and Token. Nothing was written.
	Token string
	// Err is ErrExists, ErrNotFound, ErrVersionMismatch, ErrBacklogFull, ErrKeyReused or
	// an InvalidError, where nothing was written; or what befell the whole group.
	Err error
}

// Order asks for a sync task of one partition. The zero Order asks for none.
type Order struct {
	Entity     *afterwrite.Entity
	Partition  int
	Generation int64         // 0: a wake-up for a held record
	Delay      time.Duration // from now
	at         int64         // of a wake-up: its time, ms, which tells it from others
}

// None reports whether o asks for nothing.
func (o Order) None() bool { return o.Entity == nil }

// TaskID names the order: two orders of one id are one order.
func (o Order) TaskID() string {
	base := o.Entity.Name + "/" + strconv.Itoa(o.Partition)
	if o.Generation == 0 {
		return base + "/held/" + strconv.FormatInt(o.at, 10)
	}
	return base + "/" + strconv.FormatInt(o.Generation, 10)
}

// Group is writes to records of one partition, applied by one script in their order.
// Writes to the same record keep their order also where the first of them has to load it.
type Group struct {
	Entity    *afterwrite.Entity
	Partition int
	Writes    []Write

	Results []Written // one a write
	Order   Order     // the sync task to enqueue
	watched string    // whose tags the writes invalidate, see touchWritten
}

// Write applies groups in one round trip. It is never sent again after a network error:
// where the reply was lost the results say ErrOutcomeUnknown, and a repeat is safe only
// with a Key.
func (c *Cache) Write(ctx context.Context, groups ...*Group) {
	calls := make([]*call, len(groups))
	for i, g := range groups {
		calls[i] = c.writeCall(g)
	}
	c.pipeline(ctx, c.writes, writeScript, calls)
	c.redirect(ctx, writeScript, calls)
	for i, g := range groups {
		g.read(calls[i].cmd)
	}
	c.touchWritten(ctx, groups)
}

// redirect sends calls again that another node of a cluster owns: a node that answers
// MOVED has run nothing.
func (c *Cache) redirect(ctx context.Context, s *script, calls []*call) {
	cluster, ok := c.writes.(*redis.ClusterClient)
	if !ok {
		return
	}
	for range 3 {
		var again []*call
		for _, one := range calls {
			if err := one.cmd.Err(); err != nil && redis.HasErrorPrefix(err, "MOVED") {
				again = append(again, one)
			}
		}
		if len(again) == 0 {
			return
		}
		cluster.ReloadState(ctx)
		c.pipeline(ctx, c.writes, s, again)
	}
}

func (c *Cache) writeCall(g *Group) *call {
	k := c.keys(g.Entity, g.Partition)
	keys := make([]string, 0, 10+len(g.Writes))
	keys = append(keys, k.stats, k.pending, k.held, k.dead, k.why, k.ops, k.opsAt, k.rank, k.build, k.unsure)
	args := make([]any, 0, 10+len(g.Writes)*(4+2*len(g.Entity.Fields)))
	args = append(args, g.Entity.PartitionLimit(), g.Entity.Partitions, ms(g.Entity.Flush.Delay), ms(c.flagMargin),
		ms(c.lease), c.keptOps, ms(c.opAge), c.channel(g.Entity.Name), len(g.Writes), g.Entity.RankBy)
	for i := range g.Writes {
		w := &g.Writes[i]
		keys = append(keys, k.record+w.ID)
		args = c.appendWrite(args, g.Entity, w)
	}
	return &call{keys: keys, args: args}
}

var forms = map[Op][2]string{
	OpPut: {"p", "px"}, OpCreate: {"c", "cx"}, OpPatch: {"a", "ax"}, OpIncrement: {"i", "ix"}, OpDelete: {"d", "dx"},
	OpDiscard: {"r", "rx"},
}

func (c *Cache) appendWrite(args []any, e *afterwrite.Entity, w *Write) []any {
	if w.Op == OpPut && w.IfMatch == 0 && w.Key == "" {
		args = append(args, "p", w.ID)
	} else {
		args = append(args, forms[w.Op][1], w.ID, ifMatch(w.IfMatch), w.key(), w.KeyHash, newToken(), w.Token)
		args = c.appendRow(args, e, w.Row)
	}
	switch w.Op {
	case OpDelete:
		return args
	case OpIncrement:
		return appendDeltas(args, e, w.Deltas)
	}
	return appendValues(args, e, w.Values)
}

// key is the operation id as it is kept: the record's own. The ids of two records may lie
// in one partition or not, and a caller should not see the difference.
func (w *Write) key() string {
	if w.Key == "" {
		return ""
	}
	return w.Key + "\x00" + w.ID
}

func ifMatch(v afterwrite.Version) string {
	switch v {
	case 0:
		return ""
	case AnyVersion:
		return "*"
	}
	return v.String()
}

func (c *Cache) appendRow(args []any, e *afterwrite.Entity, row *afterwrite.Row) []any {
	switch {
	case row == nil:
		return append(args, "", 0)
	case !row.Exists:
		return append(args, "0", ms(e.Cache.NegativeTTL))
	}
	return appendValues(append(args, "1", ms(ttl(e, row.Values, false))), e, row.Values)
}

func appendValues(args []any, e *afterwrite.Entity, values afterwrite.Values) []any {
	at := len(args)
	args = append(args, 0)
	for i, text := range values {
		if text != "" {
			args = append(args, e.Fields[i].Name, text)
		}
	}
	args[at] = len(args) - at - 1
	return args
}

func appendDeltas(args []any, e *afterwrite.Entity, deltas []afterwrite.Delta) []any {
	args = append(args, 4*len(deltas))
	for _, d := range deltas {
		low, high := e.Fields[d.Field].IntBounds()
		args = append(args, e.Fields[d.Field].Name, d.By, low, high)
	}
	return args
}

// newToken makes a lease token: fresh for every load, so that a load that began before
// a lease was dropped cannot pass for one that began after the next was made.
func newToken() string { return rand.Text() }

func (g *Group) read(cmd *redis.Cmd) {
	g.Results = make([]Written, len(g.Writes))
	g.Order = Order{}
	reply, err := cmd.Slice()
	g.watched = ""
	if err == nil && len(reply) == len(g.Writes)+2 {
		g.watched, reply = text(reply[len(reply)-1]), reply[:len(reply)-1]
	}
	if err == nil && len(reply) != len(g.Writes)+1 {
		err = fmt.Errorf("%d results to %d writes", len(reply)-1, len(g.Writes))
	}
	if err != nil {
		err = writeFault(err)
		for i := range g.Results {
			g.Results[i].Err = err
		}
		return
	}
	if generation, _ := reply[0].(string); generation != "" {
		n, _ := strconv.ParseInt(generation, 10, 64)
		g.Order = Order{Entity: g.Entity, Partition: g.Partition, Generation: n, Delay: g.Entity.Flush.Delay}
	}
	for i := range g.Results {
		g.Results[i] = g.Writes[i].written(g.Entity, reply[i+1])
	}
}

// written turns one result of the script into names; see the header of lua/write.lua.
func (w *Write) written(e *afterwrite.Entity, reply any) Written {
	if version, ok := reply.(string); ok {
		return Written{Version: parseVersion(version)}
	}
	list, _ := reply.([]any)
	texts := make([]string, len(list)+2)
	for i := range list {
		texts[i], _ = list[i].(string)
	}
	field := texts[1]
	switch texts[0] {
	case "increment", "again":
		return Written{Version: parseVersion(field), Again: texts[0] == "again", Values: w.added(e, texts[2:len(list)])}
	case "miss":
		return Written{Token: field}
	case "reused":
		return Written{Err: afterwrite.ErrKeyReused}
	case "exists":
		return Written{Err: afterwrite.ErrExists}
	case "notfound":
		return Written{Err: afterwrite.ErrNotFound}
	case "mismatch":
		return Written{Err: afterwrite.ErrVersionMismatch}
	case "full":
		return Written{Err: fmt.Errorf("%w: partition %d of %s has its %d records", afterwrite.ErrBacklogFull,
			e.Partition(w.ID), e.Name, e.PartitionLimit())}
	case "null":
		return Written{Err: afterwrite.Invalid(field, "is null and cannot be incremented")}
	case "overflow":
		return Written{Err: afterwrite.Invalid(field, "would overflow 64 bits")}
	case "low", "high":
		return Written{Err: afterwrite.Invalid(field, "would be out of bounds: %s", bounds(e, field))}
	}
	return Written{Err: fmt.Errorf("write: reply %q: %w", texts[0], afterwrite.ErrOutcomeUnknown)}
}

func bounds(e *afterwrite.Entity, field string) string {
	i, _ := e.Field(field)
	low, high := e.Fields[i].IntBounds()
	return fmt.Sprintf("it is from %d to %d", low, high)
}

func (w *Write) added(e *afterwrite.Entity, texts []string) afterwrite.Values {
	if w.Op != OpIncrement || len(texts) != len(w.Deltas) {
		return nil
	}
	values := make(afterwrite.Values, len(e.Fields))
	for i, d := range w.Deltas {
		values[d.Field] = texts[i]
	}
	return values
}

func parseVersion(text string) afterwrite.Version {
	n, _ := strconv.ParseInt(text, 10, 64)
	return afterwrite.Version(n)
}

// Reserve gives an operation id the record id that its first caller made, so that a
// repeated create finds the record that it created. Key and fresh are any text.
func (c *Cache) Reserve(ctx context.Context, e *afterwrite.Entity, key, fresh string) (string, error) {
	k := c.keys(e, e.Partition(key))
	reply, err := c.runAny(ctx, reserveScript, []string{k.ops, k.opsAt}, "id:"+key, fresh, c.keptOps, ms(c.opAge))
	if err != nil {
		return "", err
	}
	id, _ := reply.(string)
	return id, nil
}
