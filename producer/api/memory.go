package api

import (
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of the memory that requests hold, without batches, which are few.
const (
	DefaultMaxMemory = 128 << 20 // bytes of the bodies and answers of all requests at once
	DefaultMaxAnswer = 16 << 20  // bytes of the records of one answer
	freeBytes        = 16 << 10  // of each request, which are not counted
	chunkBytes       = 4 << 20   // of the records that are read at a time
)

// hold counts bytes that a request holds until it is answered. A caller that sends or reads slowly holds them for
// minutes.
func (a *API) hold(c *call, bytes int) error {
	more := int64(bytes-freeBytes) - c.held
	if more <= 0 {
		return nil
	}
	if a.memory.Add(more) > a.maxMemory {
		a.memory.Add(-more)
		a.metrics.overfull.Inc()
		return errMemoryFull
	}
	if err := a.take(c, memoryBytes, more); err != nil {
		a.memory.Add(-more)
		return err
	}
	a.metrics.memory.Add(float64(more))
	c.held += more
	return nil
}

// free releases what hold counted.
func (a *API) free(c *call) {
	if c.bulk > 0 {
		a.bulk.give(a.caller(c), c.bulk)
		a.metrics.batchMemory.Sub(float64(c.bulk))
		c.bulk = 0
	}
	if c.held > 0 {
		a.give(c, memoryBytes, c.held)
		a.memory.Add(-c.held)
		a.metrics.memory.Sub(float64(c.held))
		c.held = 0
	}
}

// bulk counts the bytes of the bodies of batches, separately from other requests: a caller can hold those of one batch
// of maximum size, all callers together twice as many by default.
type bulk struct {
	most, own int64 // bytes of all, and of one caller

	mu  sync.Mutex // guards the rest
	all int64
	of  map[string]int64
}

func newBulk(most, own int64) *bulk {
	return &bulk{most: max(most, own), own: own + freeBytes, of: map[string]int64{}}
}

// take adds n bytes; its error is the answer to a request that cannot have them.
func (b *bulk) take(caller string, n int64) *problem.Problem {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.of[caller]+n > b.own:
		return errShare(memoryBytes)
	case b.all+n > b.most+freeBytes:
		return errMemoryFull
	}
	b.all += n
	b.of[caller] += n
	return nil
}

func (b *bulk) give(caller string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all -= n
	if b.of[caller] -= n; b.of[caller] == 0 {
		delete(b.of, caller)
	}
}

// holdBatch is [API.hold] for the body of a batch.
func (a *API) holdBatch(c *call, bytes int) error {
	more := min(int64(bytes), a.maxBatchBody) - c.bulk
	if more <= 0 {
		return nil
	}
	switch err := a.bulk.take(a.caller(c), more); err {
	case nil:
	case errMemoryFull:
		a.metrics.overfull.Inc()
		return err
	default:
		a.metrics.shares.WithLabelValues(resourceNames[memoryBytes]).Inc()
		return err
	}
	a.metrics.batchMemory.Add(float64(more))
	c.bulk += more
	return nil
}

var errMemoryFull = &problem.Problem{Name: "memory-full", Code: http.StatusServiceUnavailable, Title: "Memory full",
	RetryAfter: 1,
	Detail:     "the requests of this process already hold the maximum of memory; nothing was written"}

// sizes estimates how many bytes a record of each entity takes in an answer.
type sizes struct{ of sync.Map } // *schema.Entity to *atomic.Int64

// chunk returns how many records to read at once, by the size of records read before. All records of an answer are read
// in one round trip, unless they are known to be large.
func (s *sizes) chunk(e *schema.Entity) int {
	if size, ok := s.of.Load(e); ok {
		return max(1, chunkBytes/int(size.(*atomic.Int64).Load()+1))
	}
	return max(MaxIDs, MaxLimit)
}

// learn updates the estimate with records that were read. Of concurrent readers the last one wins, which is good
// enough.
func (s *sizes) learn(e *schema.Entity, records, bytes int) {
	if records == 0 {
		return
	}
	seen := int64(bytes / records)
	size, known := s.of.LoadOrStore(e, new(atomic.Int64))
	if before := size.(*atomic.Int64); !known || seen > before.Load() {
		before.Store(seen)
	} else {
		before.Add((seen - before.Load()) / 8)
	}
}
