package share

import (
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// free is how many bytes of each request are not counted.
const free = 16 << 10

// total counts the bytes of all requests.
type total struct {
	most int64
	held atomic.Int64
}

func (t *total) take(n int64) bool {
	if t.held.Add(n) > t.most {
		t.held.Add(-n)
		return false
	}
	return true
}

func (t *total) give(n int64) { t.held.Add(-n) }

// batches counts the bytes of the bodies of batches, separately from other requests: a caller can hold those of one
// batch of maximum size, all callers together twice as many by default.
type batches struct {
	body      int64 // bytes of one body
	most, own int64 // bytes of all, and of one caller

	mu  sync.Mutex // guards the rest
	all int64
	of  map[string]int64
}

func newBatches(most, body int64) *batches {
	return &batches{body: body, most: max(most, body), own: body + free, of: map[string]int64{}}
}

// take adds n bytes; its error is the answer to a request that cannot have them.
func (b *batches) take(caller string, n int64) *problem.Problem {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.of[caller]+n > b.own:
		return errShare(memory)
	case b.all+n > b.most+free:
		return errMemoryFull
	}
	b.all += n
	b.of[caller] += n
	return nil
}

func (b *batches) give(caller string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all -= n
	if b.of[caller] -= n; b.of[caller] == 0 {
		delete(b.of, caller)
	}
}

var errMemoryFull = &problem.Problem{Name: "memory-full", Code: http.StatusServiceUnavailable, Title: "Memory full",
	RetryAfter: 1,
	Detail:     "the requests of this process already hold the maximum of memory; nothing was written"}

func errShare(r Resource) *problem.Problem {
	return &problem.Problem{Name: "share-used-up", Code: http.StatusTooManyRequests, Title: "Share used up",
		RetryAfter: 1,
		Detail: "this token or address holds as many " + shareWords[r] +
			" as one caller can; the request was not carried out"}
}

var shareWords = [resources]string{"bytes of bodies and answers", "batches", "waits", "event streams"}
