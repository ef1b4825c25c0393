package api

import (
	"cmp"
	"errors"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/producer/api/internal/request"
	"github.com/afterwrite/afterwrite/producer/api/internal/share"
	"github.com/afterwrite/afterwrite/schema"
)

// call is a request in progress. It is pooled with its buffers: nothing may keep it, or a slice of its buffers, after
// the answer.
type call struct {
	w      http.ResponseWriter
	r      *http.Request
	header http.Header // of the answer

	end       *endpoint
	entity    *schema.Entity // nil if the path names none
	who       token.Identity // the caller's identity
	ticketOf  int64          // number of the token whose ticket the request has; 0: it has none
	id        string         // as the path or the query spells it, unescaped
	texts     bool           // whole numbers are answered as strings
	versions  bool           // a list answers its records' versions, too
	queryID   bool           // the id is from the query
	requestID string
	code      int           // status of the answer, 0 before it is sent
	holds     share.Request // what it holds of memory and places
	grace     time.Duration
	paced     bool // the request's body has been timed
	cut       bool // the answer was read more slowly than the minimum rate
	spoilt    bool // a panic may have left a reference to the buffers

	body   []byte        // the request's body
	out    []byte        // the answer's body
	fields schema.Fields // of the body, aliasing it
	decode request.Decoder
}

var calls = sync.Pool{New: func() any { return &call{fields: make(schema.Fields)} }}

// Bounds of the buffers that are kept for later calls.
const (
	maxPooledBytes  = 64 << 10
	maxPooledFields = 64
)

func newCall(w http.ResponseWriter, r *http.Request) *call {
	c := calls.Get().(*call)
	c.w, c.r, c.header = w, r, w.Header()
	c.end = unknown
	c.requestID = requestID(r)
	return c
}

// release hands the call back to the pool.
func (c *call) release() {
	if c.spoilt || cap(c.body) > maxPooledBytes || cap(c.out) > maxPooledBytes || len(c.fields) > maxPooledFields {
		return
	}
	clear(c.fields)
	c.decode.Forget()
	*c = call{body: c.body[:0], out: c.out[:0], fields: c.fields, decode: c.decode}
	calls.Put(c)
}

func (c *call) entityName() string {
	if c.entity == nil {
		return ""
	}
	return c.entity.Name
}

// send answers with a status and a JSON body, unless another Content-Type is set.
func (c *call) send(code int, body []byte) {
	c.code = code
	if body != nil {
		if _, ok := c.header["Content-Type"]; !ok {
			c.header["Content-Type"] = headerJSON
		}
		c.header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	c.w.WriteHeader(code)
	if len(body) > 0 && c.r.Method != http.MethodHead {
		c.write(body)
	}
}

// writeChunk is how much of an answer must be read within the grace period.
const writeChunk = int(DefaultSlowGrace/time.Second) * LeastRate

// write writes the body of an answer. If the caller is gone, the error is irrelevant; a caller that reads more slowly
// than the minimum rate is cut off, because it holds memory meanwhile.
func (c *call) write(body []byte) {
	if len(body) <= writeChunk {
		_, _ = c.w.Write(body)
		return
	}
	control := http.NewResponseController(c.w)
	for len(body) > 0 {
		_ = control.SetWriteDeadline(time.Now().Add(cmp.Or(c.grace, DefaultSlowGrace))) // not always supported
		n, err := c.w.Write(body[:min(len(body), writeChunk)])
		if err == nil {
			err = control.Flush()
		}
		if err != nil {
			c.cut = errors.Is(err, os.ErrDeadlineExceeded)
			return
		}
		body = body[n:]
	}
}

// setETag sets the version of the record that the answer is about.
func (c *call) setETag(v schema.Version) {
	if v == 0 {
		return
	}
	b := append(make([]byte, 0, 20), '"')
	b = strconv.AppendInt(b, int64(v), 10)
	c.header["Etag"] = []string{string(append(b, '"'))}
}
