package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// parentPause is the longest that a record waits for a pending parent, beside the parent's own flush delay.
const parentPause = 500 * time.Millisecond

// waitForParent says that a record was tried too early: one that it refers to is accepted
// and not yet in the database, or has got there since.
type waitForParent struct {
	early   bool
	arrived bool
	pause   time.Duration // until the parent should be there
}

// reference is a record that a refused record refers to.
type reference struct {
	child  string
	parent string // id of the parent
}

// parents finds the refused records that were tried before their parents. A pending record always has a sync task, or
// the sweeper enqueues one, so the parent is flushed without any action here. Then it is persisted, held or dead, so no
// record waits in this way for ever. If the parent was itself refused, the child's policy bounds the wait. If the
// parent is persisted, it may have been flushed after the child's refusal, which gives the child one more attempt.
func (w *Worker) parents(ctx context.Context, e *schema.Entity, refused []store.Refused) (map[string]waitForParent,
	error) {
	waits := map[string]waitForParent{}
	for at, references := range w.references(e, refused) {
		parent := w.entities[at.entity]
		ids := make([]string, len(references))
		for i, r := range references {
			ids[i] = r.parent
		}
		parents, err := w.standing(ctx, parent, at.partition, ids)
		if err != nil {
			return nil, err
		}
		for _, r := range references {
			wait, p := waits[r.child], parents[r.parent]
			switch {
			case p.Deleted || p.Held || p.Dead || p.Version == 0:
				continue
			case p.Pending:
				wait.early, wait.pause = true, max(wait.pause, parentPause, parent.Flush.Delay)
			default:
				wait.arrived, wait.pause = true, max(wait.pause, parentPause)
			}
			waits[r.child] = wait
		}
	}
	return waits, nil
}

// references returns what records refused for a foreign key refer to, by the partition of the parent. If the database
// did not report the column, every reference is included.
func (w *Worker) references(e *schema.Entity, refused []store.Refused) map[place][]reference {
	found := map[place][]reference{}
	for _, one := range refused {
		if one.Refusal.Kind != schema.KindForeignKey || one.Deleted {
			continue
		}
		for i := range e.Fields {
			f := &e.Fields[i]
			parent := w.entities[f.References]
			if parent == nil || (one.Refusal.Column != "" && one.Refusal.Column != f.Column) {
				continue
			}
			if id, ok := parentID(parent, f, one.Values[i]); ok {
				at := place{parent.Name, parent.Partition(id)}
				found[at] = append(found[at], reference{one.ID, id})
			}
		}
	}
	return found
}

// parentID returns the id that a field's value names, or false if it can name none.
func parentID(parent *schema.Entity, f *schema.Field, text string) (string, bool) {
	value, err := f.Decode(text)
	if err != nil || value == nil {
		return "", false
	}
	id, err := parent.CanonicalID(fmt.Sprint(value))
	return id, err == nil
}

// standing returns the status of those of the records that are cached.
func (w *Worker) standing(ctx context.Context, e *schema.Entity, partition int, ids []string) (map[string]schema.Cached,
	error) {
	found, err := w.cache.Peek(ctx, bare(e), partition, ids)
	if err != nil {
		return nil, err
	}
	standing := make(map[string]schema.Cached, len(found))
	for _, r := range found {
		standing[r.ID] = r
	}
	return standing, nil
}

// bare returns the entity without its fields: the status of many records can be read without their values.
func bare(e *schema.Entity) *schema.Entity {
	b := *e
	b.Fields = nil
	return &b
}
