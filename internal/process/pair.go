package process

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/fault"
	"github.com/afterwrite/afterwrite/store/ledger"
	"github.com/afterwrite/afterwrite/store/survey"
)

// sides are the two sides of a pairing, and what is known of their past.
type sides struct {
	redis, database schema.Pairing
	// acked names an entity of which Redis has records that a worker persisted though the
	// database has no flush of it; "" where there is none.
	acked string
	// persisted reports that Redis has records that a worker persisted.
	persisted bool
	forgetful bool // Redis keeps nothing when it ends: that it is empty is no loss
}

// Outcomes of a comparison.
type outcome int

const (
	same      outcome = iota // they belong together
	first                    // neither was ever paired, or a first pairing was cut off: pair them
	confirmed                // a first pairing was cut off when Redis had its side
	emptied                  // Redis lost all it had: pair it again, and note the loss
	exchanged                // Redis is another one of this deployment, or went back: note the loss
)

// differ reports that both sides were paired, and not with each other.
func (o outcome) differ() bool { return o == emptied || o == exchanged }

// compare decides what two sides are to each other. The error is ErrUnpaired with the
// reason.
func (s sides) compare() (outcome, error) {
	const choose = "fix redis.url or database.url, or pair the two on purpose with `afterwrite pair`"
	r, d := s.redis, s.database
	switch {
	case r == d && !r.None():
		return same, nil
	case r.None() && d.None():
		if s.acked != "" {
			return 0, fmt.Errorf("%w: Redis has persisted records of %s, but this database has no flush of it; %s",
				schema.ErrUnpaired, s.acked, choose)
		}
		return first, nil
	case d.Life == "" && r.None() && !d.None():
		return first, nil
	case d.Life == "" && r.Deployment == d.Deployment:
		return confirmed, nil
	case d.None():
		return 0, fmt.Errorf("%w: Redis is paired with another database (deployment %s), and this one was never paired; %s",
			schema.ErrUnpaired, r.Deployment, choose)
	case r.None() && s.persisted && !s.forgetful:
		return 0, fmt.Errorf("%w: Redis has persisted records but was never paired, and the database is paired with another Redis "+
			"(deployment %s); %s", schema.ErrUnpaired, d.Deployment, choose)
	case r.None():
		return emptied, nil
	case r.Deployment != d.Deployment:
		return 0, fmt.Errorf("%w: Redis is of deployment %s, the database of deployment %s; %s", schema.ErrUnpaired,
			r.Deployment, d.Deployment, choose)
	}
	return exchanged, nil
}

// Paired compares Redis with the database and pairs nothing. The error is ErrUnpaired
// where commands must not move records between the two.
func (p *Parts) Paired(ctx context.Context) error {
	s, err := p.sides(ctx)
	if err != nil {
		return err
	}
	was, err := s.compare()
	if err != nil || !was.differ() {
		return err
	}
	wait := AskTime
	if end, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(end)/2)
	}
	_, err = p.settled(ctx, &s, wait)
	return err
}

// sides reads both sides, and their past where they differ.
func (p *Parts) sides(ctx context.Context) (s sides, err error) {
	s.forgetful = p.Forgetful
	if s.redis, err = p.Cache.Pairing(ctx); err != nil {
		return s, err
	}
	s.database, err = p.Store.Pairing(ctx, p.Config.Redis.Prefix)
	if errors.Is(err, fault.ErrNotMigrated) && !s.redis.None() {
		err = nil // a database without our tables was never paired
	}
	if err != nil {
		return s, err
	}
	if !s.redis.None() {
		return s, nil
	}
	flushed, err := p.Store.FlushedEntities(ctx)
	if err != nil {
		return s, err
	}
	for _, e := range p.Config.Entities {
		if e.Write != schema.WriteBehind {
			continue // the API persists its records itself
		}
		stats, err := p.Pending.Stats(ctx, e)
		if err != nil {
			return s, err
		}
		if pending.Total(stats).Persisted > 0 {
			s.persisted = true
			if !flushed[e.Name] {
				s.acked = e.Name
			}
		}
	}
	return s, nil
}

