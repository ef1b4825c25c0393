package afterwrite_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"sync"
	"testing"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/afterwritetest"
	"github.com/afterwrite/afterwrite/dashboard"
)

// example runs the body of an Example on models in memory.
func example(body func(ctx context.Context, aw *afterwrite.DB), models ...afterwrite.Registration) {
	t := &exampleTB{}
	defer t.end()
	body(context.Background(), afterwritetest.New(t, models...))
}

func Example() {
	example(func(ctx context.Context, aw *afterwrite.DB) {
		users := afterwrite.Table[User](aw)
		u := User{Name: "Ada"}
		_, err := users.Put(ctx, &u)
		fmt.Println(len(u.ID), !u.CreatedAt.IsZero(), err)
		_, err = users.Patch(ctx, u.ID, afterwrite.Set("Age", 37))
		fmt.Println(err)
		n, _, err := users.Add(ctx, u.ID, "Logins", 1)
		fmt.Println(n, err)
		w, err := users.Update(ctx, u.ID, func(u *User) error { u.Name += " Lovelace"; return nil })
		fmt.Println(w.Wait(ctx), err)
		got, err := users.Get(ctx, u.ID)
		fmt.Println(got.Value.Name, got.Value.Age, got.Value.Logins, got.Status, err)
	}, afterwrite.Model[User]())
	// Output:
	// 36 true <nil>
	// <nil>
	// 1 <nil>
	// <nil> <nil>
	// Ada Lovelace 37 1 persisted <nil>
}

func ExampleTableOf_Create() {
	example(func(ctx context.Context, aw *afterwrite.DB) {
		counters := afterwrite.Table[Counter](aw)
		_, err := counters.Create(ctx, &Counter{ID: "a"})
		fmt.Println(err)
		_, err = counters.Create(ctx, &Counter{ID: "a"})
		fmt.Println(errors.Is(err, afterwrite.ErrExists))
	}, afterwrite.Model[Counter]())
	// Output:
	// <nil>
	// true
}

func ExampleTableOf_GetMany() {
	example(func(ctx context.Context, aw *afterwrite.DB) {
		counters := afterwrite.Table[Counter](aw)
		_, _ = counters.Put(ctx, &Counter{ID: "a", N: 1})
		_, _ = counters.Put(ctx, &Counter{ID: "b", N: 2})
		all, err := counters.GetMany(ctx, "b", "none", "a")
		for _, got := range all {
			fmt.Println(got.ID, got.Value.N)
		}
		fmt.Println(err)
	}, afterwrite.Model[Counter]())
	// Output:
	// b 2
	// a 1
	// <nil>
}

func ExampleTableOf_Delete() {
	example(func(ctx context.Context, aw *afterwrite.DB) {
		users := afterwrite.Table[User](aw)
		u := User{Name: "Ada"}
		_, _ = users.Put(ctx, &u)
		_, err := users.Delete(ctx, u.ID) // softly: User has a gorm.DeletedAt
		fmt.Println(err)
		_, err = users.Get(ctx, u.ID)
		fmt.Println(errors.Is(err, afterwrite.ErrNotFound))
	}, afterwrite.Model[User]())
	// Output:
	// <nil>
	// true
}

func ExampleIfMatch() {
	example(func(ctx context.Context, aw *afterwrite.DB) {
		counters := afterwrite.Table[Counter](aw)
		w, _ := counters.Put(ctx, &Counter{ID: "a"})
		_, err := counters.Patch(ctx, "a", afterwrite.Set("N", 1), afterwrite.IfMatch(w.Version))
		fmt.Println(err)
		_, err = counters.Patch(ctx, "a", afterwrite.Set("N", 2), afterwrite.IfMatch(w.Version))
		fmt.Println(errors.Is(err, afterwrite.ErrVersionMismatch))
	}, afterwrite.Model[Counter]())
	// Output:
	// <nil>
	// true
}

func ExampleIdempotencyKey() {
	example(func(ctx context.Context, aw *afterwrite.DB) {
		counters := afterwrite.Table[Counter](aw)
		_, _ = counters.Put(ctx, &Counter{ID: "a"})
		for range 3 { // as a client that repeats a request whose answer was lost
			n, w, err := counters.Add(ctx, "a", "N", 5, afterwrite.IdempotencyKey("order-17"))
			fmt.Println(n, w.Repeated, err)
		}
	}, afterwrite.Model[Counter]())
	// Output:
	// 5 false <nil>
	// 5 true <nil>
	// 5 true <nil>
}

func ExampleAssign() {
	example(func(ctx context.Context, aw *afterwrite.DB) {
		counters := afterwrite.Table[Counter](aw)
		_, _ = counters.Put(ctx, &Counter{ID: "a"})
		_, err := counters.Patch(ctx, "a", afterwrite.Assign(func(c *Counter) *int64 { return &c.N }, 7))
		got, _ := counters.Get(ctx, "a")
		fmt.Println(got.Value.N, err)
	}, afterwrite.Model[Counter]())
	// Output: 7 <nil>
}

func ExampleBeforeAccept() {
	polite := afterwrite.BeforeAccept(func(_ context.Context, u *User) error {
		if u.Name == "" {
			return errors.New("a user needs a name")
		}
		return nil
	})
	example(func(ctx context.Context, aw *afterwrite.DB) {
		_, err := afterwrite.Table[User](aw).Put(ctx, &User{})
		fmt.Println(err)
	}, afterwrite.Model[User](polite))
	// Output: a user needs a name
}

