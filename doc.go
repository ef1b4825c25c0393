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
// When a write returns nil, its state and its place in line for the database are in Redis, in
// one atomic step: every later read sees it, and a row only moves forward through accepted
// states. A record that the database refuses delays no other, and is kept as a dead letter in
// the end. A context that has ended accepts nothing; where it ends on the way, the write may have
// been accepted, and a repeat is safe with its [IdempotencyKey]. See docs/LIBRARY.md.
package afterwrite
