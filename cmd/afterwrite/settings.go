package main

import (
	"errors"
	"fmt"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/process"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// parts are the pieces of a process, with what the commands do with them.
type parts struct{ *process.Parts }

// joined reads the configuration and joins the parts. Close them.
func (a *app) joined() (*parts, error) {
	c, err := a.settings()
	if err != nil {
		return nil, err
	}
	return a.join(c)
}

// join makes the cache and the store, which every command needs. Close the parts.
func (a *app) join(c *config.Config) (*parts, error) {
	p, err := process.Join(c, thisBuild().Version, a.log)
	if err != nil {
		return nil, err
	}
	return &parts{p}, nil
}

// settings loads the configuration that the flag, the environment or the working
// directory names.
func (a *app) settings() (*config.Config, error) {
	path, err := config.Locate(a.configFile, a.env)
	if errors.Is(err, config.ErrNoFile) {
		return nil, fmt.Errorf("%w: there is no ./%s and neither --config nor $%s names a file; `afterwrite config example > %s` makes one",
			process.ErrConfig, config.DefaultFile, config.EnvFile, config.DefaultFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", process.ErrConfig, err)
	}
	c, err := config.Load(path, a.env)
	if err != nil && !errors.Is(err, config.ErrInvalid) {
		return nil, fmt.Errorf("%w: %w", process.ErrConfig, err)
	}
	if err == nil {
		err = checkURLs(c)
	}
	return c, err
}

// checkURLs reports an address that is well formed but that nothing can be opened with.
// Nothing is opened here.
func checkURLs(c *config.Config) error {
	var faults []error
	if _, err := rdb.ParseURL(c.Redis.URL); err != nil {
		faults = append(faults, c.Fault("redis.url", err))
	}
	if _, err := rdb.ParseURL(c.QueueURL()); err != nil && c.Queue.RedisURL != "" {
		faults = append(faults, c.Fault("queue.redis_url", err))
	}
	if err := store.CheckURL(c.Database.URL); err != nil {
		faults = append(faults, c.Fault("database.url", err))
	}
	return errors.Join(faults...)
}

// chosen returns the entity of that name, or every entity for no name.
func chosen(c *config.Config, names []string) ([]*schema.Entity, error) {
	if len(names) == 0 {
		return c.Entities, nil
	}
	e, ok := c.Entity(names[0])
	if !ok {
		known := make([]string, len(c.Entities))
		for i, e := range c.Entities {
			known[i] = e.Name
		}
		return nil, usagef("no entity %q in %s; there are %v", names[0], c.File, known)
	}
	return []*schema.Entity{e}, nil
}
