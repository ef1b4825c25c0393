package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"

	"github.com/afterwrite/afterwrite/cache/ticket"
	"github.com/afterwrite/afterwrite/internal/problem"
	"github.com/afterwrite/afterwrite/internal/token"
)

// Tickets keeps tickets for all APIs: package cache/ticket.
type Tickets interface {
	Keep(ctx context.Context, owner, digest string) (kept bool, err error)
	Has(ctx context.Context, owner, digest string) (has bool, err error)
}

// A ticket opens event streams in the name of a token, for programs that cannot send a header, as the EventSource of
// browsers. It says whose it is, works for a minute, and for the entities alone that it was made for. Its text is the
// token's number and a secret; Redis has the digest of secret and entities.
const (
	ticketPrefix = "awt_"
	secretBytes  = 22 // with the number 30 bytes, which are 48 digits
	digitCount   = 48
)

var ticketDigits = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// newTicket answers a ticket for the event stream of the entities that the query names.
func (a *API) newTicket(ctx context.Context, c *call) error {
	query, err := a.eventQuery(c)
	if err != nil {
		return err
	}
	if query.ticket != "" || query.last != "" {
		return problem.BadParameter("ticket", "is of GET /v1/events, as last_event_id is")
	}
	if err := c.mayRead(query.entities); err != nil {
		return err
	}
	if c.who.Anonymous() {
		return errNoTicketNeeded
	}
	text := make([]byte, 8+secretBytes)
	binary.BigEndian.PutUint64(text, uint64(c.who.Number))
	rand.Read(text[8:]) // never fails
	ctx, cancel := a.bound(ctx)
	defer cancel()
	kept, err := a.tickets.Keep(ctx, owner(text), query.digest(text))
	if err != nil {
		return err
	}
	if !kept {
		return errTooManyTickets
	}
	c.out = append(c.out, `{"ticket":"`+ticketPrefix+ticketDigits.EncodeToString(text)+`","expires_in":60}`...)
	c.send(http.StatusCreated, c.out)
	return nil
}

var (
	errNoTicketNeeded = &problem.Problem{Name: "no-ticket-needed", Code: http.StatusConflict,
		Title: "No ticket is needed", Detail: "a ticket stands for a token, and this API has answered a request without one: " +
			"so it does for /v1/events"}
	errTooManyTickets = &problem.Problem{Name: "too-many-tickets", Code: http.StatusTooManyRequests,
		Title: "Too many tickets", RetryAfter: int(ticket.Life.Seconds()),
		Detail: "the token has its maximum of tickets; each lives for a minute"}
)

// owner is whose a ticket is.
func owner(text []byte) string { return hex.EncodeToString(text[:8]) }

// digest is what Redis has of a ticket for the entities of the query.
func (q eventQuery) digest(text []byte) string {
	named := slices.Sorted(slices.Values(q.named))
	sum := sha256.Sum256([]byte(string(text) + strings.Join(slices.Compact(named), ",")))
	return hex.EncodeToString(sum[:])
}

// identifyByTicket sets the caller's identity to that of the token that the request's ticket was made for. Without a
// ticket it does nothing. A wrong query is answered later, after the caller was identified.
func (a *API) identifyByTicket(c *call) (found bool, err error) {
	query, err := a.eventQuery(c)
	if err != nil || query.ticket == "" {
		return false, nil
	}
	digits, ok := strings.CutPrefix(query.ticket, ticketPrefix)
	text, err := ticketDigits.DecodeString(digits)
	if !ok || err != nil || len(digits) != digitCount || len(text) != 8+secretBytes { // it skips line breaks
		return true, token.ErrTicket
	}
	ctx, cancel := a.bound(c.r.Context())
	defer cancel()
	has, err := a.tickets.Has(ctx, owner(text), query.digest(text))
	switch {
	case err != nil:
		return true, err
	case !has:
		return true, token.ErrTicket
	}
	c.ticketOf = int64(binary.BigEndian.Uint64(text))
	c.who, err = a.guard.Of(c.ticketOf)
	return true, err
}
