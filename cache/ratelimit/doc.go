// Package ratelimit bounds how often a caller may ask, over all processes that share a
// Redis. It is the generic cell rate algorithm (GCRA): a caller who kept silent may send
// a whole quota at once, and gets it back evenly over the window. One number is kept for
// each caller and policy, and expires by itself once the quota is whole again.
//
// All policies of a [Limiter] are looked at by one script, by Redis's clock: a request
// takes from all of them or, refused by one, from none. A limiter counts one kind of
// caller; to bound an address and a token apart, put one limiter around another.
//
//	limit, err := ratelimit.New(ratelimit.Config{
//		Cache:    c,
//		Caller:   ratelimit.ByAddress(proxies),
//		Policies: []ratelimit.Policy{{Name: "default", Limit: 100, Window: time.Minute}},
//	})
//	handler = limit.Handler(handler)
//
// Answers have the fields RateLimit-Policy and RateLimit as
// draft-ietf-httpapi-ratelimit-headers-10 has them, refusals a Retry-After.
//
// # What a limiter cannot do
//
// Time is kept to a microsecond, so a policy allows at most a million requests a second,
// and rounds the time between two requests up to a whole microsecond. A reply that was lost
// on the way may count a request twice, never less than once.
package ratelimit
