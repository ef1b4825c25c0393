// Package afterwrite puts gorm models on write-behind: a write is accepted into Redis, and workers
// persist it to the database in batches. See docs/LIBRARY.md.
//
//	aw, err := afterwrite.Open(ctx, afterwrite.Config{Redis: rdb, GORM: db}, afterwrite.Model[User]())
//	defer aw.Close()
//	go aw.Work(ctx) // here, or in any other process of the program
//	users := afterwrite.Table[User](aw)
//	w, err := users.Put(ctx, &u)       // accepted: u has its id and times
//	got, err := users.Get(ctx, u.ID)   // got.Value, got.Version, got.Status
//	err = w.Wait(ctx)                  // nil: in the database
//
// When a write returns nil, its state and its place in line for the database are in Redis, in one
// step: every later read sees it, and a row only moves forward. A record that the database refuses
// delays no other, and is a dead letter in the end. A context that has ended accepts nothing; where
// it ends on the way, the outcome is unknown, and a repeat is safe with its [IdempotencyKey].
package afterwrite
