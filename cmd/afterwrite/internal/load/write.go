package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/producer"
	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of a load.
const (
	loadLanes   = 8   // batches under way at once
	loadBatch   = 500 // rows of one batch
	loadErrors  = 1000
	loadWait    = 100 * time.Millisecond // first wait for room
	loadMaxWait = 3 * time.Second
	loadLinger  = 100 * time.Millisecond // a slow input waits so long for others of its batch
)

var errTooMany = errors.New("too many rows were refused")

// acceptor accepts batches of writes: the producer.
type acceptor interface {
	DoAll(ctx context.Context, rs []producer.Request) []producer.Result
}

// loadSummary is the outcome of a load.
type loadSummary struct {
	Entity   string     `json:"entity"`
	Accepted int64      `json:"accepted"`
	Rejected int64      `json:"rejected"`
	Waits    int64      `json:"waits"` // batches that were tried again
	Seconds  float64    `json:"seconds"`
	Rate     float64    `json:"rate"`              // accepted a second
	Stopped  string     `json:"stopped,omitempty"` // why it ended before the file did
	GoOn     int        `json:"go_on,omitempty"`   // line before which every row was written or reported
	Errors   []rejected `json:"errors,omitempty"`  // by line, the first ones
}

type rejected struct {
	Line   int    `json:"line"`
	ID     string `json:"id,omitempty"`
	Reason string `json:"reason"`
}

// loading writes rows in batches. A row's lane is decided by its partition, and a batch
// never has two rows of one id, so that rows of one id stay in order even where some of
// a batch have to be tried again.
type loading struct {
	to     acceptor
	entity *schema.Entity
	op     cache.Op
	flags  loadFlags
	bar    cli.Bar
	began  time.Time

	mu     sync.Mutex // guards the rest
	result loadSummary
	last   int              // line that was read last
	open   map[int]struct{} // lines under way
}

func newLoading(to acceptor, e *schema.Entity, op cache.Op, f loadFlags, b cli.Bar) *loading {
	return &loading{to: to, entity: e, op: op, flags: f, bar: b, began: time.Now(),
		result: loadSummary{Entity: e.Name}, open: map[int]struct{}{}}
}

// run loads every row. The error says why it ended before the file did: a fault of the
// file, or too many refused rows, after which what was read before is still written; or
// what keeps a lane from writing.
func (l *loading) run(ctx context.Context, source rows) error {
	group, ctx := errgroup.WithContext(ctx)
	lanes := make([]chan row, loadLanes)
	for i := range lanes {
		lanes[i] = make(chan row, loadBatch)
		group.Go(func() error { return l.lane(ctx, lanes[i]) })
	}
	dealt := l.deal(ctx, source, lanes)
	for _, lane := range lanes {
		close(lane)
	}
	err := group.Wait()
	l.bar.Done()
	return cmp.Or(err, dealt, l.overstepped()) // the last rows may have been too many
}

// deal gives each row to its lane.
func (l *loading) deal(ctx context.Context, source rows, lanes []chan row) error {
	for {
		r, err := source.next()
		var bad badRow
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.As(err, &bad):
			l.reject(bad.line, "", bad.reason)
		case err != nil:
			return err
		default:
			if r.id, err = l.entity.CanonicalID(r.id); err != nil {
				l.reject(r.line, r.id, err.Error())
				break
			}
			l.begin(r.line)
			select {
			case lanes[l.entity.Partition(r.id)%len(lanes)] <- r:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := l.overstepped(); err != nil {
			return err
		}
	}
}

// lane writes its rows, each batch as soon as it is full, meets an id again, or the
// input pauses.
func (l *loading) lane(ctx context.Context, in <-chan row) error {
	batch := make([]row, 0, loadBatch)
	ids := map[string]bool{}
	send := func() error {
		err := l.send(ctx, batch)
		batch = batch[:0]
		clear(ids)
		return err
	}
	pause := time.NewTicker(loadLinger)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-pause.C:
			if err := send(); err != nil {
				return err
			}
		case r, more := <-in:
			if !more {
				return send()
			}
			if ids[r.id] {
				if err := send(); err != nil {
					return err
				}
			}
			batch = append(batch, r)
			ids[r.id] = true
			if len(batch) == loadBatch {
				if err := send(); err != nil {
					return err
				}
			}
		}
	}
}

