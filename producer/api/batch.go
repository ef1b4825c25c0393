package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer"
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
	if err := a.readBody(c, a.maxBatchBody, a.holdBatch); err != nil {
		return err
	}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	back, err := a.place(ctx, c, batchPlaces, a.batches, schema.ErrBusy) // a body that arrives slowly takes no place
	if err != nil {
		return err
	}
	items, err := c.splitItems()
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
		request, err := a.readItem(c, item)
		if err != nil {
			results[i].Err = err
			continue
		}
		requests = append(requests, request)
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
	return c.wantType(typeNDJSON, typeJSON, "application/ndjson", "application/jsonl")
}

// splitItems splits the body into the texts of its items: the elements of an array, or its lines. It checks only the
// array's own commas and brackets, so that an invalid item does not affect the others.
func (c *call) splitItems() ([][]byte, error) {
	if body := bytes.TrimLeft(c.body, " \t\r\n"); len(body) > 0 && body[0] == '[' {
		return c.splitArray()
	}
	var items [][]byte
	for line := range bytes.SplitSeq(c.body, []byte{'\n'}) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(items) == MaxBatchItems {
			return nil, problem.TooMany("items", MaxBatchItems)
		}
		items = append(items, line)
	}
	return items, nil
}

func (c *call) splitArray() ([][]byte, error) {
	d := &c.decode
	d.start(c.body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := d.tokens.ReadToken(); err != nil {
		return nil, malformed(err)
	}
	var items [][]byte
	for d.tokens.PeekKind() != ']' {
		item, err := d.value()
		if err != nil {
			return nil, malformed(err)
		}
		if len(items) == MaxBatchItems {
			return nil, problem.TooMany("items", MaxBatchItems)
		}
		items = append(items, item)
	}
	if _, err := d.tokens.ReadToken(); err != nil {
		return nil, malformed(err)
	}
	if _, err := d.tokens.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, problem.Malformed("there is something after the array")
	}
	return items, nil
}

// readItem parses one item of a batch.
func (a *API) readItem(c *call, text []byte) (producer.Request, error) {
	var r producer.Request
	if int64(len(text)) > a.maxBody { // a write has the same bound on every route
		return r, problem.TooLarge(a.maxBody)
	}
	var id, fields json.RawMessage
	err := c.decode.object(text, func(name []byte, value json.RawMessage) (err error) {
		switch string(name) {
		case "op":
			var op string
			op, err = stringMember("op", value)
			r.Op = cache.Op(op)
		case "entity":
			r.Entity, err = stringMember("entity", value)
		case "id":
			id = value
		case "fields":
			fields = value
		case "if_match":
			r.IfMatch, err = versionMember(value)
		case "idempotency_key":
			if r.Key, err = stringMember("idempotency_key", value); err == nil {
				if reason := keyFault(r.Key); reason != "" {
					err = invalid("idempotency_key", reason)
				}
			}
		default:
			err = invalid(string(name), "is not a member of a batch's item")
		}
		return err
	})
	if err != nil {
		return r, err
	}
	return r, a.completeItem(c, &r, id, fields)
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
		if r.ID, err = idFromJSON(e, id); err != nil {
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
	inner, err := c.decode.fields(fields, e, r.Fields)
	if err == nil && inner != nil {
		return invalid("fields", `cannot have "id"; it stands beside them`)
	}
	return err
}

func stringMember(name string, value json.RawMessage) (string, error) {
	if value[0] != '"' {
		return "", invalid(name, "must be a string")
	}
	s, err := stringBytes(value)
	return string(s), err
}

// versionMember parses if_match: the version as a number or as an ETag.
func versionMember(value json.RawMessage) (schema.Version, error) {
	text := string(value)
	if value[0] == '"' {
		s, err := stringBytes(value)
		if err != nil {
			return 0, err
		}
		tags, ok := parseTags(string(s))
		if text = string(s); ok && len(tags) == 1 {
			text = tags[0].value
		}
	}
	if text == "*" {
		return cache.AnyVersion, nil
	}
	v, err := versionOf(text)
	if err != nil {
		return 0, invalid("if_match", `must be a version or "*"`)
	}
	return v, nil
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
