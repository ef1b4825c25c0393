// Package session stores browser sessions in Redis for github.com/alexedwards/scs/v2: a [Store] is an scs.CtxStore that
// also lists the sessions of a user and revokes them.
//
//	store, err := session.New(session.Config{Cache: c, UserKey: "user", Idle: 30 * time.Minute})
//	sessions := scs.New()
//	sessions.Store, sessions.Lifetime = store, 12*time.Hour
//
// Redis never contains a token, only its SHA-256: a person who can read Redis cannot take over a session. For the same
// reason there is no iteration over all sessions (scs.IterableCtxStore), which would have to return the tokens.
//
// A session ends at the expiry that scs sets, or once it was idle for Config.Idle. Each read extends the idle time
// without writing the data. The TTL is set in the same step that writes the session.
//
// # What is revoked stays revoked
//
// A request that was in progress when its session was revoked ends with a commit of the session. A tombstone replaces
// the session for TombstoneLife, and such a commit is dropped. A session is added to its user's list before it is
// written to Redis, so [Store.RevokeAll] misses no session that was committed before it.
//
// Sessions have a TTL, so a Redis whose memory is full may evict them, and their users log in again. Under volatile-lfu
// idle sessions are evicted first.
package session