// pair makes sure that Redis and the database belong together: it pairs the two where
// neither was paired before, and notes a loss where Redis was emptied, exchanged or put
// back. Else the error is ErrUnpaired. Any number of processes may pair at once.
func (p *Parts) pair(ctx context.Context) error {
	s, err := p.sides(ctx)
	if err != nil {
		return err
	}
	was, err := s.compare()
	if err == nil && was.differ() {
		was, err = p.settled(ctx, &s, askTicks*max(markTick, p.Config.Worker.PollInterval))
	}
	if err == nil && was == same {
		p.seen.Store(true)
	}
	if err != nil || was == same {
		return err
	}
	if was == exchanged {
		// Before the pairing says that all is well: a crash in between repeats it.
		if err := p.dropCached(ctx); err != nil {
			return err
		}
	}
	flushed, err := p.Store.FlushedEntities(ctx)
	if err != nil {
		return err
	}
	var losses []ledger.Loss
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	err = p.Store.Pair(ctx, p.Config.Redis.Prefix, func(ctx context.Context, stored schema.Pairing) (ledger.Pairs,
		error) {
		now := s
		now.database = stored
		var err error
		if now.redis, err = p.Cache.Pairing(ctx); err != nil {
			return ledger.Pairs{}, err
		}
		switch again, err := now.compare(); {
		case err != nil:
			return ledger.Pairs{}, err
		case again == same:
			return ledger.Pairs{With: stored}, nil
		case again != was:
			return ledger.Pairs{}, errChanged
		}
		to, err := p.pairOnce(ctx, was, now)
		if err != nil {
			return ledger.Pairs{}, err
		}
		losses = p.lossesOf(was, to.Life, flushed)
		return ledger.Pairs{With: to, Losses: losses}, nil
	})
	if err != nil {
		return err
	}
	if was == first && s.database.None() {
		return p.pair(ctx) // the database has its side, now Redis gets its own
	}
	p.seen.Store(true)
	for _, l := range losses {
		if was == emptied {
			p.Log.Error("Redis has lost its state: what was accepted and not yet persisted is gone", "entity", l.Entity)
		} else {
			p.Log.Error("Redis is another one, or went back: what it lacks and was not yet persisted is gone", "entity",
				l.Entity)
		}
	}
	return nil
}

// askTicks is how many looks of the processes that serve a starting process waits for their answer, and AskTime how
// long that is.
const (
	askTicks = 5
	AskTime  = askTicks * markTick
)

// settled compares two sides that differ again. It makes sure that no process uses the Redis that the database is
// paired with, before a process that has not seen its own Redis paired yet takes the database for it. An empty Redis,
// or one of another life, was emptied or exchanged, or it is not that of the processes that serve: redis.url is wrong.
// Both sides would write the same rows, and each would take the flushes of the other for those of a newer state of its
// own Redis, and drop what it had accepted. The processes that serve answer at their next look. A process that has seen
// its Redis paired does not ask: that Redis was emptied or exchanged since.
func (p *Parts) settled(ctx context.Context, s *sides, wait time.Duration) (was outcome, err error) {
	if was, err = p.look(ctx, s); err != nil || !was.differ() {
		return was, err
	}
	life := s.database.Life
	if p.Forgetful || p.seen.Load() || life == "" {
		return was, nil
	}
	switch process, err := p.UserOf(ctx, life, wait); {
	case err != nil:
		return 0, err
	case process != "":
		return 0, fmt.Errorf("%w: this Redis is empty or another one, and %s writes to the database from the Redis that belongs to it; "+
			"fix redis.url, or, if this Redis is to replace that one, first end all processes that use that one",
			schema.ErrUnpaired, process)
	}
	return p.look(ctx, s)
}

