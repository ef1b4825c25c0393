package tags

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// watches are the entities whose partitions were told that values depend on them, so that their changes invalidate
// tags. The changes of the other entities do not: it would cost every write a step.
type watches struct {
	mu   sync.Mutex // guards what follows
	born string     // of the tags: another one means that Redis has lost its data
	of   map[string]span
}

type span struct{ since, until time.Time }

// watchFor is the least time for which an entity is watched, and watchAgain how often
// that is said again, since a partition may lose its data alone.
const (
	watchFor   = 10 * time.Minute
	watchAgain = 30 * time.Second
)

func (w *watches) seen(born string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.born != born {
		w.born, w.of = born, map[string]span{}
	}
}

// holds reports whether what a tag stands for was watched at a time, and will be until
// another.
func (w *watches) holds(t Tag, since, until time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.of[t.watch()]
	return !s.until.IsZero() && !s.since.After(since) && !s.until.Before(until)
}

// watch is the field of a partition's stats that a tag needs, and its entity.
func (t Tag) watch() string {
	if t.of {
		return "x " + t.e.Name
	}
	return "w " + t.e.Name
}

// Watch makes the changes of the tags' entities reach their tags for a time from now.
func (t *Table) Watch(ctx context.Context, tags []Tag, life time.Duration) error {
	now := time.Now()
	for _, tag := range tags {
		if tag.e == nil || t.watches.holds(tag, now, now.Add(life)) {
			continue
		}
		field, _, _ := strings.Cut(tag.watch(), " ")
		length := max(life+watchAgain, watchFor)
		calls := make([]*rdb.Call, tag.e.Partitions)
		for i := range calls {
			calls[i] = watchScript.Call([]string{t.prefix.Keys(tag.e, i).Stats}, field, layout.MS(length))
		}
		t.redis.Send(ctx, calls...)
		for _, one := range calls {
			if err := one.Err(); err != nil {
				return rdb.Fault("watch", err)
			}
		}
		t.watches.extend(tag, time.Now(), now, length)
	}
	return nil
}

// extend notes that a watch stands from a time on. It counts for watchAgain less than it
// lasts, and is forgotten after watchAgain.
func (w *watches) extend(t Tag, from, asked time.Time, length time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.of[t.watch()]
	if s.until.Before(from) {
		s.since = from
	}
	s.until = asked.Add(length)
	w.of[t.watch()] = s
}

// Watching reports whether the tags that a load has added were watched when it began, and
// sees to it that they are for the next one.
func (t *Table) Watching(ctx context.Context, added []Tag, began time.Time, life time.Duration) bool {
	whole := true
	for _, tag := range added {
		if tag.e == nil || t.watches.holds(tag, began, time.Now().Add(life)) {
			continue
		}
		err := t.Watch(ctx, []Tag{tag}, life)
		whole = whole && err == nil && t.watches.holds(tag, began, time.Now())
	}
	return whole
}

// Watched reports whether values depend on a partition's records: see [Changed].
func (t *Table) Watched(ctx context.Context, e *schema.Entity, partition int) (string, error) {
	reply, err := t.redis.RunAny(ctx, watchedScript, []string{t.prefix.Keys(e, partition).Stats})
	return layout.Text(reply), err
}
