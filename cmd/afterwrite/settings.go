package main

import (
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// errConfig marks a configuration that cannot be used, which is exit code 2.
var errConfig = errors.New("configuration")

// settings loads the configuration that the flag, the environment or the working
// directory names.
func (a *app) settings() (*config.Config, error) {
	path, err := config.Locate(a.configFile, a.env)
	if errors.Is(err, config.ErrNoFile) {
		return nil, fmt.Errorf("%w: there is no ./%s and neither --config nor $%s names a file; `afterwrite config example > %s` makes one",
			errConfig, config.DefaultFile, config.EnvFile, config.DefaultFile)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	c, err := config.Load(path, a.env)
	if err != nil && !errors.Is(err, config.ErrInvalid) {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
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
	if _, err := cache.ParseURL(c.Redis.URL); err != nil {
		faults = append(faults, c.Fault("redis.url", err))
	}
	if _, err := cache.ParseURL(c.QueueURL()); err != nil && c.Queue.RedisURL != "" {
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

// errDashboardExposed refuses to show the pages to other machines without a login.
func errDashboardExposed(c *config.Config) error {
	if c.API.Insecure || loopback(c.Dashboard.Addr) || asksWho(c.Dashboard) {
		return nil
	}
	return fmt.Errorf("%w: dashboard.addr %s can be reached from other machines and asks nobody who they are; "+
		"set it to 127.0.0.1, name dashboard.users (`afterwrite dashboard hash` makes their hashes), "+
		"or set api.insecure: true (AFTERWRITE_API_INSECURE=true) where something in front of it asks",
		errConfig, c.Dashboard.Addr)
}

// asksWho reports whether the dashboard lets in nobody whom it does not know.
func asksWho(d config.Dashboard) bool { return len(d.Users) > 0 || d.ProxyHeader != "" }

// loopback reports whether only this machine reaches an address.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// variableOf is the environment variable of a setting.
func variableOf(path string) string {
	return config.EnvPrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}
