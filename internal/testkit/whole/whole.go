// Package whole joins what the product knows of one Redis, for tests of components that take
// more than the cache.
package whole

import (
	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
)

// Redis is a cache, and what else is kept or read in its Redis.
type Redis struct {
	*cache.Cache
	*events.Bus
	*rank.Ranks
	*pending.Backlog
	*fleet.Fleet
	*inspect.Inspector
}

// Of is what is kept in the Redis of a cache, and under its prefix.
func Of(c *cache.Cache) Redis { return With(c, pending.Config{}) }

// With is Of with a backlog of that configuration; Changed is the cache.
func With(c *cache.Cache, cfg pending.Config) Redis {
	cfg.Changed = c
	return Redis{c, c.Bus(), rank.New(c), pending.New(c.Redis(), c.Prefix(), cfg), fleet.New(c.Redis(), c.Prefix()),
		inspect.New(c.Redis(), c.Prefix())}
}
