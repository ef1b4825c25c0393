package cache_test

import (
	"context"
	"fmt"

	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/schema"
)

// rows is a database for examples.
type rows map[string]schema.Values

func (r rows) Load(context.Context, *schema.Entity, []string) (map[string]schema.Values, error) {
	return r, nil
}

// Cache-aside for a record, and its invalidation after a change made in the database, of
// which the handlers in every process are told.
func ExampleCache_Bus() {
	database := rows{"1": {`"Ada"`}}
	c, done := openWith(database)
	defer done()
	ctx := context.Background()
	user := &schema.Entity{Name: "user", Fields: []schema.Field{{Name: "name", Type: schema.String}}}
	if err := user.Init(); err != nil {
		panic(err)
	}
	told := make(chan events.Happening, 1)
	handle := func(_ context.Context, h events.Happening) { told <- h }
	if err := c.Bus().On(ctx, user, handle, events.Invalidated); err != nil {
		panic(err)
	}
	for range 2 {
		read, err := c.Get(ctx, user, "1")
		fmt.Println(read.Values[0], read.Source, err)
	}
	database["1"] = schema.Values{`"Ada Lovelace"`}
	n, err := c.Invalidate(ctx, user, []string{"1"})
	h := <-told
	fmt.Println(n, err, h.What, h.ID)
	read, err := c.Get(ctx, user, "1")
	fmt.Println(read.Values[0], read.Source, err)
	// Output:
	// "Ada" filled <nil>
	// "Ada" hit <nil>
	// 1 <nil> invalidated 1
	// "Ada Lovelace" filled <nil>
}

// A package that is built on the cache names its keys so that one script may take them
// together on a cluster.
func ExampleCache_Key() {
	c, done := openWith(nil)
	defer done()
	fmt.Println(c.Key("votes", "poll 7", "yes"))
	fmt.Println(c.Key("votes", "poll 7", "no"))
	// Output:
	// aw:{_votes/poll 7}:yes
	// aw:{_votes/poll 7}:no
}
