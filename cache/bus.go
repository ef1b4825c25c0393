package cache

import (
	"context"
	"slices"

	"github.com/afterwrite/afterwrite/schema"
)

// EventType is what has happened to a record, as the bus tells it.
type EventType string

// The events of the bus.
const (
	Updated     EventType = "updated"     // a write was accepted, and the record exists
	Deleted     EventType = "deleted"     // a deletion was accepted
	Persisted   EventType = "persisted"   // the database has the newest version
	Invalidated EventType = "invalidated" // dropped from the cache, for instance after a change made in the database
)

// Happening is an event of the bus.
type Happening struct {
	Event
	What EventType
	// Missed says that events may have been missed before this one, which stands for no
	// record: whatever was concluded from events must be read anew.
	Missed bool
}

// On calls handle with the events of an entity's records, those of the given types or of
// all, whichever process caused them, until the context ends or the cache is closed. It
// returns when they flow: what happens after is told. Events of one record come in their
// order, one call at a time; a handler that is slow misses some, and is told so.
func (c *Cache) On(ctx context.Context, e *schema.Entity, handle func(context.Context, Happening), types ...EventType) error {
	sub, err := c.Subscribe(ctx, e)
	if err != nil {
		return err
	}
	// The subscription has just begun: that is no gap.
	select {
	case <-sub.Lost():
	default:
	}
	ran := c.hub.run(func() {
		defer sub.Close()
		for {
			select {
			case <-ctx.Done():
				return
			case <-c.hub.ctx.Done():
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

// happening types an event; What is empty where the bus does not tell of it.
func happening(e Event) Happening {
	h := Happening{Event: e}
	switch {
	case e.Type == "written" && e.Deleted:
		h.What = Deleted
	case e.Type == "written":
		h.What = Updated
	case e.Type == "persisted" || e.Type == "invalidated":
		h.What = EventType(e.Type)
	}
	return h
}
