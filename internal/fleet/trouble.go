package fleet

import "encoding/json"

// TroubleInfo is what workers call the troubles of their tables among the info of a [Process].
const TroubleInfo = "troubles"

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
