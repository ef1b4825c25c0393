package afterwrite_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"github.com/afterwrite/afterwrite"
	"github.com/afterwrite/afterwrite/afterwritetest"
	"github.com/afterwrite/afterwrite/operate"
	"github.com/afterwrite/afterwrite/schema"
)

func ExampleDB_Operate() {
	t := &exampleTB{}
	defer t.end()
	once := schema.DefaultRetryPolicy()
	once.MaxAttempts = 1
	ctx, aw := context.Background(), afterwritetest.New(t, afterwrite.Model[Counter](afterwrite.Retry(once)))
	accept := afterwritetest.Refuse(t, aw, Counter{}, "a", "check")
	_, _ = afterwrite.Table[Counter](aw).Put(ctx, &Counter{ID: "a"})
	afterwritetest.Flush(t, aw)

	op := aw.Operate(operate.Actor{Name: "nightly-repair"})
	letters, err := op.DeadLetters(ctx, operate.Filter{Entity: "counter"}, 0, 10)
	fmt.Println(letters[0].ID, letters[0].Refusal.Kind, err)
	accept() // the cause is fixed
	report, err := op.Retry(ctx, operate.Selection{Filter: operate.Filter{Entity: "counter"}, Expect: 1})
	fmt.Println(report.Done, report.Failed, err)
	// Output:
	// a check <nil>
	// 1 0 <nil>
}

func ExampleTableOf_Invalidate() {
	t := &exampleTB{}
	defer t.end()
	ctx, aw := context.Background(), afterwritetest.New(t, afterwrite.Model[Counter]())
	counters := afterwrite.Table[Counter](aw)
	w, _ := counters.Put(ctx, &Counter{ID: "a", N: 1})
	afterwritetest.RequirePersisted(t, w)
	_, _ = afterwritetest.SQL(t, aw).Exec("UPDATE counters SET n = 2 WHERE id = 'a'") // by old code
	before, _ := counters.Get(ctx, "a")
	err := counters.Invalidate(ctx, "a")
	after, _ := counters.Get(ctx, "a")
	fmt.Println(before.Value.N, after.Value.N, err)
	// Output: 1 2 <nil>
}

func ExampleMigrations() {
	files, err := fs.Glob(afterwrite.Migrations(), "postgres/*fences.sql")
	fmt.Println(files, err)
	// Output: [postgres/00001_fences.sql] <nil>
}

func ExampleDB_WriteConfig() {
	example(func(_ context.Context, aw *afterwrite.DB) {
		_ = aw.WriteConfig(os.Stdout)
	}, afterwrite.Model[Counter]())
}
