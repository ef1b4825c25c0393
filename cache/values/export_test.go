package values

// LoseMessage uses up the number of a message that is never sent, as if it was lost.
func LoseMessage(c Cache) { _, _, _ = c.Shared().Tags.Message("lost") }

// LocalBytes is the weight of what an L1 keeps.
func LocalBytes[T any](v *Values[T]) uint64 { return v.local.Weight() }

// Refreshing is how many refreshes run.
func Refreshing(c Cache) int { return len(of(c).refreshes) }

// Gathered is how many callers wait for the next look at a value.
func Gathered(c Cache, key string) int {
	return of(c).glances.Waiting(string(c.Shared().Prefix) + ":v:{" + key + "}")
}

// GatheredReads is how many reads of values wait for a round trip.
func GatheredReads(c Cache) int { return of(c).raws.Waiting() }
