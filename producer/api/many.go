package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/schema"
)

// getMany answers the records of a list of ids, in its order, and lists the ids that do not exist.
func (a *API) getMany(ctx context.Context, c *call) error {
	if err := c.onlyParameters("ids"); err != nil {
		return err
	}
	ids, err := c.readIDs()
	if err != nil {
		return err
	}
	ctx, cancel := a.bound(ctx)
	defer cancel()
	out := append(c.out[:0], `{"records":[`...)
	var missing []string
	var foreign []*problem.ForeignError
	var versions []schema.Version
	var sources []cache.Read
	for done := 0; done < len(ids); {
		some, before := ids[done:min(len(ids), done+a.sizes.chunk(c.entity))], len(out)
		found, err := a.cache.GetMany(ctx, c.entity, some)
		if err != nil {
			return err
		}
		sources = append(sources, cache.Read{Source: worst(found)})
		for i, read := range found {
			if read.Deleted {
				missing = append(missing, some[i])
				continue
			}
			if row := problem.Foreign(c.entity, read.ID, read.Values); row != nil {
				foreign = append(foreign, row)
				continue
			}
			versions = append(versions, read.Version)
			out = append(c.appendRecord(out, c.entity, read.ID, read.Values), ',')
		}
		a.sizes.learn(c.entity, len(some), len(out)-before)
		if len(out) > a.maxAnswer {
			return problem.AnswerTooLarge(a.maxAnswer)
		}
		if err := c.holds.Hold(len(out)); err != nil {
			return err
		}
		done += len(some)
	}
	if len(sources) > 0 {
		c.setCacheStatus(worst(sources), 0)
	}
	out = append(trimComma(out), `],"missing":[`...)
	for _, id := range missing {
		out = append(append(out, c.idText(c.entity, id)...), ',')
	}
	out = append(trimComma(out), `],"versions":[`...)
	c.out = append(appendForeign(c.appendVersions(out, versions), foreign), '}', '\n')
	c.send(http.StatusOK, c.out)
	return nil
}

// readIDs parses the parameter ids: canonical ids, each once. A comma within an id is escaped; a comma between two ids
// is not.
func (c *call) readIDs() ([]string, error) {
	var ids []string
	seen := make(map[string]bool)
	for p := range request.Parameters(c.r.URL.RawQuery) {
		for raw := range strings.SplitSeq(p.Raw, ",") {
			id, err := url.QueryUnescape(raw)
			if err != nil {
				return nil, problem.BadParameter("ids", "is not percent-encoded as it must be")
			}
			if id, err = c.entity.CanonicalID(id); err != nil {
				return nil, err
			}
			if seen[id] {
				continue
			}
			if len(ids) == MaxIDs {
				return nil, problem.BadParameter("ids", fmt.Sprintf("has more than %d ids", MaxIDs))
			}
			seen[id] = true
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// worst returns the source of many reads: the least favourable among them.
func worst(found []cache.Read) cache.Source {
	rank := map[cache.Source]int{cache.Hit: 0, cache.Filled: 1, cache.Missed: 2, cache.Bypass: 3}
	from := cache.Hit
	for _, read := range found {
		if rank[read.Source] > rank[from] {
			from = read.Source
		}
	}
	return from
}

// chunkBytes is how many bytes of records are read at a time.
const chunkBytes = 4 << 20

// sizes estimates how many bytes a record of each entity takes in an answer.
type sizes struct{ of sync.Map } // *schema.Entity to *atomic.Int64

// chunk returns how many records to read at once, by the size of records read before. All records of an answer are read
// in one round trip, unless they are known to be large.
func (s *sizes) chunk(e *schema.Entity) int {
	if size, ok := s.of.Load(e); ok {
		return max(1, chunkBytes/int(size.(*atomic.Int64).Load()+1))
	}
	return max(MaxIDs, MaxLimit)
}

// learn updates the estimate with records that were read. Of concurrent readers the last one wins, which is good
// enough.
func (s *sizes) learn(e *schema.Entity, records, bytes int) {
	if records == 0 {
		return
	}
	seen := int64(bytes / records)
	size, known := s.of.LoadOrStore(e, new(atomic.Int64))
	if before := size.(*atomic.Int64); !known || seen > before.Load() {
		before.Store(seen)
	} else {
		before.Add((seen - before.Load()) / 8)
	}
}
