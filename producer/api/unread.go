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

// Listener has an HTTP server answer a request that it refuses by itself with a problem,
// like any other: one that is not HTTP, has no Host, too much of a header, an unknown
// Transfer-Encoding, or an Expect that cannot be met. No handler is asked about these, so
// the answer is exchanged on its way out, where it is known by its form. Should net/http
// once word it otherwise, it goes out as it is.
//
// Such a request is not counted by route, nor is its own X-Request-Id known here. A
// connection that ends, or whose header takes too long, is closed without an answer, as
// net/http does: there is nothing to exchange.
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

// conn exchanges the server's own answers. It stays a TCP connection in all else, for the
// server closes one half of it so that a caller who still sends can read the answer.
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

// What net/http writes in one piece: how an error of a request that it cannot read goes on
// after its status line, and the status line of an expectation that cannot be met.
const (
	plainHeader = "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	unmet       = "417 Expectation Failed"
)

// ofUnread is the problem of an answer that is net/http's own, else nil. No handler here
// answers 417, nor in plain text with these headers alone.
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

// unread are the problems by the status code.
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

// unreadAnswer is the whole answer. The connection ends with it: where the next request
// would begin is not known.
func unreadAnswer(p *problem.Problem, id string) []byte {
	body := append(p.AppendTo(nil, id), '\n')
	h := http.Header{
		"Connection": {"close"}, "Content-Length": {strconv.Itoa(len(body))}, "Date": {time.Now().UTC().Format(http.TimeFormat)},
		"X-Request-Id": {id}, "X-Content-Type-Options": headerNosniff, "Cache-Control": headerNoStore,
	}
	p.SetHeader(h)
	var out bytes.Buffer
	fmt.Fprintf(&out, "HTTP/1.1 %d %s\r\n", p.Code, http.StatusText(p.Code))
	_ = h.Write(&out) // a buffer takes it
	out.WriteString("\r\n")
	out.Write(body)
	return out.Bytes()
}
