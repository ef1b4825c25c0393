package cache

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

var reserveScript = layout.Load(sources, "reserve")

// Op is what a write does to its record.
type Op string

// The operations.
const (
	OpPut       Op = "put"       // create or replace
	OpCreate    Op = "create"    // create; ErrExists
	OpPatch     Op = "patch"     // set some fields; ErrNotFound
	OpIncrement Op = "increment" // add to int fields, all or nothing; ErrNotFound
	OpDelete    Op = "delete"    // ErrNotFound
	// OpDiscard discards a held or dead record at the version of IfMatch: the state of its row, which was just loaded,
	// is accepted as a new version, or a deletion if there is no row (Values nil). Anything less would race with a
	// flusher that has read the refused state. ErrVersionMismatch if the record is not held or dead at that version.
	OpDiscard Op = "discard"
)

// AnyVersion as IfMatch requires that the record exists, at whatever version.
const AnyVersion schema.Version = -1

// Write is one write to a record. Its values are canonical.
type Write struct {
	Op      Op
	ID      string
	Values  schema.Values  // put and create: whole; patch: "" leaves a field unchanged
	Deltas  []Delta        // increment
	IfMatch schema.Version // 0: none; or AnyVersion

	// Key is an operation id of the record: the write is applied once, however often it is repeated within
	// Config.OpAge. KeyHash distinguishes the operation from others with the same Key on the same record. It
	// may be two hashes with a "=" between: of the same operation either is the same.
	Key, KeyHash string
	// Owner is who sent the Key: of the room for operation ids one owner gets half. "": none.
	Owner string

	// Row and Token answer an earlier Written.Token: the loaded record.
	Row   *schema.Row
	Token string

	// ThoughFull says that the write is an operator's, which may be the way out of a Redis that is full: it is accepted
	// there, and so are the others of its call. A discard always is.
	ThoughFull bool

	// Origin is the traced request of the write, stored with the record until a flush has persisted it; nil: none.
	Origin *schema.Origin
}

// Delta is an addition to one int field.
type Delta struct {
	Field int // position in [schema.Entity.Fields]
	By    int64
}

// Written is the outcome of one write.
type Written struct {
	Version schema.Version
	Values  schema.Values // increment: the new values of the added fields, "" elsewhere
	Again   bool          // applied before, with the same Key; Version is from then
	// Token is set if the write needs the record and the record is not cached, or not complete: load its row from the
	// database now, and write again with Row and Token. Nothing was written.
	Token string
	stale bool // the cached record lacks a field, and is persisted: it must be dropped
	// Err is ErrExists, ErrNotFound, ErrVersionMismatch, ErrBacklogFull, ErrKeyReused, ErrKeysFull or an InvalidError,
	// after which nothing was written; or an error of the whole group.
	Err error
}

// Group is writes to records of one partition, applied by one script in order. Writes to the same record keep their
// order even if the first of them has to load it.
type Group struct {
	Entity    *schema.Entity
	Partition int
	Writes    []Write
	// Unscheduled leaves the partition's scheduled flag free: the caller has no queue for the Order, and the workers'
	// sweep schedules a flush with its next tick.
	Unscheduled bool

	Results []Written    // one per write; overwritten
	Order   schema.Order // the sync task to enqueue
	watched string       // whether the writes invalidate tags, see touchWritten
}

// Write applies groups in one round trip. It is never sent again after a network error: if the reply was lost the
// results have ErrOutcomeUnknown, and a repeat is safe only with a Key.
func (c *Cache) Write(ctx context.Context, groups ...*Group) {
	trips := c.share(groups)
	calls := make([]*rdb.Call, len(trips))
	for i, t := range trips {
		calls[i] = c.writeCall(t)
	}
	c.redis.SendOnce(ctx, calls...)
	for i, t := range trips {
		readWritten(t, calls[i].Cmd)
		done(calls[i])
	}
	c.dropLacking(ctx, groups)
	c.touchWritten(ctx, groups)
}

// maxShared bounds the writes of the groups that share a call, and so the time for which they block Redis together.
const maxShared = 512

// share distributes groups over calls of the script. Groups of one entity share a call unless their partitions may be
// on different nodes: a call costs Redis as much as half a write, and few callers meet in one partition.
func (c *Cache) share(groups []*Group) (trips [][]*Group) {
	cluster := c.redis.Clustered()
	for _, g := range groups {
		i := slices.IndexFunc(trips, func(t []*Group) bool { return !cluster && fits(t, g) })
		if i < 0 {
			trips = append(trips, []*Group{g})
		} else {
			trips[i] = append(trips[i], g)
		}
	}
	return trips
}

// fits reports whether a group can share a call with others. The script handles a partition once per call.
func fits(others []*Group, g *Group) bool {
	writes := len(g.Writes)
	for _, other := range others {
		if other.Entity != g.Entity || other.Partition == g.Partition {
			return false
		}
		writes += len(other.Writes)
	}
	return writes <= maxShared
}

