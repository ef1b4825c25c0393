// Package token controls access to the HTTP API: the form of a token, its scopes, and the guard that checks the tokens
// of requests.
//
//	secret.go   the text of a token, and its hash
//	scope.go    read, write and admin, for an entity or for all
//	ask.go      the name and expiry of a new token
//	guard.go    the identity of a request
//	watch.go    the tokens, read from the database every two seconds
//	context.go  the identity of a request, for the audit and the rate limit
//
// A token is 256 random bits. The database stores only its SHA-256. So many random bits need no slow hash, and a person
// who reads the table cannot make a request with it.
//
// Each process keeps all living tokens in memory and reads them again every [RefreshInterval]. So no request waits for
// the database, guessing tokens costs the database nothing, and every process that reaches the database rejects a
// revoked token within [RevokedWithin]. While the database does not respond, the tokens that were read last stay valid
// for [Grace], so that a database that is down does not stop the writes; a process that is cut off from the database
// may accept a revoked token for that long. A process that has never read the tokens accepts none.
package token
