// Package afterwrite puts gorm models on write-behind: a write is accepted into Redis, where
// every reader sees it immediately, and workers persist it to the SQL database in batches soon
// after.
//
//	aw, err := afterwrite.Open(ctx, afterwrite.Config{RedisURL: redis, DatabaseURL: database},
//		afterwrite.Model[User](), afterwrite.Model[Order]())
//	defer aw.Close()
//	go aw.Work(ctx) // here, or in any other process of the program
//
//	users := afterwrite.Table[User](aw)
//	w, err := users.Put(ctx, &u)                                   // accepted: u has its id and times
//	got, err := users.Get(ctx, u.ID)                               // got.Value, got.Version, got.Status
//	w, err = users.Patch(ctx, u.ID, afterwrite.Set("Age", 37))     // that column alone
//	n, w, err := users.Add(ctx, u.ID, "Logins", 1)                 // every concurrent addition counts
//	w, err = users.Update(ctx, u.ID, func(u *User) error { … })    // optimistic, writes the difference
//	err = w.Wait(ctx)                                              // nil: in the database
//
//	mux.Handle("/v1/", aw.API(afterwrite.APIConfig{}))
//	mux.Handle("/admin/afterwrite/", aw.Dashboard(afterwrite.DashboardConfig{Who: ourLogIn}))
//
// # What a nil error means
//
// When a write returns nil, its state and its place in line for the database are in Redis, in
// one atomic step. Every later read sees it, through evictions and misses too. A row only moves
// forward through accepted states, and may skip some. What Redis keeps at a power loss is its
// own setting (appendfsync). A record that the database refuses delays no other: it is tried
// again on its model's policy and then becomes a dead letter, a row that keeps its values until
// an operator decides.
//
// # Contexts
//
// A context that has ended accepts nothing. Where it ends while the write is on its way, the
// call returns the context's error and the write may or may not have been accepted; repeat it
// with the [IdempotencyKey] that it had. A context that ends in [Written.Wait] ends the wait alone.
//
// # The rest of the engine
//
// Packages schema, cache, store, producer, worker and dashboard are what this one joins.
// Package afterwritetest opens models in memory for tests.
package afterwrite
