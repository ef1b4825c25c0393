package events

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Follow hands the messages of a channel that is not about records to hear until the bus ends. Each is a list of at
// least three texts: what it is, its sender, and its number among the messages of that sender. If some may have been
// missed, Follow calls lose, with whether messages flow now. The channel is [layout.Prefix.Channel] of the name.
func (b *Bus) Follow(name string, hear func([]string), lose func(flow bool)) {
	b.Go(func(ctx context.Context) {
		for ctx.Err() == nil {
			sub, err := b.subscribe(ctx, topic{name: name, raw: true}, "")
			if err != nil {
				_ = rdb.Sleep(ctx, time.Second)
				continue
			}
			lose(sub.Flows())
			hearAll(ctx, sub, hear, lose)
			sub.Close()
		}
	})
}

// list decodes the message; a malformed one yields nil.
func (e Event) list() []string {
	var texts []string
	_ = json.Unmarshal([]byte(e.message), &texts)
	return texts
}

// hearAll hands on what a subscription delivers, in order, until the context ends.
func hearAll(ctx context.Context, sub *Subscription, hear func([]string), lose func(flow bool)) {
	check := time.NewTicker(time.Second)
	defer check.Stop()
	s := sequences{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-sub.Lost():
			clear(s)
			lose(sub.Flows())
		case events := <-sub.C():
			for _, event := range events {
				texts := event.list()
				hear(texts)
				if s.take(texts) {
					lose(sub.Flows())
				}
			}
		case <-check.C:
			if s.late() {
				lose(sub.Flows())
			}
		}
	}
}

// sequences detects missing message numbers per sender. Senders number their messages before they send them, so
// neighbours can change places: only a number that stays missing is a loss.
type sequences map[string]*sequence

type sequence struct {
	next  int64              // every lower number has arrived
	early map[int64]struct{} // higher numbers that arrived before it
	gap   time.Time          // when next was found missing; zero: it is not missing
}

// Bounds of a sequence: how late a number can be, how many later ones can arrive before it, and how many senders are
// tracked.
const (
	lateFor    = time.Second
	lateBehind = 1000
	maxSenders = 10_000
)

// take records a message and reports whether another was lost.
func (s sequences) take(texts []string) (lost bool) {
	if len(texts) < 3 {
		return true
	}
	n, err := strconv.ParseInt(texts[2], 10, 64)
	if err != nil {
		return true
	}
	one := s[texts[1]]
	if one == nil {
		if len(s) >= maxSenders {
			clear(s)
			lost = true
		}
		s[texts[1]] = &sequence{next: n + 1, early: map[int64]struct{}{}}
		return lost || n > 1 // its first ones came before the subscription, or were lost
	}
	switch {
	case n < one.next:
		return false
	case n > one.next:
		one.early[n] = struct{}{}
		if one.gap.IsZero() {
			one.gap = time.Now()
		}
		if len(one.early) <= lateBehind {
			return false
		}
		delete(s, texts[1])
		return true
	}
	for one.next = n + 1; ; one.next++ {
		if _, ok := one.early[one.next]; !ok {
			break
		}
		delete(one.early, one.next)
	}
	one.gap = time.Time{}
	if len(one.early) > 0 {
		one.gap = time.Now()
	}
	return false
}

// late reports whether a number has been missing for too long, and then forgets its sender.
func (s sequences) late() bool {
	lost := false
	for sender, one := range s {
		if !one.gap.IsZero() && time.Since(one.gap) > lateFor {
			delete(s, sender)
			lost = true
		}
	}
	return lost
}
