// Package rdb is the access to Redis: addresses, clients, the circuit breaker, cluster nodes, Lua scripts and their
// errors.
//
// A [Client] has two connection pools. Idempotent commands use a pool whose client repeats a command after a network
// error and is guarded by the circuit breaker. Write scripts use the other, whose client never repeats a command: a
// write script whose reply was lost may have run. It has no breaker either, because a write that is not tried is an
// error for a user.
//
// The package has no keys, and no script of its own but the check of permissions.
package rdb
