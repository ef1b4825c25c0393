package dashboard

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/schema"
)

// The memory by key is a sample, for which a page waits no longer than usagePatience: what
// was looked at by then is what it shows, and shows again for usageReuse.
const (
	usageSample   = 20_000
	usageLargest  = 10
	usagePatience = 120 * time.Millisecond
	usageReuse    = 10 * time.Second
)

// usage shares one sample of the keys among all viewers.
type usage struct {
	mu   sync.Mutex // held while the keys are sampled, at most usagePatience
	last inspect.Usage
	err  error
	took time.Time
}

func (d *dashboard) keys(ctx context.Context) (inspect.Usage, error) {
	d.usage.mu.Lock()
	defer d.usage.mu.Unlock()
	if !d.usage.took.IsZero() && time.Since(d.usage.took) < usageReuse {
		return d.usage.last, d.usage.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), usagePatience)
	defer cancel()
	d.usage.last, d.usage.err = d.Records.Big(ctx, usageSample, usageLargest)
	d.usage.took = time.Now()
	return d.usage.last, d.usage.err
}

// cacheBody is the page of the cache as a whole.
type cacheBody struct {
	Redis    inspect.Health
	Err      error
	HitRate  string
	Asked    int64
	Usage    inspect.Usage
	UsageErr error
	Large    int64 // bytes from which a key is larger than is recommended
	Entities []*schema.Entity
	MayAct   bool
	Tunes    bool
	Done     string // what an invalidation did
	Failed   bool   // it did nothing
}

// invalidateLimit bounds a scan over the cached records.
const invalidateLimit = 60 * time.Second

func (d *dashboard) cachePage(w http.ResponseWriter, r *http.Request) {
	d.showCache(w, r, http.StatusOK, "")
}

func (d *dashboard) showCache(w http.ResponseWriter, r *http.Request, status int, done string) {
	s := d.snapshot(r.Context())
	body := cacheBody{
		Redis: s.Redis, Entities: d.Entities, MayAct: who(r).May(Operator), Tunes: who(r).May(Admin),
		Done: done, Failed: status >= http.StatusBadRequest, HitRate: "—", Large: values.DefaultLargeSize,
	}
	if s.RedisDown() {
		body.Err = s.RedisErr
	} else {
		body.Usage, body.UsageErr = d.keys(r.Context())
	}
	if body.Asked = s.Redis.Hits + s.Redis.Misses; body.Asked > 0 {
		body.HitRate = strconv.FormatFloat(100*float64(s.Redis.Hits)/float64(body.Asked), 'f', 1, 64) + " %"
	}
	d.render(w, r, status, "cache", page{Title: "Cache", At: s.At, Body: body})
}

// invalidateMany drops the records whose ids match a pattern, or what has a tag.
func (d *dashboard) invalidateMany(w http.ResponseWriter, r *http.Request) {
	if r.PostForm.Has("tag") {
		d.invalidateTag(w, r)
		return
	}
	e := d.entityNamed(r.PostFormValue("entity"))
	pattern := strings.TrimSpace(r.PostFormValue("pattern"))
	switch {
	case e == nil:
		d.notFound(w, r)
		return
	case pattern == "" || len(pattern) > filter.MaxText:
		d.showCache(w, r, http.StatusUnprocessableEntity, "Give a pattern of 1 to 200 bytes; * is every record.")
		return
	case d.production() && r.PostFormValue("typed") != e.Name:
		d.showCache(w, r, http.StatusUnprocessableEntity, "Nothing was dropped: type the entity's name to confirm.")
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), invalidateLimit)
	defer cancel()
	n, err := d.Records.InvalidateMatch(ctx, e, pattern, nil)
	audited := d.tell(r, "cache.invalidate", e, "", map[string]any{"pattern": pattern, "dropped": n})
	done := "Dropped " + format.Number(int64(n)) + " " + format.Plural(int64(n), "record", "records") + " of " + e.Name +
		" from the cache."
	if err != nil {
		d.Log.WarnContext(r.Context(), "invalidation ended early", "entity", e.Name, "pattern", pattern, "dropped", n,
			"error", err)
		done += " Then it was cut off; repeat it to go on."
	}
	if audited == unaudited {
		done += unauditedText
	}
	d.showCache(w, r, http.StatusOK, done)
}

// invalidateTag invalidates the values that have a tag of the program's own. They are not
// counted: they are found invalid when they are looked up.
func (d *dashboard) invalidateTag(w http.ResponseWriter, r *http.Request) {
	tag := strings.TrimSpace(r.PostFormValue("tag"))
	switch {
	case tag == "" || len(tag) > filter.MaxText:
		d.showCache(w, r, http.StatusUnprocessableEntity, "Give a tag of 1 to 200 bytes.")
		return
	case d.production() && r.PostFormValue("typed") != tag:
		d.showCache(w, r, http.StatusUnprocessableEntity, "Nothing was dropped: type the tag again to confirm.")
		return
	}
	if err := values.InvalidateTags(r.Context(), d.Records, values.NamedTag(tag)); err != nil {
		d.broken(w, r, "invalidate a tag", err)
		return
	}
	done := "Every value with the tag " + strconv.Quote(tag) + " is loaded again when it is asked for."
	if d.tell(r, "cache.invalidate", &schema.Entity{}, "", map[string]any{"tag": tag}) == unaudited {
		done += unauditedText
	}
	d.showCache(w, r, http.StatusOK, done)
}

func (d *dashboard) exportKeys(w http.ResponseWriter, r *http.Request) {
	u, err := d.keys(r.Context())
	if err != nil {
		d.broken(w, r, "sample the keys", err)
		return
	}
	var lines [][]string
	for _, b := range u.Largest {
		lines = append(lines, []string{b.Key, b.Of, strconv.FormatInt(b.Bytes, 10)})
	}
	d.exportList(w, r, "largest-keys", []string{"key", "of", "bytes"}, lines)
}