// UserOf asks the processes that serve whether they use the Redis of a life, and returns the first that answers within
// the time; "" if none does, or if another process pairs the database meanwhile.
func (p *Parts) UserOf(ctx context.Context, life string, wait time.Duration) (process string, err error) {
	name := p.Config.Redis.Prefix
	if err := p.Store.AskInUse(ctx, name, life); err != nil {
		return "", err
	}
	for end := time.Now().Add(wait); process == "" && time.Now().Before(end); {
		if err := rdb.Sleep(ctx, markTick/10); err != nil {
			return "", err
		}
		if process, _, err = p.Store.InUse(ctx, name, life); err != nil {
			return "", err
		}
		if stored, err := p.Store.Pairing(ctx, name); err != nil || stored.Life != life {
			return "", err
		}
	}
	return process, nil
}

// look compares the two sides while no process pairs them: one that does gives Redis its side before the database, and
// a side that is read before and one that is read after it differ.
func (p *Parts) look(ctx context.Context, s *sides) (was outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	err = p.Store.Pair(ctx, p.Config.Redis.Prefix, func(ctx context.Context, stored schema.Pairing) (ledger.Pairs,
		error) {
		var err error
		s.database = stored
		if s.redis, err = p.Cache.Pairing(ctx); err == nil {
			was, err = s.compare()
		}
		return ledger.Pairs{With: stored}, err
	})
	return was, err
}

// answerInUse answers a process that asks whether the Redis of a pairing is in use, if this process still reads it.
func (p *Parts) answerInUse(ctx context.Context, held schema.Pairing, process string) {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	name := p.Config.Redis.Prefix
	_, asked, err := p.Store.InUse(ctx, name, held.Life)
	if err == nil && asked {
		var now schema.Pairing // since the question
		if now, err = p.Cache.Pairing(ctx); err == nil && now == held {
			err = p.Store.AnswerInUse(ctx, name, held.Life, process)
		}
	}
	if err != nil {
		p.Log.Debug("whether a process asks for this Redis was not read", "error", err)
	}
}

// errChanged reports that another process paired while this one decided: decide again.
var errChanged = fmt.Errorf("%w: the pairing has changed meanwhile", schema.ErrUnavailable)

// pairOnce takes the next step of a pairing and returns the database's side. A first
// pairing goes by two: the database has its deployment before Redis does, so that one cut
// off in between goes on, and is not taken for a Redis that belongs elsewhere.
func (p *Parts) pairOnce(ctx context.Context, was outcome, s sides) (schema.Pairing, error) {
	switch {
	case was == confirmed:
		return s.redis, nil
	case was == first && s.database.None():
		return schema.Pairing{Deployment: rand.Text()}, nil
	}
	// Each loss gets a life of its own: an old copy of Redis can be put back twice.
	to := schema.Pairing{Deployment: s.database.Deployment, Life: rand.Text()}
	paired, err := p.Cache.Pair(ctx, s.redis, to)
	if err == nil && !paired {
		err = errChanged
	}
	return to, err
}

// lossesOf are the losses of an outcome: of each entity that was ever flushed. Of another
// nothing was accepted, or it cannot be known.
func (p *Parts) lossesOf(was outcome, life string, flushed map[string]bool) []ledger.Loss {
	why := map[outcome]string{
		emptied:   "Redis knew nothing of the entity: it was emptied, restored or exchanged",
		exchanged: "Redis was exchanged, or an old copy of its files was put back",
	}[was]
	if why == "" || p.Forgetful {
		return nil
	}
	var losses []ledger.Loss
	for _, e := range p.Config.Entities {
		if flushed[e.Name] {
			losses = append(losses, ledger.Loss{Entity: e.Name, Life: life, Why: why})
		}
	}
	return losses
}

