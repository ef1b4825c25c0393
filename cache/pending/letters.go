package pending

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

// Fate says what became of a record's version that has a dead letter.
type Fate string

// The fates. The fate of a lost letter is unknown: Redis has lost the record, or the mark of the letter.
const (
	FateWaits      Fate = "waits"      // pending, held or dead at the letter's version
	FateSuperseded Fate = "superseded" // pending, held or dead at a newer version
	FatePersisted  Fate = "persisted"  // was persisted at the letter's version, whatever came later
	FateGone       Fate = "gone"       // was not persisted: a newer version replaced it, and is persisted
	FateLost       Fate = "lost"
)

// Told is the fate of a letter, and the current version of its record; 0: not cached.
type Told struct {
	Fate    Fate
	Version schema.Version
}

// Remember marks in Redis that dead letters of records of one partition are about to be inserted, if the records are
// still pending or held at that version. Without the mark, a letter is never treated as one whose record has moved on.
// It returns for each whether it was marked: the others are superseded already. Repeating it changes nothing.
func (b *Backlog) Remember(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) ([]bool,
	error) {
	if len(letters) == 0 {
		return nil, nil
	}
	k := b.prefix.Keys(e, partition)
	reply, err := b.redis.Run(ctx, letterScript, append([]string{k.Letters}, records(k, letters)...),
		versions(letters)...)
	if err != nil {
		return nil, err
	}
	if len(reply) != len(letters) {
		return nil, fmt.Errorf("letter script: %d values", len(reply))
	}
	noted := make([]bool, len(letters))
	for i := range reply {
		n, _ := reply[i].(int64)
		noted[i] = n == 1
	}
	return noted, nil
}

// Fates returns what became of letters of one partition, at one moment.
func (b *Backlog) Fates(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) ([]Told,
	error) {
	if len(letters) == 0 {
		return nil, nil
	}
	k := b.prefix.Keys(e, partition)
	reply, err := b.redis.Run(ctx, fateScript, append([]string{k.Dead, k.Letters}, records(k, letters)...),
		versions(letters)...)
	if err != nil {
		return nil, err
	}
	if len(reply) != len(letters) {
		return nil, fmt.Errorf("fate script: %d values", len(reply))
	}
	told := make([]Told, len(letters))
	for i, item := range reply {
		list, _ := item.([]any)
		if len(list) != 2 {
			return nil, fmt.Errorf("fate script: a letter of %d values", len(list))
		}
		told[i] = Told{Fate(layout.Text(list[0])), layout.Version(layout.Text(list[1]))}
	}
	return told, nil
}

// Forget removes the marks of resolved letters.
func (b *Backlog) Forget(ctx context.Context, e *schema.Entity, partition int, letters []schema.Versioned) error {
	if len(letters) == 0 {
		return nil
	}
	_, err := b.redis.RunInt(ctx, forgetScript, []string{b.prefix.Keys(e, partition).Letters}, versions(letters)...)
	return err
}

func records(k layout.Keys, of []schema.Versioned) []string {
	keys := make([]string, len(of))
	for i, r := range of {
		keys[i] = k.Record + r.ID
	}
	return keys
}

func versions(of []schema.Versioned) []any {
	args := make([]any, 0, 2*len(of))
	for _, r := range of {
		args = append(args, r.ID, int64(r.Version))
	}
	return args
}
