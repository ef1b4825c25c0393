package schema

import (
	"slices"
	"strconv"
	"time"
)

// Version is the number that an accepted write gives a record. Versions within a partition only grow; they stay below
// 2^53, so every JSON reader represents them exactly. Zero means no version.
type Version int64

func (v Version) String() string { return strconv.FormatInt(int64(v), 10) }

// ParseVersion parses the text that [Version.String] returns.
func ParseVersion(s string) (Version, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n >= 1<<53 || Version(n).String() != s {
		return 0, Invalid("version", "must be a whole number from 1 to 2^53-1")
	}
	return Version(n), nil
}

// Versioned identifies one version of a record.
type Versioned struct {
	ID      string
	Version Version
}

// Status says how far a record has come on its way to the database.
type Status string

// The statuses of a record.
const (
	Persisted Status = "persisted" // the database has the newest version
	Pending   Status = "pending"   // accepted, not yet in the database
	Held      Status = "held"      // refused by the database, awaiting its next attempt
	Dead      Status = "dead"      // refused, its policy exhausted, awaiting an operator
)

// Values are the fields of one record in the order of [Entity.Fields]: Values[i] is the canonical JSON text of field i.
// It is "" if the field is absent, which happens in a patch and in a record that was accepted before its entity got the
// field. The text of a value that its field cannot represent is not JSON: see [ForeignValue].
type Values []string

// Change is an accepted state of a record on its way to the database: a whole record or a deletion.
type Change struct {
	ID      string
	Version Version
	Deleted bool
	Values  Values // nil for a deletion
	// Row is the row as the flush left it, if the database has the last word on the table: it spells, rounds or
	// computes values, or a trigger changes them. nil: the row has Values; empty: what it has is not known.
	Row Values
	// Only lists the positions of the fields that patches and increments changed since the record was last persisted:
	// the row exists, and its other columns stay as they are. nil means that the whole record was written, and that its
	// row is inserted if it does not exist.
	Only []int
	// Origin is the traced request of the newest traced write that the change contains; nil if there was none.
	Origin *Origin
}

// Writes reports whether the change gives field i a value. It does not if the field is not in Only, or if the record
// was accepted before its entity got the field.
func (c *Change) Writes(i int) bool {
	return c.Values[i] != "" && c.Values[i][0] != foreignMark[0] && (c.Only == nil || slices.Contains(c.Only, i))
}

// Row is the state of a record in the database. If Exists is false, the row is absent.
type Row struct {
	ID     string
	Exists bool
	Values Values // nil where the row does not exist
	// Foreign says why ID, given as the row has it, is not a canonical id of the entity; no request can name such a
	// row. It is "" for a canonical id.
	Foreign string
}

// Record is a record as a reader sees it.
type Record struct {
	ID      string
	Version Version // 0 if the record was read directly from the database
	Status  Status
	Deleted bool          // the record does not exist: a tombstone, or a cached absence
	Values  Values        // nil where Deleted
	TTL     time.Duration // time left in the cache; 0 if the record is pending, held, dead or not cached
}

// Cached is a record as stored in Redis, with the lists that contain it.
type Cached struct {
	Record
	Expires             bool // it has a TTL
	Pending, Held, Dead bool // it is in the list of this name
}