// send writes a batch, and what had no room again and again until the patience ends.
func (l *loading) send(ctx context.Context, batch []row) error {
	batch = slices.Clone(batch)
	unsure := map[string]bool{} // ids whose last try may stand
	wait, deadline := loadWait, time.Now().Add(l.flags.patience)
	for len(batch) > 0 {
		again, last, err := l.try(ctx, batch, unsure)
		if err != nil || len(again) == 0 {
			return err
		}
		if len(again) < len(batch) { // some had room: the wait begins again
			wait, deadline = loadWait, time.Now().Add(l.flags.patience)
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("line %d was not accepted for %s: %w", again[0].line, l.flags.patience, last)
		}
		l.waited()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		batch, wait = again, min(2*wait, loadMaxWait)
	}
	return nil
}

// try writes a batch once and returns the rows to be tried again, with the last reason.
// A put or a patch of the same values may be repeated after a lost answer; so may a
// create, which then meets itself.
func (l *loading) try(ctx context.Context, batch []row, unsure map[string]bool) (again []row, last error, _ error) {
	requests := make([]producer.Request, len(batch))
	for i, r := range batch {
		requests[i] = producer.Request{Op: l.op, Entity: l.entity.Name, ID: r.id, Fields: r.fields}
	}
	var accepted []int
	for i, result := range l.to.DoAll(ctx, requests) {
		r, err := batch[i], result.Err
		switch {
		case err == nil, unsure[r.id] && errors.Is(err, schema.ErrExists):
			accepted = append(accepted, r.line)
		case errors.Is(err, schema.ErrOutcomeUnknown):
			unsure[r.id] = true
			again, last = append(again, r), err
		case passing(err):
			again, last = append(again, r), err
		case ctx.Err() != nil && errors.Is(err, context.Canceled): // we stop; it was not refused
		default:
			l.reject(r.line, r.id, err.Error())
		}
	}
	l.accept(accepted)
	return again, last, ctx.Err()
}

// passing reports an error that a later try may not meet.
func passing(err error) bool {
	for _, target := range []error{
		schema.ErrBacklogFull, schema.ErrBusy, schema.ErrUnavailable,
		schema.ErrDatabaseUnavailable, context.DeadlineExceeded,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func (l *loading) begin(line int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last = line
	l.open[line] = struct{}{}
}

func (l *loading) accept(lines []int) {
	l.mu.Lock()
	l.result.Accepted += int64(len(lines))
	for _, line := range lines {
		delete(l.open, line)
	}
	l.mu.Unlock()
	l.bar.More(len(lines))
}

func (l *loading) waited() {
	l.mu.Lock()
	l.result.Waits++
	l.mu.Unlock()
}

// overstepped is errTooMany once more rows were refused than the flags allow.
func (l *loading) overstepped() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.result.Rejected > int64(l.flags.maxErrors) {
		return errTooMany
	}
	return nil
}

// reject counts a refused row.
func (l *loading) reject(line int, id, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.result.Rejected++
	l.last = max(l.last, line)
	delete(l.open, line)
	if len(l.result.Errors) < loadErrors {
		l.result.Errors = append(l.result.Errors, rejected{line, id, reason})
	}
}

func (l *loading) summary() loadSummary {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.result
	if l.last > 0 {
		s.GoOn = l.last + 1
	}
	for line := range l.open {
		s.GoOn = min(s.GoOn, line)
	}
	s.Seconds = time.Since(l.began).Seconds()
	if s.Seconds > 0 {
		s.Rate = float64(s.Accepted) / s.Seconds
	}
	slices.SortStableFunc(s.Errors, func(a, b rejected) int { return a.Line - b.Line })
	return s
}
