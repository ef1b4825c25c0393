package fsck

import "github.com/afterwrite/afterwrite/schema"

// Report is the outcome of a check.
type Report struct {
	Entities []Entity `json:"entities"`
}

// OK reports whether there are no differences.
func (r Report) OK() bool {
	for _, e := range r.Entities {
		if !e.OK() {
			return false
		}
	}
	return true
}

// Entity is the outcome for one entity.
type Entity struct {
	Name        string       `json:"entity"`
	Sum         Sum          `json:"sum"`
	Compared    int64        `json:"compared"`    // persisted records that were compared with their rows
	Waiting     int64        `json:"waiting"`     // pending, held and dead records that were checked
	Busy        int64        `json:"busy"`        // records that changed at every read and could not be compared
	Different   int          `json:"different"`   // all differences, also those beyond Differences
	Differences []Difference `json:"differences"` // by partition and id
}

// OK reports whether there are no differences.
func (e Entity) OK() bool { return e.Different == 0 }

// Sum says what became of the accepted writes.
type Sum struct {
	Accepted   int64 `json:"accepted"`
	Persisted  int64 `json:"persisted"`
	Superseded int64 `json:"superseded"`
	Discarded  int64 `json:"discarded"`
	Pending    int64 `json:"pending"`
	Held       int64 `json:"held"`
	Dead       int64 `json:"dead"`
	Lost       int64 `json:"lost"` // pending ids whose record is gone; always a difference
}

// Missing returns the number of accepted writes that are unaccounted for; negative if more writes are accounted for
// than were accepted.
func (s Sum) Missing() int64 {
	return s.Accepted - s.Persisted - s.Superseded - s.Discarded - s.Pending - s.Held - s.Dead - s.Lost
}

// Reason says how something differs. The set is closed.
type Reason string

// The reasons.
const (
	SumBroken     Reason = "sum_broken"     // the counters of a partition do not add up
	WritesLost    Reason = "writes_lost"    // a partition lost accepted writes
	RowMissing    Reason = "row_missing"    // persisted in Redis, absent from the database
	RowLeft       Reason = "row_left"       // deleted in Redis, still in the database
	FieldsDiffer  Reason = "fields_differ"  // the row has other values
	Evictable     Reason = "evictable"      // not yet in the database, but it may expire
	Immortal      Reason = "immortal"       // persisted, but it never expires
	Unlisted      Reason = "unlisted"       // pending, held or dead, but not on that list: no worker would find it
	WrongList     Reason = "wrong_list"     // on a list other than its status's
	RecordMissing Reason = "record_missing" // on a list, but has no record
	NoLetter      Reason = "no_letter"      // dead, and the database has no dead letter of that version
	Unnamed       Reason = "unnamed"        // not yet in the database, and its entity is not in the configuration
)

// Difference is one inconsistency.
type Difference struct {
	Entity    string         `json:"entity"`
	Partition int            `json:"partition"`
	ID        string         `json:"id,omitempty"` // empty for a partition's counters
	Reason    Reason         `json:"reason"`
	Status    schema.Status  `json:"status,omitempty"`
	Version   schema.Version `json:"version,omitempty"`
	Detail    string         `json:"detail,omitempty"`
	Fields    []Field        `json:"fields,omitempty"`
}

// Field is one field whose values differ, as canonical JSON texts.
type Field struct {
	Name     string `json:"field"`
	Cached   string `json:"cached"`
	Database string `json:"database"`
}

// redacted replaces a value that the configuration redacts.
const redacted = "(redacted)"