func ExampleInTransaction() {
	type Outbox struct {
		Order string `gorm:"primaryKey"`
		Total int64
	}
	outbox := afterwrite.InTransaction(func(ctx context.Context, tx *gorm.DB,
		changes []afterwrite.Flushed[Counter]) error {
		for _, c := range changes {
			if err := tx.Save(&Outbox{Order: c.ID, Total: c.Value.N}).Error; err != nil {
				return err // refuses these records, and undoes what was written for them
			}
		}
		return nil
	})
	t := &exampleTB{}
	defer t.end()
	ctx, aw := context.Background(), afterwritetest.New(t, afterwrite.Model[Counter](outbox))
	_, _ = afterwritetest.SQL(t, aw).Exec(`CREATE TABLE outboxes ("order" text PRIMARY KEY, total integer)`)
	_, _ = afterwrite.Table[Counter](aw).Put(ctx, &Counter{ID: "a", N: 3})
	afterwritetest.Flush(t, aw)
	var total int
	err := afterwritetest.SQL(t, aw).QueryRow("SELECT total FROM outboxes").Scan(&total)
	fmt.Println(total, err)
	// Output: 3 <nil>
}

func ExampleAfterPersist() {
	var index sync.Map
	keep := afterwrite.AfterPersist(func(_ context.Context, changes []afterwrite.Flushed[Counter]) error {
		for _, c := range changes {
			index.Store(c.ID, c.Value.N) // at least once: a second time changes nothing
		}
		return nil
	})
	t := &exampleTB{}
	defer t.end()
	ctx, aw := context.Background(), afterwritetest.New(t, afterwrite.Model[Counter](keep))
	_, _ = afterwrite.Table[Counter](aw).Put(ctx, &Counter{ID: "a", N: 3})
	afterwritetest.Flush(t, aw)
	fmt.Println(index.Load("a"))
	// Output: 3 true
}

func ExampleOperation() {
	keep := afterwrite.BeforeAccept(func(ctx context.Context, c *Counter) error {
		if afterwrite.Operation(ctx) == "delete" && c.N > 0 {
			return errors.New("is in use")
		}
		return nil
	})
	example(func(ctx context.Context, aw *afterwrite.DB) {
		counters := afterwrite.Table[Counter](aw)
		_, _ = counters.Put(ctx, &Counter{ID: "a", N: 3})
		_, err := counters.Delete(ctx, "a")
		fmt.Println(err)
	}, afterwrite.Model[Counter](keep))
	// Output: is in use
}

func ExampleWritten_Wait() {
	t := &exampleTB{}
	defer t.end()
	ctx, aw := context.Background(), afterwritetest.New(t, afterwrite.Model[Counter]())
	afterwritetest.Refuse(t, aw, Counter{}, "a", "check")
	w, err := afterwrite.Table[Counter](aw).Put(ctx, &Counter{ID: "a"})
	fmt.Println(err)
	var held *afterwrite.HeldError
	if errors.As(w.Wait(ctx), &held) {
		fmt.Println(held.ID, held.Refusal.Kind)
	}
	// Output:
	// <nil>
	// a check
}

func ExampleDB_Dashboard() {
	example(func(_ context.Context, aw *afterwrite.DB) {
		mux := http.NewServeMux()
		mux.Handle("/admin/afterwrite/", aw.Dashboard(afterwrite.DashboardConfig{
			Who: func(r *http.Request) (string, dashboard.Role) { return r.Header.Get("X-User"), dashboard.Operator },
		}))
		for _, user := range []string{"", "ada"} {
			r := httptest.NewRequest(http.MethodGet, "/admin/afterwrite/", nil)
			r.Header.Set("X-User", user)
			answer := httptest.NewRecorder()
			mux.ServeHTTP(answer, r)
			fmt.Println(answer.Code)
		}
	}, afterwrite.Model[Counter]())
	// Output:
	// 403
	// 200
}

func ExampleDB_API() {
	example(func(_ context.Context, aw *afterwrite.DB) {
		answer := httptest.NewRecorder()
		aw.API(afterwrite.APIConfig{}).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/v1/counter/none", nil))
		fmt.Println(answer.Code)
	}, afterwrite.Model[Counter]())
	// Output: 404
}

// exampleTB is as much of a test as the kit needs in an Example.
type exampleTB struct {
	testing.TB
	ends []func()
}

func (*exampleTB) Helper()                        {}
func (*exampleTB) Context() context.Context       { return context.Background() }
func (*exampleTB) Output() io.Writer              { return io.Discard }
func (*exampleTB) Errorf(format string, a ...any) { fmt.Printf(format, a...) }
func (*exampleTB) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }
func (*exampleTB) Logf(string, ...any)            {}
func (t *exampleTB) Cleanup(end func())           { t.ends = append(t.ends, end) }

func (t *exampleTB) TempDir() string {
	dir, err := os.MkdirTemp("", "afterwrite-example")
	if err != nil {
		panic(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (t *exampleTB) end() {
	for _, end := range slices.Backward(t.ends) {
		end()
	}
}
