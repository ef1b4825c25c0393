package schema

import (
	"slices"
	"strconv"
	"time"
)

// Version numbers the accepted writes of a partition, below 2^53; 0 is none.
type Version int64

func (v Version) String() string { return strconv.FormatInt(int64(v), 10) }

// ParseVersion parses what [Version.String] returns.
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

// Values are the canonical JSON texts of a record's fields, in their order; "" is absent, a [ForeignValue] and
// [Undecided] are no JSON.
type Values []string

// Change is an accepted write or deletion on its way to the database.
type Change struct {
	ID      string
	Version Version
	Deleted bool
	Values  Values  // nil for a deletion
	Row     Values  // as the flush left it, where the database has the last word; nil: Values; empty: not known
	Only    []int   // fields that were changed; nil: all, and the row is inserted if it does not exist
	Origin  *Origin // of the newest traced write in it, or nil
}

// Writes reports whether the change gives field i a value.
func (c *Change) Writes(i int) bool {
	return c.Values[i] != "" && c.Values[i][0] != foreignMark[0] && (c.Only == nil || slices.Contains(c.Only, i))
}

// Row is the state of a record in the database.
type Row struct {
	ID      string
	Exists  bool
	Values  Values // nil where the row does not exist
	Foreign string // why ID is not canonical, and no request can name the row; else ""
}

// Record is a record as a reader sees it.
type Record struct {
	ID      string
	Version Version // 0 if it was read from the database
	Status  Status
	Deleted bool          // a tombstone, or a cached absence
	Values  Values        // nil where Deleted
	TTL     time.Duration // left in the cache; 0: not cached, or not persisted
}

// Cached is a record as stored in Redis, with the lists that contain it.
type Cached struct {
	Record
	Expires             bool // it has a TTL
	Pending, Held, Dead bool // it is in the list of this name
}
