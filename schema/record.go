package schema

import (
	"slices"
	"strconv"
	"time"
)

// Version is the number that an accepted write gives a record. Versions of one
// partition only grow; they are below 2^53, so every JSON reader keeps them whole.
// Zero is no version.
type Version int64

func (v Version) String() string { return strconv.FormatInt(int64(v), 10) }

// ParseVersion reads a version as [Version.String] prints it.
func ParseVersion(s string) (Version, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n >= 1<<53 || Version(n).String() != s {
		return 0, Invalid("version", "must be a whole number from 1 to 2^53-1")
	}
	return Version(n), nil
}

// Versioned names a record at a version.
type Versioned struct {
	ID      string
	Version Version
}

// Status says where a record stands on its way to the database.
type Status string

// The statuses of a record.
const (
	Persisted Status = "persisted" // the database has the newest version
	Pending   Status = "pending"   // accepted, not yet in the database
	Held      Status = "held"      // refused by the database, waiting for its next attempt
	Dead      Status = "dead"      // refused, its policy exhausted, waiting for an operator
)

// Values are the fields of one record in the order of [Entity.Fields]: Values[i] is
// the canonical JSON text of field i, or "" where the field is absent: in a patch, and in
// a record that was accepted before its entity got the field. Else a record has every field.
// A value that its field cannot show is a text that is no JSON: see [ForeignValue].
type Values []string

// Change is an accepted state of a record on its way to the database: a whole record, or
// a deletion.
type Change struct {
	ID      string
	Version Version
	Deleted bool
	Values  Values // nil for a deletion
	// Only are the positions of the fields that were changed since the record was last
	// persisted, by patches and increments: its row exists, and the other columns are left
	// as they are. nil: the whole record was written, and has its row made where there is none.
	Only []int
}

// Writes reports whether the change gives field i a value. It does not where the field is
// not in Only, or the record was accepted before its entity got the field.
func (c *Change) Writes(i int) bool {
	return c.Values[i] != "" && c.Values[i][0] != foreignMark[0] && (c.Only == nil || slices.Contains(c.Only, i))
}

// Row is the state of a record in the database. The zero Exists is an absent row.
type Row struct {
	ID     string
	Exists bool
	Values Values // nil where the row does not exist
	// Foreign says why ID, which is as the row has it, is no canonical id of the entity, so
	// that no request can name the row; "": it is one.
	Foreign string
}

// Record is a record as a reader sees it.
type Record struct {
	ID      string
	Version Version // 0 where the record was read past the cache
	Status  Status
	Deleted bool          // the record does not exist: a tombstone, or a cached absence
	Values  Values        // nil where Deleted
	TTL     time.Duration // time left in the cache; 0 while it is pending, held or dead, or not cached
}

// Cached is a record as it stands in Redis, with the lists that name it.
type Cached struct {
	Record
	Expires             bool // it has a time to live
	Pending, Held, Dead bool // named by the list
}
