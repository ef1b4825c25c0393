package cache

// LoseMessage uses up the number of a message that nobody sends: a message that was lost.
func LoseMessage(c *Cache) { c.locals.next() }

// LocalBytes is the weight of what an L1 keeps.
func LocalBytes[T any](v *Values[T]) uint64 { return v.local.kept.WeightedSize() }

// Refreshing is how many refreshes run.
func Refreshing(c *Cache) int { return len(c.refreshes) }

// Gathered is how many callers wait for the next look at a value.
func Gathered(c *Cache, key string) int {
	return c.glances.Waiting(string(c.prefix) + ":v:{" + key + "}")
}

// GatheredReads is how many reads of values wait for a round trip.
func GatheredReads(c *Cache) int { return c.raws.Waiting() }
