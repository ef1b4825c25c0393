package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	_ "github.com/afterwrite/afterwrite/store/sqlite" // sqlite:// URLs
)

// Prefix begins every key of a run.
const Prefix = "awbench"

// Names of the entities of a run.
const (
	entityName = "bench"
	hotName    = "bench_hot"
	localName  = "bench_local"
)

const columns = `    id: {type: string, max: 64}
    fields:
      name: {type: string, max: 1000}
      email: {type: string, max: 1000}
      age: {type: int}
      visits: {type: int}
      active: {type: bool}
      note: {type: text}
`

// Configuration holds the entities of a run, and limits that a run does not reach, as a configuration file.
const Configuration = `
redis: {prefix: ` + Prefix + `}
entities:
  ` + entityName + `:
    table: bench_afterwrite
` + columns + `    flush: {max_pending: 100000000}
  ` + hotName + `:
    table: bench_afterwrite_hot
` + columns + `    flush: {delay: 1s, max_pending: 100000000}
  ` + localName + `:
    table: bench_afterwrite_local
` + columns + `    cache: {l1: {bytes: 256MiB, age: 60s}}
`

// place is the Redis and the database of a run, with the clients that the ways use.
type place struct {
	config   *config.Config
	entity   *schema.Entity
	hot      *schema.Entity // delays its flushes
	local    *schema.Entity // has an L1
	redis    redis.UniversalClient
	database *gorm.DB // for the other ways
	plain    *gorm.DB // the same with gorm's default settings
	store    *store.Store
	cache    *cache.Cache
	pending  *pending.Backlog
	producer *producer.Producer // orders flushes
	silent   *producer.Producer // orders no flushes
	closers  []func() error
}

func newPlace(ctx context.Context, c *config.Config) (*place, error) {
	p := &place{config: c}
	if err := p.open(ctx); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *place) open(ctx context.Context) error {
	for name, at := range map[string]**schema.Entity{entityName: &p.entity, hotName: &p.hot, localName: &p.local} {
		e, ok := p.config.Entity(name)
		if !ok {
			return fmt.Errorf("the configuration has no entity %s", name)
		}
		*at = e
	}
	var err error
	if p.redis, err = connect(p.config.Redis.URL, 0); err != nil {
		return err
	}
	if err := p.redis.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	if p.database, err = openDatabase(p.config.Database.URL, true); err != nil {
		return err
	}
	if p.plain, err = openDatabase(p.config.Database.URL, false); err != nil {
		return err
	}
	if err := p.openAfterwrite(ctx); err != nil {
		return err
	}
	if err := p.database.WithContext(ctx).AutoMigrate(&row{}); err != nil {
		return fmt.Errorf("make a table: %w", err)
	}
	return p.clean(ctx)
}

// connect returns a client with that many connections; 0 is the library's default.
func connect(url string, connections int) (redis.UniversalClient, error) {
	o, err := rdb.ParseURL(url)
	if err != nil {
		return nil, err
	}
	o.PoolSize = connections
	return redis.NewUniversalClient(o), nil
}

func (p *place) openAfterwrite(ctx context.Context) error {
	c, entities := p.config, p.config.Entities
	var err error
	p.store, err = store.Open(store.Config{URL: c.Database.URL, MaxOpen: c.Database.MaxOpen,
		MaxIdle: c.Database.MaxIdle}, entities)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, p.store.Close)
	if _, err := p.store.Migrate(ctx, false); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	if p.cache, err = cache.New(cache.Config{URL: c.Redis.URL, Prefix: c.Redis.Prefix, Loader: p.store,
		Timeout: c.Redis.Timeout}); err != nil {
		return err
	}
	p.closers = append(p.closers, p.cache.Close)
	p.pending = pending.New(p.cache.Redis(), p.cache.Prefix(), pending.Config{Changed: p.cache})
	orders, err := queue.NewClient(c.QueueURL(), c.Redis.Prefix)
	if err != nil {
		return err
	}
	p.closers = append(p.closers, orders.Close)
	if p.producer, err = producer.New(producer.Config{Entities: entities, Cache: p.cache, Loader: p.store,
		Queue: orders}); err != nil {
		return err
	}
	p.closers = append(p.closers, p.producer.Close)
	if p.silent, err = producer.New(producer.Config{Entities: entities, Cache: p.cache, Loader: p.store}); err != nil {
		return err
	}
	p.closers = append(p.closers, p.silent.Close)
	return nil
}

// clean restores the place to its state at the beginning of the run, and waits until Redis has freed the memory: Redis
// does so in the background, which would slow the next turn.
func (p *place) clean(ctx context.Context) error {
	// A worker that runs on flushes nothing without what pairs its Redis with its database.
	if err := p.wipe(ctx, layout.Prefix(Prefix).Shared("pairing")); err != nil {
		return err
	}
	for _, e := range p.config.Entities {
		if err := p.cache.Adopt(ctx, e); err != nil {
			return err
		}
	}
	return p.until(ctx, time.Minute, func() (bool, error) {
		info, err := p.redis.InfoMap(ctx, "memory").Result()
		return info["Memory"]["lazyfree_pending_objects"] == "0", err
	})
}

