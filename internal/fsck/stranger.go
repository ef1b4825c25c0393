package fsck

import (
	"fmt"

	"github.com/afterwrite/afterwrite/cache/pending"
)

// Stranger is the outcome for an entity that has unpersisted records but is not in the configuration: there is no table
// to compare them with.
func Stranger(name string, waiting pending.Stats) Entity {
	n := waiting.Pending + waiting.Held + waiting.Dead
	return Entity{
		Name: name, Different: 1,
		Sum: Sum{
			Accepted: waiting.Accepted, Persisted: waiting.Persisted, Superseded: waiting.Superseded,
			Discarded: waiting.Discarded,
			Pending:   waiting.Pending, Held: waiting.Held, Dead: waiting.Dead, Lost: waiting.Lost,
		},
		Differences: []Difference{{Entity: name, Reason: Unnamed,
			Detail: fmt.Sprintf("%d records wait for the database, but the configuration does not name the entity: nothing flushes them", n)}},
	}
}
