package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/survey"
)

// startRetry is the time between two rounds of start checks.
const startRetry = time.Second

// StartTimeout bounds one check at the start.
const StartTimeout = 10 * time.Second

// ErrNotMigrated reports missing tables or columns.
var ErrNotMigrated = errors.New("the database is not up to date: run `afterwrite migrate`")

// CheckRedis refuses a Redis that may evict accepted writes and a number of partitions
// that other processes do not share.
func (p *Parts) CheckRedis(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	if p.over.InProcess {
		return p.AdoptCache(ctx)
	}
	health, err := p.Inspect.Check(ctx)
	for _, w := range health.Warnings {
		p.Log.Warn(w.Text, "hint", w.Hint)
	}
	if err != nil {
		return err
	}
	if err := p.AdoptCache(ctx); err != nil {
		return err
	}
	return p.warnOfStrangers(ctx)
}

// warnOfStrangers tells of accepted writes that no process of this configuration flushes.
func (p *Parts) warnOfStrangers(ctx context.Context) error {
	strangers, err := p.Pending.Strangers(ctx, p.Config.Entities)
	for _, e := range strangers {
		p.Log.Warn("records wait for the database, but the configuration does not name their entity: nothing here flushes them", "entity", e.Name)
	}
	return err
}

// AdoptCache checks and notes the entities' numbers of partitions in Redis.
func (p *Parts) AdoptCache(ctx context.Context) error {
	for _, e := range p.Config.Entities {
		p.Pending.Declare(e)
		if err := p.Cache.Adopt(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// CheckDatabase refuses a database without the entities' tables. It runs after
// CheckRedis, which has made sure that nothing is pending where the number of
// partitions has changed. It may take a second longer for each entity, whose table's
// catalog it reads more than once.
func (p *Parts) CheckDatabase(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout+time.Duration(len(p.Config.Entities))*time.Second)
	defer cancel()
	if err := p.Store.Ping(ctx); err != nil {
		return err
	}
	outstanding, err := p.Store.Outstanding(ctx)
	if err != nil {
		return err
	}
	if len(outstanding) > 0 {
		// Before the advice to migrate: it may be another's database.
		if err := p.Paired(ctx); errors.Is(err, schema.ErrUnpaired) {
			return err
		}
		return fmt.Errorf("%w (first of %s: %s)", ErrNotMigrated, steps(len(outstanding)), outstanding[0])
	}
	if err := p.Store.CheckPool(ctx); err != nil {
		return err
	}
	unseen, err := survey.Of(p.Store.Store).Unseen(ctx)
	if err != nil {
		return err
	}
	for _, line := range unseen {
		p.Log.Warn("a trigger changes what no flush can tell", "trigger", line)
	}
	rights, err := survey.Of(p.Store.Store).Rights(ctx)
	if err != nil {
		return err
	}
	for _, line := range rights {
		p.Log.Warn("the database's role lacks rights to a table", "table", line)
	}
	for _, e := range p.Config.Entities {
		stored, err := p.Store.Adopt(ctx, e)
		if err != nil {
			return err
		}
		if stored == e.Partitions {
			continue
		}
		if err := p.Store.SetPartitions(ctx, e); err != nil {
			return err
		}
		p.Log.Warn("number of partitions changed in the database", "entity", e.Name, "from", stored, "to", e.Partitions)
	}
	return nil
}

// SamePartitions refuses to look at an entity with another number of partitions than
// it runs with: ids would be looked for in the wrong places.
func (p *Parts) SamePartitions(ctx context.Context, entities []*schema.Entity) error {
	for _, e := range entities {
		stored, err := p.Store.Adopt(ctx, e)
		if errors.Is(err, fault.ErrNotMigrated) {
			return ErrNotMigrated
		}
		if err != nil {
			return err
		}
		if stored != e.Partitions {
			return fmt.Errorf("%w: entities.%s.partitions is %d, but it runs with %d: %w",
				ErrConfig, e.Name, e.Partitions, stored, schema.ErrPartitionsChanged)
		}
	}
	return nil
}

func steps(n int) string {
	if n == 1 {
		return "1 step"
	}
	return fmt.Sprintf("%d steps", n)
}

// Unreachable reports an error that may be gone at the next try.
func Unreachable(err error) bool {
	return errors.Is(err, schema.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) ||
		(fault.Unavailable(err) && !errors.Is(err, fault.ErrNotMigrated) && !errors.Is(err, fault.ErrPool))
}

// gate says whether the start checks of a process have passed. Its zero value is
// closed.
type gate struct {
	parts *Parts // whose pairing counts, too

	opened atomic.Bool // the checks have passed once

	mu     sync.Mutex // guards the rest
	errs   [checks]error
	passed [checks]bool
	tried  chan struct{} // closed after the first round of checks; nil: nothing waits for it
}

// The start checks, in their order.
const (
	checkRedis = iota
	checkDatabase
	checkPairing
	checks
)

// status returns why Redis and the database cannot be used yet, or no longer, or nil. A
// pairing that is wrong counts as Redis's.
func (g *gate) status() (redis, database error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	why := func(check int) error {
		if g.errs[check] == nil && !g.passed[check] {
			return errStarting
		}
		return g.errs[check]
	}
	redis, database = why(checkRedis), why(checkDatabase)
	if database == nil && !errors.Is(g.errs[checkPairing], schema.ErrUnpaired) {
		database = why(checkPairing)
	}
	if redis == nil && g.parts != nil {
		redis = g.parts.Unpaired()
	}
	return redis, database
}

var errStarting = errors.New("the start checks have not run yet")

// round runs the checks that have not passed and returns the error of the first that fails.
func (g *gate) round(ctx context.Context, run [checks]func(context.Context) error) error {
	for i, check := range run {
		if g.passed[i] {
			continue
		}
		err := check(ctx)
		g.mu.Lock()
		g.passed[i] = err == nil
		g.errs[i] = err
		g.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// open runs the start checks until they have passed. What is refused at the first try
// ends it with an error; a Redis or a database that cannot be reached does not, nor does
// a refusal once the process has been waiting for one: then it stays up, says why it is
// not ready, and goes on when that has been fixed.
func (g *gate) open(ctx context.Context, log *slog.Logger, run [checks]func(context.Context) error) error {
	for first := true; ; first = false {
		err := g.round(ctx, run)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first && !Unreachable(err):
			return fmt.Errorf("not started: %w", err)
		}
		if first && g.tried != nil {
			close(g.tried)
		}
		if err == nil {
			g.opened.Store(true)
			return nil
		}
		log.Error("not ready, trying again", "error", err, "after", startRetry)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(startRetry):
		}
	}
}

// openGate runs the start checks of a process that serves.
func (p *Parts) openGate(ctx context.Context, g *gate) error {
	err := g.open(ctx, p.Log, [checks]func(context.Context) error{p.CheckRedis, p.CheckDatabase, p.CheckPairing})
	if redis, database := g.status(); redis == nil && database == nil {
		p.Log.Info("ready")
	}
	return err
}
