package store

import (
	"cmp"
	crand "crypto/rand"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
)

// exchange persists refused changes that only stand in one another's way, as when two
// records swap a unique value: it takes the values off their rows and writes the
// changes then. The refusals of the others are final.
func (b *batch) exchange(rejected []rejection) error {
	moved := map[string]bool{}
	move := func(circle []rejection) error {
		moving, err := b.rotate(circle)
		b.outcome.Persisted = append(b.outcome.Persisted, moving...)
		maps.Copy(moved, idsOf(moving))
		return err
	}
	circles := byConstraint(rejected)
	for _, circle := range circles {
		if err := move(circle); err != nil {
			return err
		}
	}
	if len(circles) > 1 { // each may be in the way of another by another constraint
		var left []rejection
		for _, circle := range circles {
			left = append(left, slices.DeleteFunc(circle, func(r rejection) bool { return moved[r.ID] })...)
		}
		if err := move(left); err != nil {
			return err
		}
	}
	for _, r := range rejected {
		if !moved[r.ID] {
			b.outcome.Refused = append(b.outcome.Refused, r.Refused)
		}
	}
	return nil
}

func byConstraint(rejected []rejection) map[string][]rejection {
	circles := map[string][]rejection{}
	for _, r := range rejected {
		if r.Refusal.Kind == schema.KindUnique && !r.Deleted {
			circles[r.Refusal.Constraint] = append(circles[r.Refusal.Constraint], r)
		}
	}
	return circles
}

// rotate writes those of the changes whose values are free or owned by another of them,
// and returns what it has written.
func (b *batch) rotate(rejected []rejection) ([]schema.Change, error) {
	if len(rejected) < 2 || len(rejected) > b.table.Rows {
		return nil, nil
	}
	changes := make([]schema.Change, len(rejected))
	var keys []uniqueKey
	for i, r := range rejected {
		changes[i] = r.Change
		keys = b.table.withKeys(keys, r.Refusal)
	}
	owners := make([]map[string]string, len(keys))
	err := b.look(func() (err error) {
		for i, key := range keys {
			if owners[i], err = b.owners(key, changes); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	moving := circle(changes, keys, owners)
	for len(moving) > 1 {
		failed, ended := b.tx.Try(func() error {
			for _, key := range keys {
				if err := b.park(key, moving); err != nil {
					return err
				}
			}
			return b.hooked(b.put)(moving)
		})
		if ended != nil || failed == nil {
			return moving, b.table.told(ended, moving, nil)
		}
		r, ok := b.classify(failed)
		if !ok {
			return nil, b.tx.Database.Unavailable("write "+b.table.Name, b.table.told(failed, moving, b.rows))
		}
		before := len(keys)
		if keys = b.table.withKeys(keys, r); len(keys) == before {
			break // another constraint is in the way
		}
	}
	return nil, nil
}

// circle leaves out, again and again, the changes that want a value of a row that does not
// move, one that is wanted twice, or none of the keys.
func circle(changes []schema.Change, keys []uniqueKey, owners []map[string]string) []schema.Change {
	for {
		moving := idsOf(changes)
		taken := make([]map[string]bool, len(keys))
		for i := range taken {
			taken[i] = map[string]bool{}
		}
		var left []schema.Change
		for _, c := range byVersion(changes) {
			stays := true
			for i, key := range keys {
				value, wants := key.of(c)
				owner, owned := owners[i][value]
				if wants && (taken[i][value] || owned && !moving[owner]) {
					stays = true
					break
				}
				stays = stays && !wants
			}
			if stays {
				continue
			}
			for i, key := range keys {
				if value, wants := key.of(c); wants {
					taken[i][value] = true
				}
			}
			left = append(left, c)
		}
		if len(left) == len(changes) {
			return left
		}
		changes = left
	}
}

// park takes the values of a unique key off the rows of changes: a column that the change
// writes becomes NULL, or where it must have a value, one that no other row has.
func (b *batch) park(k uniqueKey, changes []schema.Change) error {
	empty := map[int][]schema.Change{}
	for _, change := range changes {
		i := b.parked(k, change)
		if i < 0 {
			continue // its row keeps them
		}
		c := b.table.Column(i)
		if !c.Field.Required {
			empty[i] = append(empty[i], change)
			continue
		}
		key, err := b.table.KeyParameters(change.ID)
		if err != nil {
			return err
		}
		value, err := c.Parameter(unheld(c.Field))
		if err != nil {
			return err
		}
		err = b.table.Writing(b.tx.DB).Where(b.table.Is(), key...).UpdateColumn(c.Name, value).Error
		if err != nil {
			return err
		}
	}
	for i, some := range empty {
		keys, err := b.keysOf(some)
		if err != nil {
			return err
		}
		err = b.table.Writing(b.tx.DB).Where(b.table.Among(len(some)), keys...).
			UpdateColumn(b.table.Column(i).Name, gorm.Expr("NULL")).Error
		if err != nil {
			return err
		}
	}
	return nil
}

// parked is the field of a unique key that is taken off the row of a change, which gives it its
// value then; -1: there is none. One that need not have a value is better.
func (b *batch) parked(k uniqueKey, c schema.Change) int {
	found := -1
	for _, i := range k.fields {
		if b.table.Place[i] < b.table.Keys || !c.Writes(i) {
			continue
		}
		if found < 0 || !b.table.Entity.Fields[i].Required {
			found = i
		}
	}
	return found
}

// unheld is a canonical value of a field that no row has, as good as certainly, and that
// its column takes: a number of 31 bits, or as many random characters or digits as there
// is room for.
func unheld(f *schema.Field) string {
	n := rand.Int64N(1 << 31)
	var v any
	switch f.Type {
	case schema.Int:
		v = -1 - n
	case schema.Float:
		v = -rand.Float64() * float64(n)
	case schema.Time:
		v = time.UnixMicro(n * 1_000_003).UTC()
	case schema.UUID:
		v = uuid.NewString()
	case schema.Bytes:
		some := []byte(crand.Text())
		v = some[:atMost(f.MaxLength, len(some))]
	case schema.Decimal:
		digits := fmt.Sprintf("%0*d", f.Precision, rand.Uint64())
		digits = digits[len(digits)-f.Precision:]
		whole, rest := digits[:f.Precision-f.Scale], digits[f.Precision-f.Scale:]
		v = strings.TrimRight("-"+cmp.Or(strings.TrimLeft(whole, "0"), "0")+"."+rest, ".")
	default:
		text := crand.Text()
		v = text[:atMost(f.MaxLength, len(text))]
	}
	text, err := f.Encode(v)
	if err != nil {
		return schema.Null
	}
	return text
}

// atMost is n, or the limit if there is one that is smaller.
func atMost(limit, n int) int {
	if limit > 0 {
		return min(limit, n)
	}
	return n
}
