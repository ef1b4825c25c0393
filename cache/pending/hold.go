package pending

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Refused is a record that the database refused.
type Refused struct {
	Change   schema.Change
	Refusal  schema.Refusal
	Attempts int              // including this one
	History  []schema.Attempt // including this attempt, oldest first; the last MaxHistory are kept
	Since    time.Time        // when the record first became pending; zero: unknown
	Next     time.Time        // of the next attempt; unused by Die
	At       time.Time        // of this attempt; zero: now
	Isolated bool             // no other is persisted beside it: at its next attempt it is flushed alone; unused by Die
	Left     int              // how often it was left, this time included, for fields that a worker did not know
}

// Hold moves refused records from pending to held, or sets the next attempt of records that are already held, if the
// refused version is still the newest. It returns the number of records held. A repeat changes nothing.
func (b *Backlog) Hold(ctx context.Context, e *schema.Entity, partition int, refused []Refused) (int, error) {
	if len(refused) == 0 {
		return 0, nil
	}
	k := b.prefix.Keys(e, partition)
	keys := append(make([]string, 0, 5+len(refused)), k.Stats, k.Pending, k.Held, k.Why, k.Stream)
	args := append(make([]any, 0, 2+5*len(refused)), b.prefix.Channel(e.Name), layout.KeptEvents)
	for _, r := range refused {
		detail, err := r.why()
		if err != nil {
			return 0, fmt.Errorf("hold %s of %s: %w", r.Change.ID, e.Name, err)
		}
		keys = append(keys, k.Record+r.Change.ID)
		args = append(args, r.Change.ID, int64(r.Change.Version), r.Next.UnixMilli(), detail,
			layout.OriginText(r.Change.Origin))
	}
	return b.redis.RunInt(ctx, holdScript, keys, args...)
}

// Die moves refused records whose policy is exhausted from pending or held to dead, if the refused version is still the
// newest. Their dead letters must already be in the database. It returns the number of records that died. A repeat
// changes nothing.
func (b *Backlog) Die(ctx context.Context, e *schema.Entity, partition int, refused []Refused) (int, error) {
	if len(refused) == 0 {
		return 0, nil
	}
	k := b.prefix.Keys(e, partition)
	keys := append(make([]string, 0, 7+len(refused)), k.Stats, k.Pending, k.Held, k.Dead, k.Why, k.Stream, k.Letters)
	args := append(make([]any, 0, 2+4*len(refused)), b.prefix.Channel(e.Name), layout.KeptEvents)
	for _, r := range refused {
		detail, err := r.why()
		if err != nil {
			return 0, fmt.Errorf("die %s of %s: %w", r.Change.ID, e.Name, err)
		}
		keys = append(keys, k.Record+r.Change.ID)
		args = append(args, r.Change.ID, int64(r.Change.Version), detail, layout.OriginText(r.Change.Origin))
	}
	return b.redis.RunInt(ctx, dieScript, keys, args...)
}

func (r Refused) why() (string, error) {
	at := r.At
	if at.IsZero() {
		at = time.Now()
	}
	w := layout.Why{
		Version: r.Change.Version, Attempts: r.Attempts, Kind: r.Refusal.Kind, Constraint: r.Refusal.Constraint,
		Column: r.Refusal.Column, Message: r.Refusal.Message, At: at.UnixMilli(), History: layout.Shorten(r.History),
		Isolated: r.Isolated, Left: r.Left,
	}
	if !r.Since.IsZero() {
		w.Since = r.Since.UnixMilli()
	}
	detail, err := json.Marshal(w)
	return string(detail), err
}
