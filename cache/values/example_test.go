package values_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/schema"
)

// open returns a cache on a Redis in this process.
func open() (*cache.Cache, func()) {
	server, err := miniredis.Run()
	if err != nil {
		panic(err)
	}
	c, err := cache.New(cache.Config{URL: "redis://" + server.Addr()})
	if err != nil {
		panic(err)
	}
	return c, func() {
		_ = c.Close()
		server.Close()
	}
}

// Cache-aside: the value comes from the cache, or from the function, which runs once
// however many ask.
func ExampleLoad() {
	c, done := open()
	defer done()
	for range 2 {
		name, err := values.Load(context.Background(), c, "42", values.Policy{Group: "name", TTL: time.Minute},
			func(context.Context) (string, error) {
				fmt.Println("asked the database")
				return "Ada", nil
			})
		fmt.Println(name, err)
	}
	// Output:
	// asked the database
	// Ada <nil>
	// Ada <nil>
}

// Many keys: one round trip for the hits, one call for the misses.
func ExampleValues_LoadMany() {
	c, done := open()
	defer done()
	ctx := context.Background()
	prices, err := values.New[int](c, values.Policy{Group: "price", TTL: time.Minute, NegativeTTL: time.Second},
		nil)
	if err != nil {
		panic(err)
	}
	_ = prices.Set(ctx, "tea", 3)
	got, err := prices.LoadMany(ctx, []string{"tea", "milk", "nothing"},
		func(_ context.Context, missing []string) (map[string]int, error) {
			fmt.Println("missing:", missing)
			return map[string]int{"milk": 2}, nil
		})
	fmt.Println(got, err)
	// Output:
	// missing: [milk nothing]
	// map[milk:2 tea:3] <nil>
}

// Dependents: what was made of user 1 is invalid when user 1 has changed.
func ExampleInvalidateTags() {
	c, done := open()
	defer done()
	ctx := context.Background()
	profile := func(context.Context) (string, error) {
		fmt.Println("made the profile")
		return "Ada's profile", nil
	}
	profiles, err := values.New[string](c, values.Policy{
		Group: "profile", TTL: time.Hour, Tags: []values.Tag{values.NamedTag("users")},
	}, nil)
	if err != nil {
		panic(err)
	}
	_, _ = profiles.Load(ctx, "1", profile)
	_, _ = profiles.Load(ctx, "1", profile)
	_ = values.InvalidateTags(ctx, c, values.NamedTag("users"))
	_, _ = profiles.Load(ctx, "1", profile)
	// Output:
	// made the profile
	// made the profile
}

// A pattern, by SCAN and UNLINK in bounded steps.
func ExampleValues_InvalidateMatch() {
	c, done := open()
	defer done()
	ctx := context.Background()
	pages, err := values.New[string](c, values.Policy{Group: "page", TTL: time.Hour}, nil)
	if err != nil {
		panic(err)
	}
	for _, key := range []string{"user/1/a", "user/1/b", "user/2/a"} {
		_ = pages.Set(ctx, key, "…")
	}
	n, err := pages.InvalidateMatch(ctx, "user/1/*", nil)
	fmt.Println(n, err)
	// Output: 2 <nil>
}

// Stale while it is loaded again, early by chance, and instead of an error; and a copy in
// the process.
func ExamplePolicy() {
	p := values.Policy{
		Group: "rates", TTL: 5 * time.Minute, Jitter: 0.1, NegativeTTL: 10 * time.Second,
		Stale: time.Minute, StaleOnError: time.Hour, Early: 1,
		MaxSize: 256 << 10, CompressAbove: 4 << 10,
		L1: schema.L1{Bytes: 16 << 20, Age: 2 * time.Second},
	}
	c, done := open()
	defer done()
	rates, err := values.New[map[string]float64](c, p, nil)
	if err != nil {
		panic(err)
	}
	got, err := rates.Load(context.Background(), "EUR", func(context.Context) (map[string]float64, error) {
		return map[string]float64{"USD": 1.25}, nil
	})
	fmt.Println(got, err)
	// Output: map[USD:1.25] <nil>
}

// Sliding expiry: a value lives on while it is used.
func ExampleValues_Touch() {
	c, done := open()
	defer done()
	ctx := context.Background()
	carts, err := values.New[[]string](c, values.Policy{Group: "cart", TTL: time.Hour}, nil)
	if err != nil {
		panic(err)
	}
	_ = carts.Set(ctx, "ada", []string{"tea"})
	found, err := carts.Touch(ctx, "ada", time.Hour)
	fmt.Println(found, err)
	// Output: true <nil>
}

// A loader that knows better than the policy how long its value is good; zero keeps it out.
func ExampleKeepFor() {
	c, done := open()
	defer done()
	quotes, err := values.New[string](c, values.Policy{Group: "quote", TTL: time.Minute}, nil)
	if err != nil {
		panic(err)
	}
	a, err := quotes.Read(context.Background(), "AFW", func(ctx context.Context) (string, error) {
		values.KeepFor(ctx, 5*time.Second) // the exchange is open
		return "12.50", nil
	})
	fmt.Println(a.Value, a.TTL, err)
	// Output: 12.50 5s <nil>
}

// Absence, too, is cached, and a value that is too large is not.
func ExampleValues_Get() {
	c, done := open()
	defer done()
	ctx := context.Background()
	names, err := values.New[string](c, values.Policy{Group: "name", TTL: time.Minute, NegativeTTL: time.Second,
		MaxSize: 100}, nil)
	if err != nil {
		panic(err)
	}
	_, err = names.Load(ctx, "nobody", func(context.Context) (string, error) { return "", schema.ErrNotFound })
	fmt.Println(errors.Is(err, schema.ErrNotFound))
	_, err = names.Get(ctx, "nobody") // from Redis: nothing is loaded
	fmt.Println(errors.Is(err, schema.ErrNotFound))
	fmt.Println(errors.Is(names.Set(ctx, "long", strings.Repeat("x", 101)), values.ErrTooLarge))
	// Output:
	// true
	// true
	// true
}
