// Package session keeps browser sessions in Redis for github.com/alexedwards/scs/v2: a
// [Store] is an scs.CtxStore that also lists the sessions of a user and revokes them.
//
//	store, err := session.New(session.Config{Cache: c, UserKey: "user", Idle: 30 * time.Minute})
//	sessions := scs.New()
//	sessions.Store, sessions.Lifetime = store, 12*time.Hour
//
// Redis never sees a token, only its SHA-256: who can read Redis cannot take over a session.
// For the same reason there is no iteration over all sessions (scs.IterableCtxStore), which
// would have to give the tokens back.
//
// A session ends at the expiry that scs gives it, or once it was idle for Config.Idle: each
// read puts that off, without a write of its data. Its time to live is set in the step that
// writes it.
//
// # What is revoked stays revoked
//
// A request that was under way when its session was revoked ends with a commit of the
// session. A tombstone takes the session's place for TombstoneLife, and such a commit is
// dropped. The list of a user's sessions has a session before Redis has the session itself,
// so [Store.RevokeAll] misses none that was committed before it.
//
// Sessions have a TTL, so a Redis whose memory is full may evict them: their users log in
// again. Idle ones go first under volatile-lfu.
package session
