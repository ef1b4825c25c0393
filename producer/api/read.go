package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// Reads is the cache. Ids are canonical.
type Reads interface {
	Get(ctx context.Context, e *schema.Entity, id string) (cache.Read, error)
	GetMany(ctx context.Context, e *schema.Entity, ids []string) ([]cache.Read, error)
	Status(ctx context.Context, e *schema.Entity, id string) (cache.State, error)
	Wait(ctx context.Context, e *schema.Entity, id string, v schema.Version) (cache.State, error)
	OldestPending(ctx context.Context, e *schema.Entity) (time.Time, error)
	Check(ctx context.Context) (inspect.Health, error)
	Writable(ctx context.Context) error
	ranks
}

var headerNoCache = []string{"private, no-cache"} // can be cached only together with its ETag

// get answers the newest accepted state of a record.
func (a *API) get(ctx context.Context, c *call) error {
	if err := c.onlyParameters(); err != nil {
		return err
	}
	id, err := c.entity.CanonicalID(c.id)
	if err != nil {
		return err
	}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	read, err := a.cache.Get(ctx, c.entity, id)
	if err != nil {
		return err
	}
	c.setCacheStatus(read.Source, read.TTL)
	if read.Deleted {
		return schema.ErrNotFound
	}
	if foreign := problem.Foreign(c.entity, read.ID, read.Values); foreign != nil {
		return foreign
	}
	c.header["Cache-Control"] = headerNoCache
	c.header.Add("Vary", "Prefer")
	c.header["Afterwrite-Status"] = []string{string(read.Status)}
	c.setETag(read.Version)
	if request.Unchanged(c.r.Header, read.Version) {
		c.send(http.StatusNotModified, nil)
		return nil
	}
	c.out = append(c.appendRecord(c.out[:0], c.entity, read.ID, read.Values), '\n')
	c.send(http.StatusOK, c.out)
	return nil
}

// Values of Cache-Status (RFC 9211) without a TTL.
var (
	statusHit    = []string{"afterwrite; hit"}
	statusFilled = []string{"afterwrite; fwd=miss; stored"}
	statusMissed = []string{"afterwrite; fwd=miss"}
	statusBypass = []string{"afterwrite; fwd=bypass"}

	freshnessDatabase = []string{"database"}
)

// setCacheStatus sets the source of the answer. A record that is pending, held or dead stays in the cache and has no
// TTL.
func (c *call) setCacheStatus(from cache.Source, ttl time.Duration) {
	switch from {
	case cache.Filled:
		c.header["Cache-Status"] = statusFilled
	case cache.Missed:
		c.header["Cache-Status"] = statusMissed
	case cache.Bypass:
		c.header["Cache-Status"] = statusBypass
		c.header["Afterwrite-Freshness"] = freshnessDatabase
	default:
		c.header["Cache-Status"] = statusHit
		if ttl > 0 {
			seconds := strconv.FormatInt(int64(ttl/time.Second), 10)
			c.header["Cache-Status"] = []string{statusHit[0] + "; ttl=" + seconds}
		}
	}
}

// collection answers a multi-get if the query has ids, a part of the rank if it has top or around, otherwise a page of
// rows.
func (a *API) collection(ctx context.Context, c *call) error {
	for p := range request.Parameters(c.r.URL.RawQuery) {
		switch p.Name {
		case "ids":
			return a.getMany(ctx, c)
		case "top", "around":
			return a.rank(ctx, c)
		}
	}
	return a.list(ctx, c)
}
