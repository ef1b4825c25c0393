// Package ratelimit bounds the request rate of each caller over all processes that share a Redis. It uses the generic
// cell rate algorithm (GCRA): a caller that was idle can send a whole quota at once, and gets it back evenly over the
// window. One number is stored per caller and policy, and expires by itself once the quota is whole again.
//
// One script checks all policies of a [Limiter], by Redis's clock: a request takes from all of them or, if one rejects
// it, from none. A limiter counts one kind of caller; to limit addresses and tokens separately, wrap one limiter in
// another.
//
//	limit, err := ratelimit.New(ratelimit.Config{
//		Cache:    c,
//		Caller:   ratelimit.ByAddress(proxies),
//		Policies: []ratelimit.Policy{{Name: "default", Limit: 100, Window: time.Minute}},
//	})
//	handler = limit.Handler(handler)
//
// Answers have the fields RateLimit-Policy and RateLimit as in draft-ietf-httpapi-ratelimit-headers-10; rejections also
// have Retry-After.
//
// # What a limiter cannot do
//
// Times have microsecond precision, so a policy allows at most a million requests per second and rounds the time
// between two requests up to a whole microsecond. If a reply is lost, a request may count twice, but never less than
// once.
package ratelimit
