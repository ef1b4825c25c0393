package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"github.com/dtm-labs/rockscache"
	gocache "github.com/eko/gocache/lib/v4/cache"
	gostore "github.com/eko/gocache/lib/v4/store"
	gocacheredis "github.com/eko/gocache/store/redis/v4"
	redisaside "github.com/go-redis/cache/v9"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidisaside"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/values"
	"github.com/afterwrite/afterwrite/schema"
)

// profile is what is cached, about 200 bytes of JSON.
type profile struct {
	ID    int64    `json:"id"`
	Name  string   `json:"name"`
	Email string   `json:"email"`
	Tags  []string `json:"tags"`
	Bio   string   `json:"bio"`
}

// load is the database: it answers at once, so that the caches are measured.
func load(n int64) profile {
	return profile{n, "Ada Lovelace", "ada@example.com", []string{"engine", "notes"},
		"She wrote what is regarded as the first program for a machine that was never built, in the notes to a paper."}
}

// aside is a cache beside a database.
type aside struct {
	name string
	get  func(ctx context.Context, key string, n int64) (profile, error)
	drop func(ctx context.Context, key string) error
}

const (
	warm    = 1000 // keys that are cached
	life    = time.Hour
	localAs = 64 << 20 // bytes of a cache in the process, where it is bounded by bytes
)

// compareCaches measures a hit, a miss, an invalidation with the load after it, and a hit in the process.
func compareCaches(ctx context.Context, o options) error {
	remote, err := remotes(o)
	if err != nil {
		return err
	}
	local, err := locals(o)
	if err != nil {
		return err
	}
	tracked, err := trackedAside(o)
	if err != nil {
		return err
	}
	// It always keeps a copy in the process: a hit is one there, while a miss and an invalidation reach Redis.
	local, reaching := append(local, tracked), append(slices.Clone(remote), tracked)
	for _, a := range append(remote, local...) {
		for n := range int64(warm) {
			if got, err := a.get(ctx, hot(n), n); err != nil || got.Name != load(n).Name {
				return fmt.Errorf("%s: %+v, %w", a.name, got, err)
			}
		}
	}
	return measure(ctx, o, []figure{
		of("hit", remote, func(ctx context.Context, a aside, n int64) error {
			_, err := a.get(ctx, hot(n), n)
			return err
		}),
		of("miss: load, and keep", reaching, func(ctx context.Context, a aside, n int64) error {
			_, err := a.get(ctx, "cold"+strconv.FormatInt(n, 10), n)
			return err
		}),
		of("invalidate, and load again", reaching, func(ctx context.Context, a aside, n int64) error {
			if err := a.drop(ctx, hot(n)); err != nil {
				return err
			}
			_, err := a.get(ctx, hot(n), n)
			return err
		}),
		of("hit in the process", local, func(ctx context.Context, a aside, n int64) error {
			_, err := a.get(ctx, hot(n), n)
			return err
		}),
	})
}

func hot(n int64) string { return "hot" + strconv.FormatInt(n%warm, 10) }

func of(name string, asides []aside, do func(ctx context.Context, a aside, n int64) error) figure {
	f := figure{name: name}
	for _, a := range asides {
		f.ways = append(f.ways, way{a.name, func(ctx context.Context, n int64) error { return do(ctx, a, n) }})
	}
	return f
}

// remotes keep nothing in the process.
func remotes(o options) ([]aside, error) {
	ours, err := afterwriteValues(o, "remote", schema.L1{})
	if err != nil {
		return nil, err
	}
	rocks := rockscache.NewClient(redis.NewClient(o.redis), rockscache.NewDefaultOptions())
	plain := redisaside.New(&redisaside.Options{Redis: redis.NewClient(o.redis), Marshal: json.Marshal,
		Unmarshal: json.Unmarshal})
	eko := gocache.New[string](gocacheredis.NewRedis(redis.NewClient(o.redis), gostore.WithExpiration(life)))
	return []aside{
		ours,
		{"rockscache", func(ctx context.Context, key string, n int64) (profile, error) {
			text, err := rocks.Fetch2(ctx, "compare:rocks:"+key, life, func() (string, error) {
				text, err := json.Marshal(load(n))
				return string(text), err
			})
			return parsed(text, err)
		}, func(ctx context.Context, key string) error { return rocks.TagAsDeleted2(ctx, "compare:rocks:"+key) }},
		{"go-redis/cache", onceOf(plain, "compare:goredis:"), func(ctx context.Context, key string) error {
			return plain.Delete(ctx, "compare:goredis:"+key)
		}},
		{"eko/gocache", func(ctx context.Context, key string, n int64) (profile, error) {
			text, err := eko.Get(ctx, "compare:eko:"+key)
			if err == nil || !errors.Is(err, gostore.NotFound{}) && !errors.Is(err, redis.Nil) {
				return parsed(text, err)
			}
			p := load(n)
			made, err := json.Marshal(p)
			if err != nil {
				return p, err
			}
			return p, eko.Set(ctx, "compare:eko:"+key, string(made))
		}, func(ctx context.Context, key string) error { return eko.Delete(ctx, "compare:eko:"+key) }},
	}, nil
}

