package check

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/fsck"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
)

// Deployment is what a test ran on. Ledger may be nil.
type Deployment struct {
	Entities []*schema.Entity
	Cache    *cache.Cache
	Store    Rows // the store, without faults
	Ledger   *Ledger
}

// Rows is what the checks read of the database.
type Rows interface {
	Load(ctx context.Context, e *schema.Entity, ids []string) (map[string]schema.Values, error)
}

// All fails the test unless, now that no more writes are sent,
//
//   - every acknowledged write is in the database, or pending, held or dead in Redis, at
//     its values or those of a newer write, and never at an older version;
//   - accepted = persisted + superseded + pending + held + dead + discarded;
//   - Redis and the database agree on every record, as `afterwrite fsck` sees it.
//
// Workers may go on flushing meanwhile.
func All(t testing.TB, d Deployment) {
	t.Helper()
	report, err := fsck.Run(t.Context(), d.Cache, whole.Of(d.Cache).Backlog, d.Store, d.Entities,
		fsck.Options{Pause: 20 * time.Millisecond})
	if err != nil {
		t.Fatalf("fsck: %v", err)
	}
	for _, e := range report.Entities {
		if !e.OK() {
			t.Errorf("fsck %s: %d differences, sum %+v", e.Name, e.Different, e.Sum)
		}
		for _, difference := range e.Differences {
			t.Errorf("fsck: %+v", difference)
		}
	}
	if d.Ledger == nil {
		return
	}
	for _, e := range d.Entities {
		d.entity(t, e)
	}
}

// maxComplaints bounds what one entity can say: the first few tell the story.
const maxComplaints = 20

func (d Deployment) entity(t testing.TB, e *schema.Entity) {
	t.Helper()
	ids, accounts := d.Ledger.of(e)
	complaints := 0
	for _, id := range ids {
		err := d.record(t.Context(), e, id, accounts[id])
		if err == nil {
			continue
		}
		t.Errorf("%s %q: %v", e.Name, id, err)
		if complaints++; complaints == maxComplaints {
			t.Errorf("%s: and perhaps more", e.Name)
			return
		}
	}
}

// looks is how often a record that is on its way is looked at again.
const looks = 20

// record checks one record. Between the look at Redis and the look at the database a
// worker may have moved it, so what seems wrong is looked at again.
func (d Deployment) record(ctx context.Context, e *schema.Entity, id string, a *account) error {
	outcomes, err := a.outcomes(e)
	if err != nil {
		return err
	}
	for range looks {
		if err = d.look(ctx, e, id, a.newest(), outcomes); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return err
}

func (d Deployment) look(ctx context.Context, e *schema.Entity, id string, newest schema.Version,
	outcomes []schema.Row) error {
	s, err := d.Cache.Status(ctx, e, id)
	if err != nil {
		return err
	}
	if s.Cached && s.Record.Version < newest {
		return fmt.Errorf("went back: %s in Redis, %s was acknowledged", s.Record.Version, newest)
	}
	actual, where := schema.Row{ID: id, Exists: !s.Record.Deleted, Values: s.Record.Values}, "Redis"
	if s.Record.Status == schema.Persisted {
		where = "the database"
		if actual, err = d.row(ctx, e, id); err != nil {
			return err
		}
	}
	for _, want := range outcomes {
		if want.Exists == actual.Exists && (!want.Exists || slices.Equal(want.Values, actual.Values)) {
			return nil
		}
	}
	return fmt.Errorf("%s in %s is %s, but the answers allow %s", s.Record.Status, where, show(e, actual),
		show(e, outcomes...))
}

func (d Deployment) row(ctx context.Context, e *schema.Entity, id string) (schema.Row, error) {
	found, err := d.Store.Load(ctx, e, []string{id})
	if err != nil {
		return schema.Row{}, err
	}
	values, ok := found[id]
	return schema.Row{ID: id, Exists: ok, Values: values}, nil
}

func show(e *schema.Entity, rows ...schema.Row) string {
	var text []byte
	for i, row := range rows {
		if i > 0 {
			text = append(text, " or "...)
		}
		if !row.Exists {
			text = append(text, "absent"...)
			continue
		}
		text = e.AppendRecord(text, row.ID, row.Values)
	}
	return string(text)
}
