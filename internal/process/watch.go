package process

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
)

// watchTick is how often a process that serves looks at whether Redis is still what it
// was when the process started, or worker.poll_interval where that is longer: commands
// may be paid for.
const watchTick = 10 * time.Second

// markTick is how often it looks at whether Redis went back to an older state of itself,
// with the same exception: what is older by less may go unseen.
const markTick = time.Second

// Watch looks after Redis until ctx ends: an operator may empty it, restart it without its
// file or let it evict. Nothing can be fixed here, but it must not go unsaid.
func (p *Parts) Watch(ctx context.Context) error {
	tick := time.NewTicker(max(watchTick, p.Config.Worker.PollInterval))
	defer tick.Stop()
	marks := time.NewTicker(max(markTick, p.Config.Worker.PollInterval))
	defer marks.Stop()
	mark := p.Fleet.NewMark()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTick)
		defer cancel()
		_ = mark.Leave(ctx) // it is pruned otherwise
	}()
	var letters sync.WaitGroup
	letters.Go(func() { p.keepLetters(ctx) })
	defer letters.Wait()
	unsafe, id := false, fleet.NewID()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-marks.C:
			p.watchPairing(ctx, false)
			if p.Unpaired() == nil && p.held.Life != "" {
				p.answerInUse(ctx, p.held, id)
			}
			p.watchMark(ctx, mark)
			p.takeJob(ctx)
			continue
		case <-p.flushed:
			p.watchPairing(ctx, true)
			continue
		case <-tick.C:
		}
		p.watchPairing(ctx, true)
		unsafe = p.watchSafety(ctx, unsafe)
		p.countLosses(ctx)
		p.ageChanges(ctx)
		_, changed, err := p.Cache.Readopt(ctx, p.Config.Entities)
		for _, e := range changed {
			p.Log.Error("another process has changed the number of partitions: this one's writes are refused and it flushes nothing new; restart it with the same configuration",
				"entity", e.Name, "partitions_here", e.Partitions)
		}
		if err != nil {
			p.Log.Debug("looking after Redis failed", "error", err)
		}
	}
}

// lettersEvery is the time between two looks for dead letters that the database has lost.
const lettersEvery = time.Minute

// keepLetters restores the dead letters that the database has lost, until ctx ends, if this process runs bulk
// actions: one process at a time, the first soon after its start. If that process is killed, another takes its place
// within a minute.
func (p *Parts) keepLetters(ctx context.Context) {
	const lease = "letters"
	id, wait := fleet.NewID(), time.NewTimer(watchTick/5)
	defer wait.Stop()
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), markTick)
		defer cancel()
		_ = p.Fleet.Resign(end, lease, id) // else the lease ends by itself
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-wait.C:
		}
		wait.Reset(max(watchTick, p.Config.Worker.PollInterval))
		jobs := p.jobs.Load()
		if jobs == nil || p.Unpaired() != nil {
			continue
		}
		leads, err := p.Fleet.Lead(ctx, lease, id, lettersEvery-watchTick)
		if err != nil || !leads {
			continue
		}
		wait.Reset(max(lettersEvery, p.Config.Worker.PollInterval))
		n, err := jobs.Operator.Recover(ctx, "", operate.Keeper)
		if n > 0 {
			p.Log.Warn("dead letters that the database had lost were restored from Redis", "letters", n)
		}
		if err != nil {
			p.Log.Debug("looking for lost dead letters failed", "error", err)
		}
	}
}

// takeJob goes on with a bulk action whose process has ended, if this process runs some.
func (p *Parts) takeJob(ctx context.Context) {
	jobs := p.jobs.Load()
	if jobs == nil || p.Unpaired() != nil {
		return
	}
	if err := jobs.Take(ctx); err != nil {
		p.Log.Debug("looking for bulk actions failed", "error", err)
	}
}

// KeepJobs goes on with bulk actions whose processes have ended, until ctx ends, in a program that does not Watch.
func (p *Parts) KeepJobs(ctx context.Context) {
	tick := time.NewTicker(max(markTick, p.Config.Worker.PollInterval))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.takeJob(ctx)
		}
	}
}

// watchPairing looks whether Redis and the database still belong together. The database is
// read too where it is asked for, and wherever Redis is not what it was.
func (p *Parts) watchPairing(ctx context.Context, both bool) {
	held, err := p.Cache.Pairing(ctx)
	if err != nil {
		p.Log.Debug("the pairing was not read", "error", err)
		return
	}
	if !both && held == p.held && p.Unpaired() == nil {
		return
	}
	before := p.Unpaired()
	err = p.CheckPairing(ctx)
	switch {
	case err == nil:
		p.held, err = p.Cache.Pairing(ctx)
	case errors.Is(err, schema.ErrUnpaired) && before == nil:
		p.Log.Error("nothing is accepted or flushed any more", "error", err)
	}
	if err != nil {
		p.Log.Debug("the pairing was not compared", "error", err)
	}
}

// watchMark tells that Redis went back to an older state of itself, and drops what is cached
// of persisted records: the rows may be newer, and the next write of a field would put the
// others back. Each step that fails is repeated at the next mark.
func (p *Parts) watchMark(ctx context.Context, mark *fleet.Mark) {
	wentBack, err := mark.Renew(ctx)
	if err != nil {
		p.Log.Debug("looking whether Redis went back failed", "error", err)
	}
	switch {
	case wentBack:
		if len(p.older) == 0 {
			p.lostLife = p.markLife
		}
		p.Log.Error("Redis went back to an older state of itself: writes that it had accepted since are gone where they were not persisted; cached records are dropped")
		p.older = p.Config.Entities
		p.foundOlder()
	case err == nil && len(p.older) == 0:
		p.markLife = p.held.Life
	}
	for len(p.older) > 0 && ctx.Err() == nil {
		e := p.older[0]
		dropped, err := p.Cache.InvalidateMatch(ctx, e, "*", nil)
		if err == nil && len(p.older) == 1 {
			err = p.noteOlder(ctx, p.lostLife, p.Config.Entities)
		}
		if err != nil {
			p.Log.Warn("cached records not dropped yet, though Redis went back", "entity", e.Name, "error", err)
			return
		}
		p.older = p.older[1:]
		p.Log.Info("cached records dropped, because Redis went back", "entity", e.Name, "records", dropped)
	}
}

// watchSafety tells once that Redis began to be allowed to evict accepted writes, or its
// user to lack rights.
func (p *Parts) watchSafety(ctx context.Context, unsafe bool) bool {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	_, err := p.Inspect.Check(ctx)
	if err != nil && !inspect.Unsafe(err) {
		return unsafe // it does not answer, which is said elsewhere
	}
	if err != nil && !unsafe {
		p.Log.Error("accepted writes are no longer safe", "error", err)
	}
	return err != nil
}