// readWritten sets the results of the groups of a call.
func readWritten(groups []*Group, cmd *redis.Cmd) {
	reply, err := cmd.Slice()
	if err == nil && len(reply) != len(groups) {
		err = fmt.Errorf("results of %d partitions, not of %d", len(reply), len(groups))
	}
	for i, g := range groups {
		g.Results, g.Order, g.watched = slices.Grow(g.Results[:0], len(g.Writes))[:len(g.Writes)], schema.Order{}, ""
		clear(g.Results)
		groupErr := err
		if err == nil {
			groupErr = g.read(reply[i])
		}
		if groupErr != nil {
			groupErr = writeFault(groupErr)
			for j := range g.Results {
				g.Results[j].Err = groupErr
			}
		}
	}
}

// writeFault wraps an error of a write.
func writeFault(err error) error {
	if text, ok := strings.CutPrefix(err.Error(), "PARTITIONS "); ok {
		return fmt.Errorf("write: %w: it has %s", schema.ErrPartitionsChanged, text)
	}
	return rdb.OnceFault("write", err)
}

func (g *Group) read(reply any) error {
	list, _ := reply.([]any)
	if len(list) != len(g.Writes)+2 {
		return fmt.Errorf("%d results to %d writes", len(list)-2, len(g.Writes))
	}
	if generation := layout.Text(list[0]); generation != "" {
		n, _ := strconv.ParseInt(generation, 10, 64)
		g.Order = schema.Order{Entity: g.Entity, Partition: g.Partition, Generation: n, Delay: g.Entity.Flush.Delay}
	}
	g.watched = layout.Text(list[1])
	for i := range g.Results {
		g.Results[i] = g.Writes[i].written(g.Entity, list[i+2])
	}
	return nil
}

// written decodes one result of the script; see the header of lua/write.lua.
func (w *Write) written(e *schema.Entity, reply any) Written {
	if version, ok := reply.(string); ok {
		return Written{Version: layout.Version(version)}
	}
	list, _ := reply.([]any)
	texts := make([]string, len(list)+2)
	for i := range list {
		texts[i] = layout.Text(list[i])
	}
	field := texts[1]
	switch texts[0] {
	case "increment", "again":
		return Written{Version: layout.Version(field), Again: texts[0] == "again",
			Values: w.added(e, texts[2:len(list)])}
	case "miss":
		return Written{Token: field}
	case "lacking":
		if field == "" {
			return Written{Token: noLease, stale: true}
		}
		return Written{Token: lackingAt + field}
	case "reused":
		return Written{Err: schema.ErrKeyReused}
	case "keysfull":
		whose := ""
		if field == "owner" {
			whose = ", of which one caller has at most half"
		}
		return Written{Err: fmt.Errorf("%w: partition %d of %s%s", schema.ErrKeysFull, e.Partition(w.ID), e.Name, whose)}
	case "exists":
		return Written{Err: schema.ErrExists}
	case "notfound":
		return Written{Err: schema.ErrNotFound}
	case "mismatch":
		return Written{Err: schema.ErrVersionMismatch}
	case "full":
		return Written{Err: fmt.Errorf("%w: partition %d of %s has its %d records", schema.ErrBacklogFull,
			e.Partition(w.ID), e.Name, e.PartitionLimit())}
	case "null":
		return Written{Err: schema.Invalid(field, "is null and cannot be incremented")}
	case "foreign":
		return Written{Err: schema.Invalid(field,
			"is no int in the table, where another program wrote it: set it first")}
	case "overflow":
		return Written{Err: schema.Invalid(field, "would overflow 64 bits")}
	case "low", "high":
		return Written{Err: schema.Invalid(field, "would be out of bounds: %s", bounds(e, field))}
	}
	return Written{Err: fmt.Errorf("write: reply %q: %w", texts[0], schema.ErrOutcomeUnknown)}
}

func bounds(e *schema.Entity, field string) string {
	i, _ := e.Field(field)
	low, high := e.Fields[i].IntBounds()
	return fmt.Sprintf("it is from %d to %d", low, high)
}

func (w *Write) added(e *schema.Entity, texts []string) schema.Values {
	if w.Op != OpIncrement || len(texts) != len(w.Deltas) {
		return nil
	}
	values := make(schema.Values, len(e.Fields))
	for i, d := range w.Deltas {
		values[d.Field] = texts[i]
	}
	return values
}

// Reserve stores the record id that the first caller of an operation id generated, so that a repeated create finds the
// record that it created. The texts can be any, owner as in [Write]; with an empty fresh nothing is stored, and
// ErrKeysFull means that no id was.
func (c *Cache) Reserve(ctx context.Context, e *schema.Entity, key, owner, fresh string) (string, error) {
	k := c.prefix.Keys(e, e.Partition(key))
	reply, err := c.redis.RunAny(ctx, reserveScript, []string{k.Ops}, keptKey("id:"+key), fresh, c.keptOps,
		layout.MS(c.opAge), keptOwner(owner))
	if err != nil {
		return "", err
	}
	id := layout.Text(reply)
	if id == "" {
		return "", fmt.Errorf("%w: %s", schema.ErrKeysFull, e.Name)
	}
	return id, nil
}
