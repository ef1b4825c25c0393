package api

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/problem"
)

// Listener makes an HTTP server answer the requests that it rejects by itself with a problem, like any other: a request
// that is not HTTP, has no Host, too large a header, an unknown Transfer-Encoding, or an Expect that cannot be met. No
// handler is called for these, so the answer is recognised by its form and replaced on its way out. If net/http ever
// changes its wording, the answer goes out unchanged.
//
// Such a request is not counted by route, and its own X-Request-Id is not known here. If a connection ends, or its
// header takes too long, net/http closes it without an answer, so there is nothing to replace.
func Listener(l net.Listener, log *slog.Logger) net.Listener { return listener{l, log} }

type listener struct {
	net.Listener
	log *slog.Logger
}

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if tcp, ok := c.(*net.TCPConn); ok {
		return &conn{tcp, l.log}, nil
	}
	return c, err
}

// conn replaces the server's own answers. In all else it stays a TCP connection, because the server closes one half of
// it so that a caller that is still sending can read the answer.
type conn struct {
	*net.TCPConn
	log *slog.Logger
}

func (c *conn) Write(b []byte) (int, error) {
	p := ofUnread(b)
	if p == nil {
		return c.TCPConn.Write(b)
	}
	id := newRequestID()
	c.log.Debug("request not read", "request_id", id, "problem", p.Name, "code", p.Code, "detail", p.Detail)
	if n, err := c.TCPConn.Write(unreadAnswer(p, id)); err != nil {
		return min(n, len(b)), err
	}
	return len(b), nil
}

// Texts that net/http writes in one piece: what follows the status line for a request that it cannot parse, and the
// status line for an expectation that cannot be met.
const (
	plainHeader = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	unmet       = "417 Expectation Failed"
)

// ofUnread returns the problem for an answer that is net/http's own, or nil. No handler here answers 417, or plain text
// with only these headers.
func ofUnread(b []byte) *problem.Problem {
	line, ok := bytes.CutPrefix(b, []byte("HTTP/1."))
	if !ok {
		return nil
	}
	end := bytes.IndexByte(line, '\r')
	if end < len("1 400") {
		return nil
	}
	status := line[len("1 "):end]
	if string(status) != unmet && !bytes.HasPrefix(line[end:], []byte(plainHeader)) {
		return nil
	}
	p, ok := unread[string(status[:len("400")])]
	if !ok {
		return nil
	}
	if _, why, ok := strings.Cut(string(status), ": "); ok {
		p.Detail += ": " + problem.Clip(why)
	}
	return &p
}

// unread are the problems by status code.
var unread = map[string]problem.Problem{
	"400": {Name: "malformed-request", Code: http.StatusBadRequest, Title: "Malformed request",
		Detail: "the request line or a header is not what HTTP/1.1 asks for"},
	"417": {Name: "expectation-failed", Code: http.StatusExpectationFailed, Title: "Expectation failed",
		Detail: "the only Expect that can be met is 100-continue"},
	"431": {Name: "header-too-large", Code: http.StatusRequestHeaderFieldsTooLarge, Title: "Header too large",
		Detail: "the request line and the headers have too many bytes"},
	"501": {Name: "transfer-encoding", Code: http.StatusNotImplemented, Title: "Transfer-Encoding not known",
		Detail: "the only Transfer-Encoding that is read is chunked"},
	"505": {Name: "http-version", Code: http.StatusHTTPVersionNotSupported, Title: "HTTP version not supported",
		Detail: "the request must be HTTP/1.1 or HTTP/1.0"},
}

// unreadAnswer returns the whole answer. The connection ends with it, because it is unknown where the next request
// would begin.
func unreadAnswer(p *problem.Problem, id string) []byte {
	body := append(p.AppendTo(nil, id), '\n')
	h := http.Header{
		"Connection": {"close"}, "Content-Length": {strconv.Itoa(len(body))},
		"Date":         {time.Now().UTC().Format(http.TimeFormat)},
		"X-Request-Id": {id}, "X-Content-Type-Options": headerNosniff, "Cache-Control": headerNoStore,
	}
	p.SetHeader(h)
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\n", p.Code, http.StatusText(p.Code))
	_ = h.Write(&out) // writing to a buffer cannot fail
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes()
}

// Refuse answers a request before the API is ready, in the form of an API's answer.
func Refuse(w http.ResponseWriter, r *http.Request, p *problem.Problem) {
	id := requestID(r)
	h := w.Header()
	h["X-Request-Id"] = []string{id}
	h["X-Content-Type-Options"] = headerNosniff
	h["Cache-Control"] = headerNoStore
	p.SetHeader(h)
	w.WriteHeader(p.Code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(p.AppendTo(nil, id), '\n'))
	}
}
