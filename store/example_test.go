package store_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// What a worker does for a batch: it locks the partition's fence, reads what is pending only then, writes and commits.
func ExampleStore_Begin() {
	dir, err := os.MkdirTemp("", "store")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	user := &schema.Entity{Name: "user", Partitions: 1, Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	if err := user.Init(); err != nil {
		panic(err)
	}
	s, err := store.Open(store.Config{URL: "sqlite://" + filepath.Join(dir, "example.db")}, []*schema.Entity{user})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	ctx := context.Background()
	if _, err := s.Migrate(ctx, false); err != nil {
		panic(err)
	}

	f, err := s.Begin(ctx, user, 0)
	if err != nil {
		panic(err)
	}
	defer f.Rollback()
	outcome, err := f.Write(ctx, []schema.Change{
		{ID: "ada", Version: 1, Values: schema.Values{`"Ada"`}},
		{ID: "bob", Version: 2, Deleted: true},
	})
	fmt.Println(len(outcome.Persisted), len(outcome.Refused), err, f.Commit(ctx))
	rows, err := s.Load(ctx, user, []string{"ada", "bob"})
	fmt.Println(rows, err)
	// Output:
	// 2 0 <nil> <nil>
	// map[ada:["Ada"]] <nil>
}
