package worker_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
	"github.com/afterwrite/afterwrite/worker"
)

// A worker stands between Redis, the database and the queue of sync tasks, which it takes until its context ends.
func ExampleWorker_Run() {
	server, dir := must(miniredis.Run()), must(os.MkdirTemp("", "worker"))
	defer server.Close()
	defer os.RemoveAll(dir)
	url := "redis://" + server.Addr()
	user := &schema.Entity{Name: "user", Partitions: 1, Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	if err := user.Init(); err != nil {
		panic(err)
	}
	all := []*schema.Entity{user}
	rows := must(ledger.Open(store.Config{URL: "sqlite://" + filepath.Join(dir, "example.db")}, all))
	defer rows.Close()
	c := must(cache.New(cache.Config{URL: url, Loader: rows}))
	defer c.Close()
	tasks := must(queue.NewClient(url, string(c.Prefix())))
	defer tasks.Close()
	takes := must(queue.NewServer(queue.ServerConfig{RedisURL: url, Prefix: string(c.Prefix()),
		Queues: map[string]int{"default": 1}, PollInterval: 10 * time.Millisecond}))
	w := must(worker.New(worker.Config{Entities: all, Redis: whole.Of(c), Store: rows, Queue: tasks, Server: takes}))

	ctx, stop := context.WithCancel(context.Background())
	must(rows.Migrate(ctx, false))
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	g := &cache.Group{Entity: user, Writes: []cache.Write{{Op: cache.OpPut, ID: "ada", Values: schema.Values{`"Ada"`}}}}
	c.Write(ctx, g)
	fmt.Println(g.Results[0].Err, tasks.Enqueue(ctx, g.Order))
	state, err := c.Wait(ctx, user, "ada", g.Results[0].Version)
	fmt.Println(state.Record.Status, err)
	fmt.Println(rows.Load(ctx, user, []string{"ada"}))
	stop()
	fmt.Println(<-ended)
	// Output:
	// <nil> <nil>
	// persisted <nil>
	// map[ada:["Ada"]] <nil>
	// <nil>
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
