package values

import (
	"sync"

	"github.com/afterwrite/afterwrite/cache/internal/l1"
	"github.com/afterwrite/afterwrite/cache/internal/shared"
	"github.com/afterwrite/afterwrite/cache/internal/tags"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// local is the L1 of a group.
type local = l1.L1[*entry]

func (v *Values[T]) put(key string, e *entry, mark uint64) {
	v.local.Put(key, e, len(e.body), mark, e.ttl())
}

// found returns the entry that the L1 has of a key.
func (v *Values[T]) found(key string) (entry, bool) {
	kept, age, ok := v.local.Find(key)
	if !ok {
		return entry{}, false
	}
	e := *kept
	e.life -= age
	return e, true
}

// readLocal answers from the L1. ok is false where it has nothing.
func (v *Values[T]) readLocal(k valueKey) (a Answer[T], err error, ok bool) {
	e, ok := v.found(k.key)
	if !ok {
		return a, nil, false
	}
	a, err = v.answer(&e, Local)
	return a, err, true
}

// locals are the L1s of the groups of one cache, and their events.
type locals struct {
	on *shared.State

	mu      sync.Mutex // guards what follows
	groups  map[string]*local
	started bool
	flow    bool // events are delivered
}

func newLocals(on *shared.State) *locals { return &locals{on: on, groups: map[string]*local{}} }

// open returns the L1 of a group, and begins to listen with the first.
func (l *locals) open(group string, limit schema.L1) (*local, error) {
	l.on.Tags.Mirror(func() { l.each((*local).DropAll) })
	l.mu.Lock()
	defer l.mu.Unlock()
	if one := l.groups[group]; one != nil {
		return one, nil
	}
	one, err := l1.New(limit, func(e *entry) bool { return l.on.Tags.Untouched(e.stamp, e.tags) })
	if err != nil {
		return nil, err
	}
	l.groups[group] = one
	if !l.started {
		l.started = true
		l.on.Bus.Follow(tags.Topic, l.hear, l.lose)
	}
	one.Serve(l.flow) // later than the first it may serve at once
	return one, nil
}

func (l *locals) each(do func(*local)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, one := range l.groups {
		do(one)
	}
}

// lose drops everything, since events may have been missed, and notes whether they flow.
func (l *locals) lose(flow bool) {
	l.mu.Lock()
	l.flow = flow
	l.mu.Unlock()
	l.each(func(one *local) { one.Restart(flow) })
	l.on.Dropped.WithLabelValues("values").Inc()
}

// hear takes a message: {"tags", sender, number, stamp, tag…} of lua/touch.lua, or
// {"set", sender, number, group, key…}.
func (l *locals) hear(texts []string) {
	if len(texts) < 5 || l.on.Tags.Own(texts[1]) {
		return
	}
	switch texts[0] {
	case "tags":
		l.on.Tags.Touched(int64(layout.Version(texts[3])), texts[4:])
	case "set":
		l.group(texts[3]).Drop(texts[4:]...)
	case "all":
		l.group(texts[3]).DropAll()
	}
}

// group returns the L1 of a group, nil where it has none.
func (l *locals) group(name string) *local {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.groups[name]
}
