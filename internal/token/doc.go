// Package token is about who may use the HTTP API: the form of a token, what it may do,
// and the guard that knows the tokens of a deployment.
//
//	secret.go   the text of a token, and its hash
//	scope.go    read, write and admin, for an entity or for all
//	ask.go      what somebody asks for: a name, and when it ends
//	guard.go    who makes a request
//	watch.go    the tokens, read from the database every two seconds
//	context.go  the identity of a request, for the audit and the rate limit
//
// A token is 256 random bits. The database keeps its SHA-256 alone: there is nothing to
// stretch in so many bits, and whoever reads the table cannot make a request with it.
//
// Each process keeps all living tokens in memory and reads them anew every
// [RefreshInterval], so that no request waits for the database, guessing costs it nothing,
// and a revoked token is refused within [RevokedWithin] by every process that reaches the
// database. While it does not answer, the tokens that were read last go on working for
// [Grace], so that a database that is down does not stop the writes; a process that is
// cut off from a database that others still reach may accept a revoked token for that long.
// A process that has never read the tokens accepts none.
package token
