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
	for _, circle := range byConstraint(rejected) {
		moving, err := b.rotate(circle)
		if err != nil {
			return err
		}
		b.outcome.Persisted = append(b.outcome.Persisted, moving...)
		maps.Copy(moved, idsOf(moving))
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

// rotate writes those of the changes, refused by one constraint, whose value is free
// or owned by another of them, and returns what it has written.
func (b *batch) rotate(rejected []rejection) ([]schema.Change, error) {
	if len(rejected) < 2 || len(rejected) > b.table.Rows {
		return nil, nil
	}
	changes := make([]schema.Change, len(rejected))
	for i, r := range rejected {
		changes[i] = r.Change
	}
	i, owners := -1, map[string]string{}
	err := b.look(func() (err error) {
		i, owners, err = b.owners(rejected[0].Refusal, changes)
		return err
	})
	if err != nil || i < 0 {
		return nil, err
	}
	// What a change does not write must not be taken off its row.
	changes = slices.DeleteFunc(changes, func(c schema.Change) bool { return !c.Writes(i) })
	moving := circle(changes, owners, i)
	if len(moving) < 2 {
		return nil, nil
	}
	failed, ended := b.tx.Try(func() error {
		if err := b.park(i, moving); err != nil {
			return err
		}
		return b.hooked(b.put)(moving)
	})
	if ended != nil || failed == nil {
		return moving, b.table.told(ended, moving, nil)
	}
	if _, ok := b.classify(failed); !ok {
		return nil, b.tx.Database.Unavailable("write "+b.table.Name, b.table.told(failed, moving, b.rows))
	}
	return nil, nil // another constraint is in the way
}

// circle leaves out, again and again, the changes whose value belongs to a row that
// does not move, or is wanted twice.
func circle(changes []schema.Change, owners map[string]string, i int) []schema.Change {
	for {
		moving := idsOf(changes)
		taken := map[string]bool{}
		var left []schema.Change
		for _, c := range byVersion(changes) {
			owner, owned := owners[c.Values[i]]
			if taken[c.Values[i]] || (owned && !moving[owner]) {
				continue
			}
			taken[c.Values[i]] = true
			left = append(left, c)
		}
		if len(left) == len(changes) {
			return left
		}
		changes = left
	}
}

// park takes a unique value off the rows of changes: NULL, or where the column must
// have a value, one that no other row has.
func (b *batch) park(i int, changes []schema.Change) error {
	c := b.table.Column(i)
	if !c.Field.Required {
		keys, err := b.keysOf(changes)
		if err != nil {
			return err
		}
		return b.table.Writing(b.tx.DB).Where(b.table.Among(len(changes)), keys...).
			UpdateColumn(c.Name, gorm.Expr("NULL")).Error
	}
	for _, change := range changes {
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
	return nil
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
