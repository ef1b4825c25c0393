package producer_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/alicebob/miniredis/v2"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// noRows is a database without the rows that a write may need to know.
type noRows struct{}

func (noRows) Load(context.Context, *schema.Entity, []string) (map[string]schema.Values, error) {
	return nil, nil
}

// A write is accepted in one step. Without a queue the workers' next sweep finds it.
func ExampleProducer_Do() {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	defer server.Close()
	c, err := cache.New(cache.Config{URL: "redis://" + server.Addr()})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	user := &schema.Entity{Name: "user", Fields: []schema.Field{
		{Name: "name", Type: schema.String}, {Name: "logins", Type: schema.Int}}}
	if err := user.Init(); err != nil {
		panic(err)
	}
	p, err := producer.New(producer.Config{Entities: []*schema.Entity{user}, Cache: c, Loader: noRows{}})
	if err != nil {
		panic(err)
	}
	defer p.Close()

	ctx := context.Background()
	put, err := p.Do(ctx, producer.Request{Op: cache.OpPut, Entity: "user", ID: "ada",
		Fields: schema.Fields{"name": "Ada", "logins": 1}})
	fmt.Println(put.Status, err)
	sum, err := p.Do(ctx, producer.Request{Op: cache.OpIncrement, Entity: "user", ID: "ada",
		Fields: schema.Fields{"logins": 2}})
	fmt.Println(sum.Values[1], err)
	_, err = p.Do(ctx, producer.Request{Op: cache.OpPatch, Entity: "user", ID: "ada", IfMatch: put.Version,
		Fields: schema.Fields{"name": "Ada L."}})
	fmt.Println(errors.Is(err, schema.ErrVersionMismatch))
	// Output:
	// pending <nil>
	// 3 <nil>
	// true
}
