package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// ranks reads the order of an entity's records by score. Ids are canonical.
type ranks interface {
	Top(ctx context.Context, e *schema.Entity, n int) (places []rank.Place, ranked int64, err error)
	Around(ctx context.Context, e *schema.Entity, id string, n int) (places []rank.Place, ranked int64, err error)
}

// rank answers the best records, or those around one.
func (a *API) rank(ctx context.Context, c *call) error {
	if c.entity.RankBy == "" {
		return problem.BadParameter("top", "and around are for ranked entities, which "+c.entity.Name+" is not")
	}
	if err := c.onlyParameters("top", "around", "limit"); err != nil {
		return err
	}
	q, err := c.readRank()
	if err != nil {
		return err
	}
	return a.sendRank(ctx, c, func(ctx context.Context) ([]rank.Place, int64, error) {
		if q.top > 0 {
			return a.cache.Top(ctx, c.entity, q.top)
		}
		return a.cache.Around(ctx, c.entity, q.around, q.limit)
	})
}

// rankOf answers one record with its rank.
func (a *API) rankOf(ctx context.Context, c *call) error {
	if c.entity.RankBy == "" {
		return problem.UnknownRoute()
	}
	if err := c.onlyParameters(); err != nil {
		return err
	}
	id, err := c.entity.CanonicalID(c.id)
	if err != nil {
		return err
	}
	return a.sendRank(ctx, c, func(ctx context.Context) ([]rank.Place, int64, error) {
		return a.cache.Around(ctx, c.entity, id, 1)
	})
}

// rankQuery is ?top=N or ?around=ID&limit=N.
type rankQuery struct {
	top    int // 0: around
	around string
	limit  int
}

func (c *call) readRank() (rankQuery, error) {
	q := rankQuery{limit: request.DefaultAround}
	given := make(map[string]bool)
	for p := range request.Parameters(c.r.URL.RawQuery) {
		value, err := p.Value()
		if err != nil {
			return q, err
		}
		if given[p.Name] {
			return q, problem.BadParameter(p.Name, "is there twice")
		}
		given[p.Name] = true
		switch p.Name {
		case "top":
			q.top, err = readLimit("top", value)
		case "limit":
			q.limit, err = readLimit("limit", value)
		case "around":
			q.around, err = c.entity.CanonicalID(value)
		}
		if err != nil {
			return q, err
		}
	}
	if given["top"] && (given["around"] || given["limit"]) {
		return q, problem.BadParameter("top", "names the number of records by itself, without around and limit")
	}
	return q, nil
}

// sendRank answers places with the newest state of their records. A record that was deleted meanwhile is left out.
func (a *API) sendRank(ctx context.Context, c *call, read func(context.Context) ([]rank.Place, int64, error)) error {
	ctx, cancel := a.bound(ctx)
	defer cancel()
	places, ranked, err := read(ctx)
	if err != nil {
		return rankProblem(err)
	}
	ids := make([]string, len(places))
	for i, p := range places {
		ids[i] = p.ID
	}
	found, err := a.cache.GetMany(ctx, c.entity, ids)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		c.setCacheStatus(worst(found), 0)
	}
	out := append(c.out[:0], `{"records":[`...)
	var foreign []*problem.ForeignError
	for i, p := range places {
		if found[i].Deleted {
			continue
		}
		if row := problem.Foreign(c.entity, p.ID, found[i].Values); row != nil {
			foreign = append(foreign, row)
			continue
		}
		out = append(out, `{"rank":`...)
		out = append(strconv.AppendInt(out, p.Rank, 10), ',')
		at := len(out)
		out = c.appendRecord(out, c.entity, p.ID, found[i].Values)
		out = append(append(out[:at], out[at+1:]...), ',') // removes the record's own brace
	}
	out = append(trimComma(out), `],"ranked":`...)
	c.out = append(appendForeign(strconv.AppendInt(out, ranked, 10), foreign), '}', '\n')
	c.send(http.StatusOK, c.out)
	return nil
}

func rankProblem(err error) error {
	switch {
	case errors.Is(err, rank.ErrUnranked):
		return &problem.Problem{Name: "unranked", Code: http.StatusNotFound, Title: "Record not ranked",
			Detail: "there is no record with this id, or its score is null"}
	case errors.Is(err, rank.ErrIncomplete):
		return &problem.Problem{Name: "rank-incomplete", Code: http.StatusServiceUnavailable, Title: "Rank incomplete",
			RetryAfter: 5,
			Detail:     "the rank is being rebuilt from the database; try again later", Cause: err}
	}
	return err
}