// locals keep values in the process, too.
func locals(o options) ([]aside, error) {
	ours, err := afterwriteValues(o, "local", schema.L1{Bytes: localAs})
	if err != nil {
		return nil, err
	}
	tracked, err := rueidis.NewClient(rueidisOptions(o))
	if err != nil {
		return nil, err
	}
	tiny := redisaside.New(&redisaside.Options{Redis: redis.NewClient(o.redis), Marshal: json.Marshal,
		Unmarshal: json.Unmarshal, LocalCache: redisaside.NewTinyLFU(10*warm, life)})
	return []aside{
		ours,
		{"rueidis, client-side caching", func(ctx context.Context, key string, n int64) (profile, error) {
			key = "compare:rueidis:" + key
			text, err := tracked.DoCache(ctx, tracked.B().Get().Key(key).Cache(), life).ToString()
			if !rueidis.IsRedisNil(err) {
				return parsed(text, err)
			}
			p := load(n)
			made, err := json.Marshal(p)
			if err != nil {
				return p, err
			}
			return p, tracked.Do(ctx, tracked.B().Set().Key(key).Value(string(made)).Ex(life).Build()).Error()
		}, nil},
		{"go-redis/cache with TinyLFU", onceOf(tiny, "compare:tiny:"), nil},
	}, nil
}

// trackedAside is rueidisaside, whose copies in the process Redis invalidates.
func trackedAside(o options) (aside, error) {
	c, err := rueidisaside.NewClient(rueidisaside.ClientOption{ClientOption: rueidisOptions(o)})
	return aside{"rueidisaside", func(ctx context.Context, key string, n int64) (profile, error) {
		return parsed(c.Get(ctx, life, "compare:aside:"+key, func(context.Context, string) (string, error) {
			text, err := json.Marshal(load(n))
			return string(text), err
		}))
	}, func(ctx context.Context, key string) error { return c.Del(ctx, "compare:aside:"+key) }}, err
}

func rueidisOptions(o options) rueidis.ClientOption {
	network := "tcp"
	if o.redis.Network == "unix" {
		network = "unix"
	}
	return rueidis.ClientOption{InitAddress: []string{o.redis.Addr}, SelectDB: o.redis.DB, Username: o.redis.Username,
		Password: o.redis.Password, CacheSizeEachConn: localAs, DialCtxFn: dialer(network)}
}

func onceOf(c *redisaside.Cache, prefix string) func(context.Context, string, int64) (profile, error) {
	return func(ctx context.Context, key string, n int64) (p profile, err error) {
		err = c.Once(&redisaside.Item{Ctx: ctx, Key: prefix + key, TTL: life, Value: &p,
			Do: func(*redisaside.Item) (any, error) { return load(n), nil }})
		return p, err
	}
}

func parsed(text string, err error) (p profile, _ error) {
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal([]byte(text), &p)
}

func afterwriteValues(o options, group string, l1 schema.L1) (aside, error) {
	c, err := cache.New(cache.Config{Redis: redis.NewClient(o.redis), Prefix: "compare",
		Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return aside{}, err
	}
	policy := values.Policy{Group: group, TTL: life, CompressAbove: -1, L1: l1}
	kept, err := values.New(c, policy, values.JSON[profile]{})
	return aside{"afterwrite", func(ctx context.Context, key string, n int64) (profile, error) {
		return kept.Load(ctx, key, func(context.Context) (profile, error) { return load(n), nil })
	}, func(ctx context.Context, key string) error {
		_, err := kept.Delete(ctx, key)
		return err
	}}, err
}
