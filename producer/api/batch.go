package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/producer/api/internal/share"
	"github.com/afterwrite/afterwrite/schema"
)

// batch executes many writes. Each has its own outcome; writes of one record keep their order.
func (a *API) batch(ctx context.Context, c *call) error {
	if err := c.checkBatch(); err != nil {
		return err
	}
	if err := c.who.AllowSomewhere(token.Write); err != nil {
		return err
	}
	if err := a.readBody(c, a.maxBatchBody, c.holds.HoldBatch); err != nil {
		return err
	}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	back, err := c.holds.Await(ctx, share.Batches, schema.ErrBusy) // a body that arrives slowly takes no place
	if err != nil {
		return err
	}
	items, err := c.decode.Items(c.body)
	if err != nil {
		back()
		return err
	}
	results := a.doItems(ctx, c, items)
	back() // neither does an answer that is read slowly
	a.sendResults(c, results)
	return nil
}

// doItems executes the items that can be parsed and returns an outcome for each.
func (a *API) doItems(ctx context.Context, c *call, items [][]byte) []producer.Result {
	results := make([]producer.Result, len(items))
	requests := make([]producer.Request, 0, len(items))
	at := make([]int, 0, len(items)) // requests[i] is items[at[i]]
	for i, item := range items {
		if ctx.Err() != nil { // items that cannot be executed in time are not parsed
			results[i].Err = schema.ErrBusy
			continue
		}
		r, err := a.readItem(c, item)
		if err != nil {
			results[i].Err = err
			continue
		}
		requests = append(requests, r)
		at = append(at, i)
	}
	for i, result := range a.producer.DoAll(ctx, requests) {
		results[at[i]] = result
	}
	return results
}

// checkBatch rejects headers that would seem to hold for all items but belong to each item.
func (c *call) checkBatch() error {
	for _, name := range []string{"If-Match", "If-None-Match", "Idempotency-Key"} {
		if _, ok := c.r.Header[name]; ok {
			return problem.BadHeader(name, "is not for a batch; give its items if_match or idempotency_key")
		}
	}
	if err := c.onlyParameters(); err != nil {
		return err
	}
	return c.wantType(request.NDJSON, request.JSON, "application/ndjson", "application/jsonl")
}

// readItem parses one item of a batch.
func (a *API) readItem(c *call, text []byte) (producer.Request, error) {
	var r producer.Request
	if int64(len(text)) > a.maxBody { // a write has the same bound on every route
		return r, problem.TooLarge(a.maxBody)
	}
	item, err := c.decode.Item(text)
	r.Op, r.Entity, r.IfMatch, r.Key = cache.Op(item.Op), item.Entity, item.IfMatch, item.Key
	if err != nil {
		return r, err
	}
	return r, a.completeItem(c, &r, item.ID, item.Fields)
}

// completeItem parses the members that depend on the item's op and entity.
func (a *API) completeItem(c *call, r *producer.Request, id, fields json.RawMessage) error {
	r.Owner = c.who.Name
	switch r.Op {
	case cache.OpPut, cache.OpCreate, cache.OpPatch, cache.OpIncrement, cache.OpDelete:
	default:
		return invalid("op", "must be put, create, patch, increment or delete")
	}
	e, ok := a.entities[r.Entity]
	if !ok {
		return problem.UnknownEntity(r.Entity)
	}
	err := c.who.Allow(token.Write, e.Name)
	if err != nil {
		return err
	}
	if id != nil {
		if r.ID, err = request.IDFromJSON(e, id); err != nil {
			return err
		}
	}
	if r.ID == "" && (id != nil || r.Op != cache.OpCreate) {
		return invalid("id", "is empty")
	}
	if r.Op == cache.OpCreate && r.IfMatch != 0 {
		return invalid("if_match", "has no meaning for a record that is yet to be created")
	}
	if r.Op == cache.OpDelete {
		if fields != nil {
			return invalid("fields", "are not for a delete")
		}
		return nil
	}
	if fields == nil || fields[0] != '{' {
		return invalid("fields", "must be an object")
	}
	r.Fields = make(schema.Fields)
	inner, err := c.decode.Fields(fields, e, r.Fields)
	if err == nil && inner != nil {
		return invalid("fields", `cannot have "id"; it stands beside them`)
	}
	return err
}

// sendResults answers a batch: for each item the status code that it would have had alone, and its version or its
// problem.
func (a *API) sendResults(c *call, results []producer.Result) {
	out := append(c.out[:0], `{"results":[`...)
	for i := range results {
		if i > 0 {
			out = append(out, ',')
		}
		out = a.appendResult(c, out, &results[i])
	}
	c.out = append(out, ']', '}', '\n')
	c.send(http.StatusOK, c.out)
}

// maxNamed bounds the bytes of a batch's answer up to which errors name fields; later errors have only their type.
const maxNamed = 1 << 20

func (a *API) appendResult(c *call, dst []byte, r *producer.Result) []byte {
	if r.Err != nil {
		p := problem.Of(refusedFirst(r.Err))
		if p.Code == http.StatusInternalServerError {
			a.logFault(c, p)
		}
		if len(dst) > maxNamed && len(p.Fields) > 0 {
			p.Fields, p.Detail = nil, p.Detail+"; the answer is too large to name them"
		}
		dst = append(dst, `{"status":`...)
		dst = strconv.AppendInt(dst, int64(p.Code), 10)
		dst = append(dst, `,"error":`...)
		return append(p.AppendTo(dst, ""), '}')
	}
	code := http.StatusAccepted
	if r.Status == schema.Persisted {
		code = http.StatusOK
	}
	dst = append(dst, `{"status":`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, `,"entity":"`...)
	dst = append(dst, r.Entity.Name...)
	dst = append(dst, `","id":`...)
	dst = append(dst, c.idText(r.Entity, r.ID)...)
	dst = append(dst, `,"version":`...)
	dst = c.appendVersion(dst, r.Version)
	return append(c.appendAdded(dst, r.Accepted), '}')
}
