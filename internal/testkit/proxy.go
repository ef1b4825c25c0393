package testkit

import (
	"net"
	"net/url"
	"sync"
	"testing"
	"time"
)

// Proxy stands between clients and a server and spoils the way. It forwards bytes, so
// it serves Redis, PostgreSQL and HTTP alike. Its methods are safe for concurrent use.
type Proxy struct {
	target   string
	listener net.Listener

	mu      sync.Mutex // guards what follows
	state   way
	delay   time.Duration
	lost    int           // pieces of replies
	changed chan struct{} // closed and replaced when state changes
	pairs   map[*pair]bool
	closed  bool
	wait    sync.WaitGroup
}

type way int

const (
	through way = iota
	cut         // connections are closed as soon as they are made
	silent      // nothing passes, and nothing is closed
	mute        // requests pass, replies are swallowed
)

// pair is one client's connection and the server's end of it.
type pair struct {
	client, server net.Conn
	once           sync.Once
	ended          chan struct{}
	maimed         bool // bytes were swallowed: it cannot be used again. Guarded by Proxy.mu
}

func (p *pair) end() {
	p.once.Do(func() {
		close(p.ended)
		_ = p.client.Close()
		_ = p.server.Close()
	})
}

// NewProxy forwards a loopback port to the target's host and port until t ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: l, changed: make(chan struct{}), pairs: map[*pair]bool{}}
	p.wait.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Addr is the proxy's host and port.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// URL is a server's URL with the proxy's host and port in place of the server's.
func (p *Proxy) URL(t testing.TB, server string) string {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	u.Host = p.Addr()
	return u.String()
}

// Cut closes every connection, and each new one at once, until Restore.
func (p *Proxy) Cut() { p.become(cut) }

// Blackhole lets nothing through and closes nothing, until Restore lets it go on.
func (p *Proxy) Blackhole() { p.become(silent) }

// LoseReplies lets requests through and swallows what the server answers, until
// Restore or Cut ends the connections that missed something.
func (p *Proxy) LoseReplies() { p.become(mute) }

// Lost counts the pieces of replies that were lost.
func (p *Proxy) Lost() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}

// Restore lets everything through again.
func (p *Proxy) Restore() { p.become(through) }

// Delay keeps every piece of data back for d in each direction.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *Proxy) become(state way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
	close(p.changed)
	p.changed = make(chan struct{})
	for c := range p.pairs {
		if state == cut || c.maimed {
			c.end()
		}
	}
}

func (p *Proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for c := range p.pairs {
		c.end()
	}
	p.mu.Unlock()
	p.wait.Wait()
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wait.Go(func() { p.serve(client) })
	}
}

func (p *Proxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.DialTimeout("tcp", p.target, 5*time.Second)
	if err != nil {
		return
	}
	c := &pair{client: client, server: server, ended: make(chan struct{})}
	defer c.end()
	if !p.join(c) {
		return
	}
	defer p.leave(c)
	var both sync.WaitGroup
	both.Go(func() { p.pump(c, client, server, false) })
	both.Go(func() { p.pump(c, server, client, true) })
	both.Wait()
}

func (p *Proxy) join(c *pair) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.state == cut {
		return false
	}
	p.pairs[c] = true
	return true
}

func (p *Proxy) leave(c *pair) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.pairs, c)
}

func (p *Proxy) pump(c *pair, from, to net.Conn, reply bool) {
	defer c.end()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && p.pass(c, reply) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits until a piece of data may go on, and reports whether it goes on at all.
func (p *Proxy) pass(c *pair, reply bool) bool {
	for {
		p.mu.Lock()
		state, delay, changed := p.state, p.delay, p.changed
		if state == mute && reply {
			c.maimed = true
			p.lost++
		}
		p.mu.Unlock()
		switch {
		case state == mute && reply:
			return false
		case state == silent:
			select {
			case <-changed:
				continue
			case <-c.ended:
				return false
			}
		case delay > 0:
			select {
			case <-time.After(delay):
			case <-c.ended:
				return false
			}
		}
		return true
	}
}
