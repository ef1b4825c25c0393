package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// Writes is the write path. It reads a request's Fields before it returns and
// keeps nothing of them, for they alias the body. Its error of an ended context means
// that nothing was written; where that is not known it is ErrOutcomeUnknown.
type Writes interface {
	Do(ctx context.Context, r producer.Request) (producer.Accepted, error)
	DoAll(ctx context.Context, rs []producer.Request) []producer.Result
}

// put creates or replaces a record.
func (a *API) put(ctx context.Context, c *call) error {
	if err := a.readFields(c, request.JSON); err != nil {
		return err
	}
	return a.write(ctx, c, cache.OpPut)
}

// patch sets some fields of a record: a merge patch of its top level.
func (a *API) patch(ctx context.Context, c *call) error {
	if err := a.readFields(c, request.Merge, request.JSON); err != nil {
		return err
	}
	return a.write(ctx, c, cache.OpPatch)
}

// increment adds to int fields of a record.
func (a *API) increment(ctx context.Context, c *call) error {
	if err := a.readFields(c, request.JSON); err != nil {
		return err
	}
	return a.write(ctx, c, cache.OpIncrement)
}

// remove deletes a record.
func (a *API) remove(ctx context.Context, c *call) error {
	return a.write(ctx, c, cache.OpDelete)
}

// create creates a record; its id is in the body or is generated.
func (a *API) create(ctx context.Context, c *call) error {
	if _, ok := c.r.Header["If-Match"]; ok {
		return problem.BadHeader("If-Match", "has no meaning for a record that is yet to be created")
	}
	id, err := a.readObject(c, request.JSON)
	if err != nil {
		return err
	}
	if id != nil {
		if c.id, err = request.IDFromJSON(c.entity, id); err != nil {
			return err
		}
		if c.id == "" {
			return invalid("id", "is empty")
		}
	}
	return a.write(ctx, c, cache.OpCreate)
}

// readFields parses the body into c.fields. An "id" in it must equal the path's.
func (a *API) readFields(c *call, types ...string) error {
	value, err := a.readObject(c, types...)
	if err != nil || value == nil {
		return err
	}
	id, err := request.IDFromJSON(c.entity, value)
	if err != nil {
		return err
	}
	if id, err = c.entity.CanonicalID(id); err != nil {
		return err
	}
	if of, err := c.entity.CanonicalID(c.id); err != nil || of != id {
		return invalid("id", "is not the id of the path")
	}
	return nil
}

func (a *API) readObject(c *call, types ...string) (id json.RawMessage, err error) {
	if err := c.wantType(types...); err != nil {
		return nil, err
	}
	if err := a.readBody(c, a.maxBody, c.holds.Hold); err != nil {
		return nil, err
	}
	return c.decode.Fields(c.body, c.entity, c.fields)
}

// write passes the request to the write path and answers.
func (a *API) write(ctx context.Context, c *call, op cache.Op) error {
	if err := c.onlyParameters(); err != nil {
		return err
	}
	cond, err := request.ReadCondition(c.r.Header)
	if err != nil {
		return err
	}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	w := producer.Request{Op: op, Entity: c.entity.Name, ID: c.id, Fields: c.fields, Owner: c.who.Name}
	if w.Key, err = request.IdempotencyKey(c.r.Header); err != nil {
		return err
	}
	if w.IfNoneMatch, err = ifAbsent(op, cond); err != nil {
		return err
	}
	if w.IfMatch, err = a.match(ctx, c.entity, c.id, cond); err != nil {
		return err
	}
	accepted, err := a.producer.Do(ctx, w)
	if err != nil {
		return conditionFailed(refusedFirst(err), op, cond)
	}
	return a.accept(c, op, accepted)
}

// accept answers an accepted write: immediately, or after it is persisted if the caller prefers to wait.
func (a *API) accept(c *call, op cache.Op, accepted producer.Accepted) error {
	h := c.header
	c.setETag(accepted.Version)
	if accepted.Again {
		h["Idempotency-Replayed"] = []string{"true"}
	}
	if op == cache.OpCreate {
		h["Location"] = []string{a.recordURL(accepted.Entity, accepted.ID)}
	}
	code := http.StatusAccepted
	var trouble *schema.Refusal
	if _, ok := c.r.Header["Prefer"]; ok {
		prefer := request.ReadPreference(c.r.Header, a.maxWait)
		if prefer.Wait > 0 && !a.admitWait(c) {
			prefer.Wait = 0
		}
		if applied := prefer.Applied(); applied != "" {
			h["Preference-Applied"] = []string{applied}
		}
		var err error
		if accepted.Status, trouble, err = a.await(c, accepted, prefer.Wait); err != nil {
			return err
		}
	}
	if accepted.Status == schema.Persisted {
		code = http.StatusOK
	}
	c.out = c.appendAccepted(c.out[:0], accepted)
	if trouble != nil {
		c.out = append(c.out[:len(c.out)-1], `,"error":`...)
		c.out = append(problem.AppendRefusal(c.out, *trouble), '}')
	}
	c.out = append(c.out, '\n')
	c.send(code, c.out)
	return nil
}

// appendAccepted appends the answer to a write.
func (c *call) appendAccepted(dst []byte, w producer.Accepted) []byte {
	dst = append(dst, `{"entity":"`...)
	dst = append(dst, w.Entity.Name...)
	dst = append(dst, `","id":`...)
	dst = append(dst, c.idText(w.Entity, w.ID)...)
	dst = append(dst, `,"version":`...)
	dst = c.appendVersion(dst, w.Version)
	dst = append(dst, `,"status":"`...)
	dst = append(dst, w.Status...)
	dst = append(dst, '"')
	return append(c.appendAdded(dst, w), '}')
}

// appendAdded appends the new values of an increment, nothing for other writes. A caller that may only write is not
// told them: an increment by 0 would read.
func (c *call) appendAdded(dst []byte, w producer.Accepted) []byte {
	if w.Values == nil || c.who.Allow(token.Read, w.Entity.Name) != nil {
		return dst
	}
	dst = append(dst, `,"fields":`...)
	return c.appendFields(dst, w.Entity, w.Values)
}
