package cache

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite"
)

// Due is a record that the database should see now.
type Due struct {
	afterwrite.Change
	Held         bool      // refused before; else it is pending
	Attempts     int       // refusals so far
	History      []Attempt // the last of them, oldest first
	PendingSince time.Time // when it first waited, by Redis's clock
}

// Batch is what [Cache.Due] reads at one moment.
type Batch struct {
	Due     []Due
	Missing []string  // listed ids without a record; see Drop
	ReadAt  time.Time // Redis's clock, to a millisecond
	More    bool      // more is due than was read
}

// Due reads up to limit records that are due, and about maxBytes of values: pending ones
// that have waited the entity's flush delay, oldest first, then held ones whose next
// attempt has come. Call it only while the partition's fence is locked, or the batch may
// be older than what another flusher has written.
func (c *Cache) Due(ctx context.Context, e *afterwrite.Entity, partition, limit, maxBytes int) (Batch, error) {
	k := c.keys(e, partition)
	args := append(make([]any, 0, 5+len(e.Fields)), k.record, limit, maxBytes, ms(e.Flush.Delay), heldShare(e, limit))
	for i := range e.Fields {
		args = append(args, e.Fields[i].Name)
	}
	reply, err := c.run(ctx, dueScript, []string{k.pending, k.held, k.why}, args...)
	if err != nil {
		return Batch{}, err
	}
	if len(reply) < 3 {
		return Batch{}, fmt.Errorf("due script: %d values", len(reply))
	}
	b := Batch{ReadAt: parseMS(text(reply[0])), More: text(reply[2]) != "", Due: make([]Due, 0, len(reply)-3)}
	missing, _ := reply[1].([]any)
	for _, id := range missing {
		b.Missing = append(b.Missing, text(id))
	}
	for _, item := range reply[3:] {
		list, _ := item.([]any)
		if len(list) != 5+len(e.Fields) {
			return Batch{}, fmt.Errorf("due script: a record of %d values", len(list))
		}
		b.Due = append(b.Due, readDue(list))
	}
	return b, nil
}

// heldShare is the number of held records that a batch takes though it could be filled with
// pending ones: a tenth, so that a hot partition does not keep them waiting. A batch that
// was made smaller than the entity's is one of a partition whose flushes fail: there a
// held record, which may be why, waits until its neighbours are through.
func heldShare(e *afterwrite.Entity, limit int) int {
	if limit < e.Flush.Batch {
		return 0
	}
	return limit / 10
}

func readDue(list []any) Due {
	since := text(list[1])
	d := Due{Held: since == "", PendingSince: parseMS(since)}
	d.ID, d.Version = text(list[0]), parseVersion(text(list[3]))
	if d.Held {
		w := parseWhy(text(list[2]))
		d.Attempts, d.History = w.Attempts, expand(w.History)
		if w.Since > 0 {
			d.PendingSince = time.UnixMilli(w.Since)
		}
	}
	if d.Deleted = text(list[4]) != ""; d.Deleted {
		return d
	}
	d.Values = make(afterwrite.Values, len(list)-5)
	for i, v := range list[5:] {
		d.Values[i] = value(v)
	}
	return d
}

func text(v any) string {
	s, _ := v.(string)
	return s
}

// why is the JSON beside a held or dead record: its refusal, and those before it.
type why struct {
	Version    afterwrite.Version `json:"version"`
	Attempts   int                `json:"attempts"`
	Kind       afterwrite.Kind    `json:"kind"`
	Constraint string             `json:"constraint,omitempty"`
	Column     string             `json:"column,omitempty"`
	Message    string             `json:"message"`
	At         int64              `json:"at"`              // ms
	Since      int64              `json:"since,omitempty"` // when it first waited, ms
	History    []brief            `json:"history,omitempty"`
}

// parseWhy reads the detail, or as much of it as can be read.
func parseWhy(text string) why {
	var w why
	if json.Unmarshal([]byte(text), &w) != nil {
		return why{Kind: afterwrite.KindPoison, Message: text}
	}
	return w
}

func (w why) refusal() *afterwrite.Refusal {
	return &afterwrite.Refusal{Kind: w.Kind, Constraint: w.Constraint, Column: w.Column, Message: w.Message}
}
