package api

import (
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/schema"
)

// Bounds of what requests hold in memory, batches aside, which are few.
const (
	DefaultMaxMemory = 128 << 20 // bytes of the bodies and answers of all requests at once
	DefaultMaxAnswer = 16 << 20  // bytes of the records of one answer
	freeBytes        = 16 << 10  // of each request, which are not counted
	chunkBytes       = 4 << 20   // of the records that are read at a time
)

// hold counts what a request holds now, until it is answered. A caller who sends slowly,
// or does not read, holds it for minutes.
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
	a.metrics.memory.Add(float64(more))
	c.held += more
	return nil
}

// free ends what hold counted.
func (a *API) free(c *call) {
	if c.held > 0 {
		a.memory.Add(-c.held)
		a.metrics.memory.Sub(float64(c.held))
		c.held = 0
	}
}

var errMemoryFull = &problem.Problem{Name: "memory-full", Code: http.StatusServiceUnavailable, Title: "Memory full", RetryAfter: 1,
	Detail: "the requests of this process hold as many bytes as they may; nothing was written"}

// sizes remembers about how many bytes a record of each entity takes in an answer.
type sizes struct{ of sync.Map } // *schema.Entity to *atomic.Int64

// chunk is how many records to read at once, by the size of those that were read before. All
// of an answer are read in one trip, unless they are known to be large.
func (s *sizes) chunk(e *schema.Entity) int {
	if size, ok := s.of.Load(e); ok {
		return max(1, chunkBytes/int(size.(*atomic.Int64).Load()+1))
	}
	return max(MaxIDs, MaxLimit)
}

// learn takes the size of records that were read into account. The last of some readers at
// once wins, which is as good.
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
