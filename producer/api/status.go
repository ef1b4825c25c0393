package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// status answers how far a record has come on its way to the database.
func (a *API) status(ctx context.Context, c *call) error {
	if err := c.onlyParameters(); err != nil {
		return err
	}
	id, err := c.entity.CanonicalID(c.id)
	if err != nil {
		return err
	}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	state, err := a.cache.Status(ctx, c.entity, id)
	if err != nil {
		return err
	}
	if !state.Cached {
		// Only a persisted record, or a record that does not exist, is not in the cache.
		read, err := a.cache.Get(ctx, c.entity, id)
		if err != nil {
			return err
		}
		state.Record = read.Record
	}
	record := state.Record
	if record.Deleted && record.Status == schema.Persisted {
		return schema.ErrNotFound
	}
	c.setETag(record.Version)
	c.out = append(c.appendState(c.out[:0], id, state), '\n')
	c.send(http.StatusOK, c.out)
	return nil
}

// appendState appends a record's state. A deletion that is not yet persisted has a state, too.
func (c *call) appendState(dst []byte, id string, s cache.State) []byte {
	dst = append(dst, `{"entity":"`...)
	dst = append(dst, c.entity.Name...)
	dst = append(dst, `","id":`...)
	dst = append(dst, c.idText(c.entity, id)...)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, s.Record.Status...)
	dst = append(dst, `","version":`...)
	dst = c.appendVersion(dst, s.Record.Version)
	dst = append(dst, `,"deleted":`...)
	dst = strconv.AppendBool(dst, s.Record.Deleted)
	dst = append(dst, `,"pending_since":`...)
	dst = problem.AppendTime(dst, s.PendingSince)
	dst = append(dst, `,"attempts":`...)
	dst = strconv.AppendInt(dst, int64(s.Attempts), 10)
	dst = append(dst, `,"next_attempt":`...)
	dst = problem.AppendTime(dst, s.NextAttempt)
	dst = append(dst, `,"died_at":`...)
	dst = problem.AppendTime(dst, s.DiedAt)
	dst = append(dst, `,"error":`...)
	if s.Refusal == nil {
		return append(dst, `null}`...)
	}
	return append(problem.AppendRefusal(dst, *s.Refusal), '}')
}
