package cache

import (
	"context"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// State says how far a record has come on its way to the database.
type State struct {
	Cached       bool // in Redis; otherwise it is persisted or does not exist
	Record       schema.Record
	PendingSince time.Time        // zero unless pending
	NextAttempt  time.Time        // zero unless held
	DiedAt       time.Time        // zero unless dead
	Attempts     int              // refusals of the newest version
	Refusal      *schema.Refusal  // the last one; nil unless held or dead
	History      []schema.Attempt // the last refusals, oldest first; none unless held or dead
	Leased       bool             // a load has the right to fill it
}

var statusScript = layout.Load(sources, "status")

// Status reads the state of a record at one moment. It loads nothing.
func (c *Cache) Status(ctx context.Context, e *schema.Entity, id string) (State, error) {
	k := c.prefix.Keys(e, e.Partition(id))
	key := k.Record + id
	args := []any{id}
	for _, field := range readFields(e) {
		args = append(args, field)
	}
	reply, err := c.redis.Run(ctx, statusScript, []string{key, k.Pending, k.Held, k.Dead, k.Why}, append(args, "_l")...)
	if err != nil {
		return State{}, err
	}
	if len(reply) != 6 {
		return State{}, fmt.Errorf("status script: %d values", len(reply))
	}
	life, _ := reply[0].(int64)
	texts, _ := reply[5].([]any)
	if len(texts) != len(args) {
		return State{}, fmt.Errorf("status script: %d values of the record", len(texts))
	}
	last := len(texts) - 1
	s := State{Leased: texts[last] != nil, PendingSince: layout.Time(layout.Text(reply[1])),
		NextAttempt: layout.Time(layout.Text(reply[2])), DiedAt: layout.Time(layout.Text(reply[3]))}
	if texts[0] == nil {
		s.Record = schema.Record{ID: id, Status: schema.Persisted}
		return s, nil
	}
	s.Cached, s.Record = true, record(e, id, texts[:last], time.Duration(life)*time.Millisecond)
	if s.Record.Status == schema.Held || s.Record.Status == schema.Dead {
		w := layout.ParseWhy(layout.Text(reply[4]))
		s.Attempts, s.Refusal, s.History = w.Attempts, w.Refusal(), layout.Expand(w.History)
	}
	return s, nil
}