// wipe removes every row of the run, and every key but that one.
func (p *place) wipe(ctx context.Context, but string) error {
	for _, pattern := range []string{Prefix + ":*", "asynq:{" + Prefix + "*"} {
		if err := p.unlink(ctx, pattern, but); err != nil {
			return err
		}
	}
	for _, table := range p.tables() {
		if err := p.empty(ctx, table); err != nil {
			return err
		}
	}
	// With the notes of the last flushes gone from Redis, their fences would tell of an older one.
	return p.database.WithContext(ctx).Exec("DELETE FROM afterwrite_fences WHERE entity IN ?", p.names()).Error
}

func (p *place) names() (names []string) {
	for _, e := range p.config.Entities {
		names = append(names, e.Name)
	}
	return names
}

func (p *place) unlink(ctx context.Context, pattern, but string) error {
	scan := p.redis.Scan(ctx, 0, pattern, 5000).Iterator()
	var keys []string
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		err := p.redis.Unlink(ctx, keys...).Err()
		keys = keys[:0]
		return err
	}
	for scan.Next(ctx) {
		if scan.Val() == but {
			continue
		}
		if keys = append(keys, scan.Val()); len(keys) == 1000 {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return errors.Join(scan.Err(), flush())
}

func (p *place) tables() []any {
	return []any{p.entity.Table, p.hot.Table, p.local.Table, row{}.TableName()}
}

func (p *place) empty(ctx context.Context, table any) error {
	statement := fmt.Sprint("DELETE FROM ", table)
	if p.database.Dialector.Name() == "postgres" {
		statement = fmt.Sprint("TRUNCATE ", table)
	}
	if err := p.database.WithContext(ctx).Exec(statement).Error; err != nil {
		return fmt.Errorf("empty %v: %w", table, err)
	}
	return nil
}

// until calls yes repeatedly until it returns true.
func (*place) until(ctx context.Context, atMost time.Duration, yes func() (bool, error)) error {
	deadline := time.Now().Add(atMost)
	for {
		ok, err := yes()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not done after %s", atMost)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// close removes everything that the run created and closes the connections.
func (p *place) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, end := range slices.Backward(p.closers) { // before the wipe: a cache that listens writes that to Redis
		_ = end()
	}
	if p.silent != nil {
		_ = p.wipe(ctx, "")
		_ = p.database.WithContext(ctx).Migrator().DropTable(p.tables()...)
	}
	for _, database := range []*gorm.DB{p.database, p.plain} {
		if database == nil {
			continue
		}
		if db, err := database.DB(); err == nil {
			_ = db.Close()
		}
	}
	if p.redis != nil {
		_ = p.redis.Close()
	}
}

// machine describes what this run is measured on.
func (p *place) machine(ctx context.Context) (Machine, error) {
	m := Machine{CPUs: runtime.NumCPU(), System: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version(), CPU: cpu()}
	info, err := p.redis.InfoMap(ctx, "server").Result()
	if err != nil {
		return m, fmt.Errorf("redis: %w", err)
	}
	m.Redis = info["Server"]["redis_version"]
	m.Settings = map[string]string{}
	for _, name := range []string{"appendonly", "appendfsync", "maxmemory-policy", "hash-max-listpack-value",
		"io-threads"} {
		values, _ := p.redis.ConfigGet(ctx, name).Result() // some providers forbid it
		m.Settings[name] = values[name]
	}
	question := "SELECT sqlite_version()"
	if p.database.Dialector.Name() == "postgres" {
		question = "SELECT current_setting('server_version')"
	}
	if p.database.Dialector.Name() == "mysql" {
		question = "SELECT version()"
	}
	err = p.database.WithContext(ctx).Raw(question).Row().Scan(&m.Database)
	m.Database = p.database.Dialector.Name() + " " + m.Database
	return m, err
}

// cpu and load return what Linux reports about the machine, "" elsewhere.
func cpu() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, ok := strings.CutPrefix(line, "model name"); ok {
			return strings.TrimSpace(strings.TrimLeft(name, " \t:"))
		}
	}
	return ""
}

func load() string {
	text, _ := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// spent is the processor time used by the callers' process and by Redis. Other activity on the machine affects it less
// than wall-clock time.
type spent struct{ here, redis time.Duration }

func (p *place) spent(ctx context.Context) (s spent, err error) {
	var own syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &own); err != nil {
		return s, fmt.Errorf("processor time: %w", err)
	}
	s.here = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	info, err := p.redis.InfoMap(ctx, "cpu").Result()
	for _, name := range []string{"used_cpu_sys", "used_cpu_user"} {
		seconds, _ := strconv.ParseFloat(info["CPU"][name], 64)
		s.redis += time.Duration(seconds * float64(time.Second))
	}
	return s, err
}

// processor returns the processor time that a process has used.
func processor(pid int) time.Duration {
	const ticks = 100 // per second, on every Linux that Go supports
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	_, after, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(after)
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.ParseInt(fields[11], 10, 64)
	system, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * time.Second / ticks
}

// resident returns the memory of a process in MB: now, and at its peak. Both are 0 if the system does not report them.
func resident(pid int) (now, peak float64) {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmRSS:":
			now = kb / 1024
		case "VmHWM:":
			peak = kb / 1024
		}
	}
	return now, peak
}
