package api

import (
	"context"
	"errors"
	"time"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api/internal/share"
	"github.com/afterwrite/afterwrite/schema"
)

// admitWait takes a place among the requests that wait, within the caller's share; [API.await] gives it back. If all
// places are taken, the caller is answered immediately, as if its wait had timed out.
func (a *API) admitWait(c *call) bool {
	if c.holds.Take(share.Waits) == nil {
		if c.holds.Enter(share.Waits) {
			return true
		}
		c.holds.Give(share.Waits)
	}
	a.metrics.unwaited.Inc()
	return false
}

// await waits until the accepted write or a newer one is persisted, and returns the record's status then, with the
// trouble of its table if that is why it is still pending. Its errors are the database's refusal of this write, and
// ErrOutcomeUnknown if Redis has come back without the write. If the wait ends for any other reason, such as the end of
// the process, the write stays accepted.
func (a *API) await(c *call, w producer.Accepted, wait time.Duration) (schema.Status, *schema.Refusal, error) {
	if wait <= 0 {
		return w.Status, nil, nil
	}
	defer func() { c.holds.Leave(share.Waits); c.holds.Give(share.Waits) }()
	ctx, cancel := context.WithTimeout(c.r.Context(), wait)
	defer cancel()
	go func() {
		select {
		case <-a.stopping:
			cancel()
		case <-ctx.Done():
		}
	}()
	state, err := a.cache.Wait(ctx, w.Entity, w.ID, w.Version)
	if errors.Is(err, schema.ErrOutcomeUnknown) {
		return "", nil, err
	}
	if err != nil {
		if ctx.Err() == nil {
			a.log.WarnContext(ctx, "wait ended early", "request_id", c.requestID, "entity", w.Entity.Name, "error", err)
		}
		return w.Status, nil, nil
	}
	record := state.Record
	switch {
	case record.Status == schema.Persisted && record.Version >= w.Version, !state.Cached:
		// A record that is not cached has left the cache, and only persisted records can.
		return schema.Persisted, nil, nil
	case state.Refusal == nil:
		return w.Status, nil, nil
	case record.Status == schema.Pending:
		return w.Status, state.Refusal, nil
	case record.Version == w.Version:
		return "", nil, errRefused(w.Entity, problem.Refused{Refusal: *state.Refusal, Version: w.Version,
			Status: record.Status})
	}
	return w.Status, nil, nil
}
