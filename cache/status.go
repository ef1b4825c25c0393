package cache

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite"
)

// State is where a record stands on its way to the database.
type State struct {
	Cached       bool // in Redis; else it is persisted or does not exist
	Record       afterwrite.Record
	PendingSince time.Time           // zero unless pending
	NextAttempt  time.Time           // zero unless held
	DiedAt       time.Time           // zero unless dead
	Attempts     int                 // refusals of the newest version
	Refusal      *afterwrite.Refusal // the last one; nil unless held or dead
	History      []Attempt           // the last refusals, oldest first; none unless held or dead
	Leased       bool                // a load has the right to fill it
}

// Status reads the state of a record at one moment. It loads nothing.
func (c *Cache) Status(ctx context.Context, e *afterwrite.Entity, id string) (State, error) {
	k := c.keys(e, e.Partition(id))
	key := k.record + id
	p := c.redis.TxPipeline()
	values := p.HMGet(ctx, key, append(readFields(e), "_l")...)
	life := p.PTTL(ctx, key)
	pending, held, dead := p.ZScore(ctx, k.pending, id), p.ZScore(ctx, k.held, id), p.ZScore(ctx, k.dead, id)
	detail := p.HGet(ctx, k.why, id)
	if _, err := p.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return State{}, fault("status", err)
	}
	texts := values.Val()
	last := len(texts) - 1
	s := State{Leased: texts[last] != nil, PendingSince: since(pending), NextAttempt: since(held), DiedAt: since(dead)}
	if texts[0] == nil {
		s.Record = afterwrite.Record{ID: id, Status: afterwrite.Persisted}
		return s, nil
	}
	s.Cached, s.Record = true, record(id, texts[:last], life.Val())
	if s.Record.Status == afterwrite.Held || s.Record.Status == afterwrite.Dead {
		w := parseWhy(detail.Val())
		s.Attempts, s.Refusal, s.History = w.Attempts, w.refusal(), expand(w.History)
	}
	return s, nil
}

func since(cmd *redis.FloatCmd) time.Time {
	if cmd.Err() != nil {
		return time.Time{}
	}
	return time.UnixMilli(int64(cmd.Val()))
}
