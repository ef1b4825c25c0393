package layout

import (
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// DefaultPrefix is the default first part of every key's name.
const DefaultPrefix = "aw"

// KeptEvents bounds the entries of a partition's stream; an entry names the records of one script call.
const KeptEvents = 512

// DefaultFlagMargin is how long the scheduled flag outlives the planned start of a sync task, or the flag's last
// renewal. If a worker dies, its partition waits this long. DefaultOpAge is how long operation ids are kept,
// DefaultKeptOps how many in a partition.
const (
	DefaultFlagMargin = 10 * time.Second
	DefaultOpAge      = 24 * time.Hour
	DefaultKeptOps    = 20_000
)

// Suffixes that follow the base in the names that every write uses.
const (
	StatsSuffix  = "stats" // lua/write.lua cuts it off to find the base
	RecordSuffix = "r:"    // followed by the id
	WholeSuffix  = "whole" // never exists: see lua/write.lua
)

// Prefix is the first part of the name of every key of a deployment; it contains no braces.
type Prefix string

// Keys holds the names of one partition's keys.
type Keys struct {
	Stats, Pending, Held, Dead, Why, Letters, Stream, Ops, OpsAt string
	Rank, Build, Unsure                                          string // the rank, its rebuild, ids of unsure rank
	Record                                                       string // without the id
}

// Base returns the beginning of the name of every key of a partition.
func (p Prefix) Base(e *schema.Entity, partition int) string {
	return string(p) + ":{" + e.Name + "/" + strconv.Itoa(partition) + "}:"
}

// Keys returns the names of a partition's keys.
func (p Prefix) Keys(e *schema.Entity, partition int) Keys {
	base := p.Base(e, partition)
	return Keys{
		Stats: base + StatsSuffix, Pending: base + "pending", Held: base + "held", Dead: base + "dead",
		Why: base + "why", Letters: base + "letters", Stream: base + "stream", Ops: base + "ops", OpsAt: base + "opsAt",
		Rank: base + "rank", Build: base + "rankBuild", Unsure: base + "rankUnsure", Record: base + RecordSuffix,
	}
}

// Lists returns the keys that most scripts take: stats, pending, held, dead and why.
func (k Keys) Lists() []string { return []string{k.Stats, k.Pending, k.Held, k.Dead, k.Why} }

// Ranks returns the keys of the rank.
func (k Keys) Ranks() []string { return []string{k.Rank, k.Build, k.Unsure} }

// Channel returns the channel of an entity's events or of a topic's hints.
func (p Prefix) Channel(entity string) string { return string(p) + ":events:" + entity }

// Shared returns the name of a key that belongs to no partition.
func (p Prefix) Shared(name string) string { return string(p) + ":{_}:" + name }

// Partitions returns the key of the hash of partition counts by entity.
func (p Prefix) Partitions() string { return p.Shared("partitions") }

// Pairing returns the key of the hash that names the database to which this Redis belongs.
func (p Prefix) Pairing() string { return p.Shared("pairing") }

// Probe returns a key that is written to test whether Redis accepts writes; it expires by itself.
func (p Prefix) Probe() string { return p.Shared("probe") }

// GlobQuote returns a glob pattern that matches s alone.
func GlobQuote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
