package events

import (
	"context"
	"slices"

	"github.com/afterwrite/afterwrite/schema"
)

// Type is the type of an event on the bus.
type Type string

// The events of the bus.
const (
	Updated     Type = "updated"     // a write was accepted, and the record exists
	Deleted     Type = "deleted"     // a deletion was accepted
	Persisted   Type = "persisted"   // the database has the newest version
	Conflict    Type = "conflict"    // another program changed the row of a record that is not persisted
	Invalidated Type = "invalidated" // dropped from the cache, for example after a change made in the database
)

// Happening is an event of the bus.
type Happening struct {
	Event
	What Type
	// Missed says that events may have been missed before this one, which is about no record: data derived from events
	// must be read again.
	Missed bool
}

// On calls handle with the events of an entity's records, of the given types or of all, whichever process caused them,
// until the context ends or the bus. It returns once the subscription is active: later events are
// delivered. Events of one record arrive in order, one call at a time; a slow handler misses some events, and gets one
// with Missed.
func (b *Bus) On(ctx context.Context, e *schema.Entity, handle func(context.Context, Happening),
	types ...Type) error {
	sub, err := b.Subscribe(ctx, e)
	if err != nil {
		return err
	}
	// The first subscription is not a gap.
	select {
	case <-sub.Lost():
	default:
	}
	ran := b.Go(func(closed context.Context) {
		defer sub.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case <-closed.Done():
				return
			case <-sub.Lost():
				handle(ctx, Happening{Event: Event{Entity: e.Name}, Missed: true})
			case events := <-sub.C():
				for _, event := range events {
					h := happening(event)
					if h.What != "" && (len(types) == 0 || slices.Contains(types, h.What)) && ctx.Err() == nil {
						handle(ctx, h)
					}
				}
			}
		}
	})
	if !ran {
		sub.Close()
	}
	return nil
}

// happening returns the event of the bus; What is empty if the bus has no such event.
func happening(e Event) Happening {
	h := Happening{Event: e}
	switch {
	case e.Type == "written" && e.Deleted:
		h.What = Deleted
	case e.Type == "written":
		h.What = Updated
	case e.Type == "persisted":
		h.What = Persisted
	case e.Type == "invalidated" || e.Type == "changed":
		h.What = Invalidated
	case e.Type == "conflict":
		h.What = Conflict
	}
	return h
}
