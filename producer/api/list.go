package api

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// Query selects one page of an entity's rows in the order of their ids.
type Query struct {
	After string         // last id of the previous page; "" for the first page
	Limit int            // maximum number of rows
	Equal map[int]string // field position → its canonical text; "null" is NULL
}

// Lists reads the database past the cache.
type Lists interface {
	List(ctx context.Context, e *schema.Entity, q Query) ([]schema.Row, error)
	Ping(ctx context.Context) error
}

// list answers a page of persisted rows and their lag. The lag is read before the rows: a record that is persisted in
// between is in the page.
func (a *API) list(ctx context.Context, c *call) error {
	q, err := c.readQuery()
	if err != nil {
		return err
	}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	lag, known := a.lag(ctx, c.entity)
	page, err := a.appendRows(ctx, c, append(c.out[:0], `{"records":[`...), q)
	if err != nil {
		return err
	}
	if known {
		c.header["Afterwrite-Lag"] = []string{strconv.FormatFloat(lag.Seconds(), 'f', 3, 64)}
	}
	out := append(trimComma(page.out), ']')
	if c.versions {
		c.header["Preference-Applied"] = append(c.header["Preference-Applied"], "versions")
		out = c.appendVersions(append(out, `,"versions":[`...), page.versions)
	}
	out = append(out, `,"next":`...)
	c.out = append(appendForeign(problem.AppendStringOrNull(out, page.next), page.foreign), '}', '\n')
	c.header["Cache-Control"] = headerNoCache
	c.send(http.StatusOK, c.out)
	return nil
}

// listed is a page of rows.
type listed struct {
	out      []byte // their text
	next     string // cursor of the next page, or ""
	foreign  []*problem.ForeignError
	versions []schema.Version // of the rows; 0 where the record's newest state is another; only if they are asked for
}

// appendRows appends the rows of a page, or as many as fit an answer. Rows that cannot be represented are listed
// separately.
func (a *API) appendRows(ctx context.Context, c *call, out []byte, q Query) (page listed, err error) {
	most := q.Limit
	for n := 0; ; {
		before := len(out)
		q.Limit = min(most-n, a.sizes.chunk(c.entity)) + 1 // one more row shows whether there is a next page
		rows, err := a.store.List(ctx, c.entity, q)
		if err != nil {
			return page, fmt.Errorf("list %s: %w", c.entity.Name, err)
		}
		shown, full := rows[:0], false
		for i, row := range rows {
			if full = n == most || len(out) > a.maxAnswer; full {
				a.sizes.learn(c.entity, i, len(out)-before)
				page.next = cursor(c.entity, q.After)
				break
			}
			if one := problem.ForeignRow(c.entity, row); one != nil {
				page.foreign = append(page.foreign, one)
			} else {
				out = append(c.appendRecord(out, c.entity, row.ID, row.Values), ',')
				shown = append(shown, row)
			}
			q.After = row.ID
			n++
		}
		if err := a.findVersions(ctx, c, &page, shown); err != nil {
			return page, err
		}
		page.out = out
		if full {
			return page, nil
		}
		a.sizes.learn(c.entity, len(rows), len(out)-before)
		if err := c.holds.Hold(len(out)); err != nil {
			return page, err
		}
		if len(rows) < q.Limit {
			return page, nil
		}
	}
}

// findVersions adds the versions of rows, if the request asks for them: of those that are the newest accepted state of
// their record. The records are looked at after the rows were read, so a version is never that of a state which the
// caller has not seen.
func (a *API) findVersions(ctx context.Context, c *call, page *listed, rows []schema.Row) error {
	if !c.versions || len(rows) == 0 {
		return nil
	}
	ids := make([]string, len(rows))
	for i, row := range rows {
		ids[i] = row.ID
	}
	found, err := a.cache.GetMany(ctx, c.entity, ids)
	if err != nil {
		return err
	}
	for i, read := range found {
		version := schema.Version(0)
		if !read.Deleted && read.Source != cache.Bypass && slices.Equal(read.Values, rows[i].Values) {
			version = read.Version
		}
		page.versions = append(page.versions, version)
	}
	return nil
}

// lag returns how long the oldest pending record has waited: younger writes may be missing in the page. It is unknown
// while Redis does not respond.
func (a *API) lag(ctx context.Context, e *schema.Entity) (lag time.Duration, known bool) {
	oldest, err := a.cache.OldestPending(ctx, e)
	if err != nil || oldest.IsZero() {
		return 0, err == nil
	}
	return max(0, time.Since(oldest)), true // the clocks of two machines can differ
}

// readQuery parses limit, after and the filters by field.
func (c *call) readQuery() (Query, error) {
	q := Query{Limit: DefaultLimit}
	seen := make(map[string]bool)
	for p, err := range request.Parameters(c.r.URL.RawQuery) {
		if err != nil {
			return q, err
		}
		if seen[p.Name] {
			return q, problem.BadParameter(p.Name, "is there twice")
		}
		seen[p.Name] = true
		value, err := p.Value()
		if err != nil {
			return q, err
		}
		switch p.Name {
		case "limit":
			q.Limit, err = readLimit("limit", value)
		case "after":
			q.After, err = readCursor(c.entity, value)
		default:
			err = c.readFilter(&q, p.Name, value)
		}
		if err != nil {
			return q, err
		}
	}
	return q, nil
}

func readLimit(name, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > MaxLimit {
		return 0, problem.BadParameter(name, fmt.Sprintf("must be a whole number from 1 to %d", MaxLimit))
	}
	return n, nil
}

// readFilter adds the condition that a field has a value.
func (c *call) readFilter(q *Query, name, value string) error {
	i, ok := c.entity.Field(name)
	if !ok {
		return problem.BadParameter(name, "is neither a parameter of this route nor a field of "+c.entity.Name)
	}
	f := &c.entity.Fields[i]
	if f.Type == schema.JSON {
		return problem.BadParameter(name, "is a json field, which cannot be compared")
	}
	text, err := filterText(f, value)
	if err != nil {
		return invalid(name, err.Error())
	}
	if q.Equal == nil {
		q.Equal = make(map[int]string)
	}
	q.Equal[i] = text
	return nil
}

// filterText returns the canonical text of a filter's value. "null" means NULL, except for strings, where it is the
// text. The field's limits are not checked: a row written by another program can exceed them.
func filterText(f *schema.Field, value string) (string, error) {
	switch f.Type {
	case schema.String, schema.Text:
		return f.Encode(value)
	case schema.Int, schema.Float, schema.Bool:
		return f.Encode(json.RawMessage(value))
	}
	if value == schema.Null {
		return value, nil
	}
	return f.Encode(value)
}

// cursor names the position after an id. It is opaque and has a checksum, so that a mistyped cursor, or another
// entity's, is rejected instead of returning a wrong page.
func cursor(e *schema.Entity, id string) string {
	b := binary.BigEndian.AppendUint32(nil, cursorCheck(e, id))
	return base64.RawURLEncoding.EncodeToString(append(b, id...))
}

func cursorCheck(e *schema.Entity, id string) uint32 {
	return uint32(xxhash.Sum64String(e.Name + "\x00" + id))
}

func readCursor(e *schema.Entity, text string) (string, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) <= 4 || binary.BigEndian.Uint32(b) != cursorCheck(e, string(b[4:])) {
		return "", problem.BadParameter("after", `must be the "next" of an earlier page of the same entity`)
	}
	return string(b[4:]), nil
}