// dropCached drops what is cached of persisted records: rows may be newer.
func (p *Parts) dropCached(ctx context.Context) error {
	for _, e := range p.Config.Entities {
		dropped, err := p.Cache.InvalidateMatch(ctx, e, "*", nil)
		if err != nil {
			return fmt.Errorf("drop what is cached of %s: %w", e.Name, err)
		}
		p.Log.Info("cached records dropped, because Redis is another one or went back", "entity", e.Name, "records",
			dropped)
	}
	return nil
}

// PairAnew pairs Redis and the database on purpose, whatever they were before: both get a
// new deployment, and what is cached of persisted records is dropped. What is pending in
// Redis will be flushed into this database.
func (p *Parts) PairAnew(ctx context.Context, by ledger.Actor) (schema.Pairing, error) {
	if err := p.dropCached(ctx); err != nil {
		return schema.Pairing{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	to := schema.Pairing{Deployment: rand.Text(), Life: rand.Text()}
	err := p.Store.Pair(ctx, p.Config.Redis.Prefix, func(ctx context.Context, stored schema.Pairing) (ledger.Pairs,
		error) {
		seen, err := p.Cache.Pairing(ctx)
		if err != nil {
			return ledger.Pairs{}, err
		}
		paired, err := p.Cache.Pair(ctx, seen, to)
		if err == nil && !paired {
			err = errChanged
		}
		if err == nil { // behind the pairing: if we crash here the two do not belong together
			err = p.forgetTurns(ctx)
		}
		detail := map[string]any{"redis_was": seen.Deployment, "database_was": stored.Deployment,
			"deployment": to.Deployment}
		entry := ledger.AuditEntry{Actor: by, Action: ledger.Paired, Detail: detail}
		return ledger.Pairs{With: to, Anew: true, Audit: []ledger.AuditEntry{entry}}, err
	})
	return to, err
}

// forgetTurns removes what Redis has noted of the turns of the database that it belonged to.
func (p *Parts) forgetTurns(ctx context.Context) error {
	for _, e := range p.Config.Entities {
		if err := p.Pending.ForgetTurns(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// Sides returns the pairing of Redis and that of the database.
func (p *Parts) Sides(ctx context.Context) (redis, database schema.Pairing, err error) {
	s, err := p.sides(ctx)
	return s.redis, s.database, err
}

// CheckPairing is the start check of the pairing, and what a process that serves repeats.
func (p *Parts) CheckPairing(ctx context.Context) error {
	err := p.pair(ctx)
	if err == nil {
		err = p.repairOlder(ctx)
	}
	switch {
	case errors.Is(err, schema.ErrUnpaired):
		if p.unpaired.Swap(&err) == nil {
			p.metrics.paired.Set(0)
		}
	case err == nil:
		if p.unpaired.Swap(nil) != nil {
			p.Log.Info("Redis and the database belong together again")
		}
		p.metrics.paired.Set(1)
	}
	return err
}

// Unpaired returns why Redis and the database do not belong together, nil while they do as
// far as is known.
func (p *Parts) Unpaired() error {
	if err := p.unpaired.Load(); err != nil {
		return *err
	}
	return nil
}

// ageChanges shows in the metrics since when changes by other programs wait for a worker.
func (p *Parts) ageChanges(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	oldest, err := survey.Of(p.Store.Store).OldestChanges(ctx)
	if err != nil {
		p.Log.Debug("changes by other programs not read", "error", err)
	}
	p.metrics.changes.Reset()
	for entity, at := range oldest {
		p.metrics.changes.WithLabelValues(entity).Set(float64(at.UnixMilli()) / 1000)
	}
}

// countLosses shows in the metrics how many losses no operator has acknowledged.
func (p *Parts) countLosses(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	open, err := p.Store.OpenLosses(ctx)
	if err != nil {
		p.Log.Debug("losses not read", "error", err)
		return
	}
	p.metrics.losses.Set(float64(len(open)))
}
