package cache

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/cache/internal/l1"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// recordLocals are the L1s of the entities that have one.
type recordLocals struct {
	cache *Cache

	mu sync.Mutex // guards of
	by map[string]*l1.L1[*Read]
}

func newRecordLocals(c *Cache) *recordLocals {
	return &recordLocals{cache: c, by: map[string]*l1.L1[*Read]{}}
}

// of returns the L1 of an entity, nil where it has none.
func (r *recordLocals) of(e *schema.Entity) *l1.L1[*Read] {
	if e.Cache.L1.Bytes == 0 {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if l, ok := r.by[e.Name]; ok {
		return l
	}
	l, err := l1.New[*Read](e.Cache.L1, nil)
	if err != nil {
		r.cache.log.Error("no L1", "entity", e.Name, "error", err)
		l = nil
	} else {
		r.follow(e, l)
	}
	r.by[e.Name] = l
	return l
}

// follow drops what events tell of, and everything where one is missing. The messages of
// a partition are numbered, so a gap shows with the next one.
func (r *recordLocals) follow(e *schema.Entity, l *l1.L1[*Read]) {
	lose := func(flow bool) {
		l.Restart(flow)
		r.cache.shared.Dropped.WithLabelValues("records").Inc()
	}
	r.cache.bus.Go(func(ctx context.Context) {
		for ctx.Err() == nil {
			sub, err := r.cache.bus.Subscribe(ctx, e)
			if err != nil {
				_ = rdb.Sleep(ctx, time.Second)
				continue
			}
			// The numbers are known from the subscription on: the first event that is lost shows with the second.
			last, err := r.cache.bus.Last(ctx, e)
			if err != nil {
				last = make([]int64, e.Partitions)
			}
			l.Restart(sub.Flows())
			r.hear(ctx, e, sub, l, last, lose)
			sub.Close()
		}
	})
}

// hear drops what events tell of. last has the number of each partition's last event, 0 if it is not known.
func (r *recordLocals) hear(ctx context.Context, e *schema.Entity, sub *events.Subscription, l *l1.L1[*Read],
	last []int64, lose func(flow bool)) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-sub.Lost():
			// Before the numbers are read: what is put from now on was read after the loss.
			lose(sub.Flows())
			if now, err := r.cache.bus.Last(ctx, e); err == nil {
				copy(last, now)
			} else {
				clear(last)
			}
		case events := <-sub.C():
			for _, event := range events {
				l.Drop(event.ID)
				at := &last[e.Partition(event.ID)]
				if event.Number > *at+1 && *at > 0 {
					lose(sub.Flows())
				}
				*at = max(*at, event.Number)
			}
		}
	}
}

func putRead(l *l1.L1[*Read], read Read, mark uint64) {
	if l == nil {
		return
	}
	size := 0
	for _, text := range read.Values {
		size += len(text) + 16
	}
	ttl := read.TTL
	if ttl == 0 {
		ttl = l.Age() // pending, held and dead records do not expire
	}
	kept := read // the parameter itself would be on the heap without an L1, too
	kept.Values = slices.Clone(read.Values)
	l.Put(read.ID, &kept, size, mark, ttl)
}

// findRead returns a record of the L1, its values the caller's own.
func findRead(l *l1.L1[*Read], id string) (Read, bool) {
	found, age, ok := l.Find(id)
	if !ok {
		return Read{}, false
	}
	read := *found
	read.Source = Local
	read.Values = slices.Clone(read.Values)
	if read.TTL > 0 {
		read.TTL = max(read.TTL-age, 0)
	}
	return read, true
}
