package fleet

import "encoding/json"

// Keys of the info of a [Process] that report problems; absent or "" if there is none.
const (
	TroubleInfo  = "troubles"       // of a worker: the tables in trouble
	DatabaseInfo = "database_error" // why the process cannot use the database
	PairingInfo  = "pairing_error"  // why Redis and the database seem not to belong together
)

// Trouble is a table that accepts no record, as a worker found within the last 30 s.
type Trouble struct {
	Table string `json:"table"`
	Error string `json:"error"` // the database's error
}

// Troubles returns the tables in trouble that live workers report, by entity.
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
