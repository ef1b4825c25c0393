package layout

import (
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// DefaultPrefix is the first part of the name of every key, unless configured.
const DefaultPrefix = "aw"

// KeptEvents bounds the entries of the stream of a partition; an entry has the records of one
// call of a script.
const KeptEvents = 512

// DefaultFlagMargin is how long the scheduled flag outlives the planned start of a sync task,
// and its last renewal: when a worker dies, the partition waits so long. DefaultOpAge is how
// long operation ids are kept.
const (
	DefaultFlagMargin = 10 * time.Second
	DefaultOpAge      = 24 * time.Hour
)

// What follows the base in the names that every write has.
const (
	StatsSuffix  = "stats" // lua/write.lua finds the base before it
	RecordSuffix = "r:"    // then the id
	WholeSuffix  = "whole" // never there: see lua/write.lua
)

// Prefix is the first part of the name of every key of a deployment; it has no braces.
type Prefix string

// Keys are the names of one partition's keys.
type Keys struct {
	Stats, Pending, Held, Dead, Why, Letters, Stream, Ops, OpsAt string
	Rank, Build, Unsure                                          string // the rank, its rebuild, ids of unsure rank
	Record                                                       string // without the id
}

// Base begins the name of every key of a partition.
func (p Prefix) Base(e *schema.Entity, partition int) string {
	return string(p) + ":{" + e.Name + "/" + strconv.Itoa(partition) + "}:"
}

// Keys names the keys of a partition.
func (p Prefix) Keys(e *schema.Entity, partition int) Keys {
	base := p.Base(e, partition)
	return Keys{
		Stats: base + StatsSuffix, Pending: base + "pending", Held: base + "held", Dead: base + "dead",
		Why: base + "why", Letters: base + "letters", Stream: base + "stream", Ops: base + "ops", OpsAt: base + "opsAt",
		Rank: base + "rank", Build: base + "rankBuild", Unsure: base + "rankUnsure", Record: base + RecordSuffix,
	}
}

// Lists are the keys that most scripts take: stats, pending, held, dead and why.
func (k Keys) Lists() []string { return []string{k.Stats, k.Pending, k.Held, k.Dead, k.Why} }

// Ranks are the keys of the rank.
func (k Keys) Ranks() []string { return []string{k.Rank, k.Build, k.Unsure} }

// Channel is where the events of an entity are published, or the hints of a topic.
func (p Prefix) Channel(entity string) string { return string(p) + ":events:" + entity }

// Shared names a key of no partition.
func (p Prefix) Shared(name string) string { return string(p) + ":{_}:" + name }

// Partitions is the hash of the numbers of partitions, by entity.
func (p Prefix) Partitions() string { return p.Shared("partitions") }

// Pairing is the hash that names the database to which this Redis belongs.
func (p Prefix) Pairing() string { return p.Shared("pairing") }

// Probe is a key that is written to see whether Redis takes writes, and then ends by itself.
func (p Prefix) Probe() string { return p.Shared("probe") }

// GlobQuote makes a pattern of a text that is matched by itself alone.
func GlobQuote(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(s)
}
