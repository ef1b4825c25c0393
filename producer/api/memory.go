package api

import (
	"net/http"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// Bounds of what requests hold in memory, batches aside, which are few.
const (
	DefaultMaxMemory = 128 << 20 // bytes of the bodies and answers of all requests at once
	DefaultMaxAnswer = 16 << 20  // bytes of the records of one answer
	freeBytes        = 16 << 10  // of each request, which are not counted
	firstChunk       = 32        // records that are read before their size is known
	chunkBytes       = 4 << 20   // of the records that are read at a time then
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
	c.held += more
	return nil
}

// free ends what hold counted.
func (a *API) free(c *call) {
	a.memory.Add(-c.held)
	c.held = 0
}

var errMemoryFull = &problem.Problem{Name: "memory-full", Code: http.StatusServiceUnavailable, Title: "Memory full", RetryAfter: 1,
	Detail: "the requests of this process hold as many bytes as they may; nothing was written"}

// chunk is how many records to read at once, by the size of those that were read.
func chunk(records, bytes int) int {
	if records == 0 {
		return firstChunk
	}
	return max(1, chunkBytes*records/(bytes+1))
}
