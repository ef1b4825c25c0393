// Package rdb is the way to Redis: addresses, clients, the circuit breaker, the nodes of a
// cluster, Lua scripts and the errors of all of them.
//
// A [Client] has two connections pools. Commands that have the same effect when they run
// twice go through the one that repeats a command after a network error; it stands behind
// the circuit breaker. Write scripts go through the other, which never repeats a command: a
// write script whose reply was lost may have run. It has no breaker either, since a write
// that is not tried is refused to a user.
//
// The package knows no key and no script of its own but the check of permissions.
package rdb
