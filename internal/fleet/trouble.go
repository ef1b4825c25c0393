package fleet

import "encoding/json"

// Names among the info of a [Process] of what it reports that is wrong, each absent or "" while
// all is well.
const (
	TroubleInfo  = "troubles"       // of workers: the troubles of their tables
	DatabaseInfo = "database_error" // why the process cannot use the database
	PairingInfo  = "pairing_error"  // why it takes Redis and the database not to belong together
)

// Trouble is a table that takes no record, as a worker has found within the last 30 s.
type Trouble struct {
	Table string `json:"table"`
	Error string `json:"error"` // of the database
}

// TroubleHint says what to do about a [Trouble].
const TroubleHint = "mend the table (constraint, trigger, column or permission); flushes go on within seconds"

// Troubles are what living workers tell of tables in trouble, by entity.
func Troubles(alive []Process) map[string]Trouble {
	all := map[string]Trouble{}
	for _, p := range alive {
		var some map[string]Trouble
		if json.Unmarshal([]byte(p.Info[TroubleInfo]), &some) != nil {
			continue
		}
		for entity, one := range some {
			all[entity] = one
		}
	}
	return all
}
