// Package certs remembers when the certificates of the servers that a process connects to
// expire, so that an alert can fire before connections fail.
package certs

import (
	"crypto/tls"
	"sync/atomic"
	"time"
)

// Watch is what TLS connections to one kind of server have shown. It is safe for concurrent
// use.
type Watch struct{ expires atomic.Int64 }

// On has the watch see every connection that is made with c. Call it before c is used.
func (w *Watch) On(c *tls.Config) {
	before := c.VerifyConnection
	c.VerifyConnection = func(s tls.ConnectionState) error {
		w.see(s)
		if before != nil {
			return before(s)
		}
		return nil
	}
}

// see notes the certificate of the chain that expires first.
func (w *Watch) see(s tls.ConnectionState) {
	if len(s.PeerCertificates) == 0 {
		return
	}
	first := s.PeerCertificates[0].NotAfter
	for _, c := range s.PeerCertificates[1:] {
		if c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	w.expires.Store(first.Unix())
}

// Expires is when the first certificate of the chain that the latest connection was shown
// expires; false where no connection had TLS.
func (w *Watch) Expires() (time.Time, bool) {
	if w.expires.Load() == 0 {
		return time.Time{}, false
	}
	return time.Unix(w.expires.Load(), 0), true
}
