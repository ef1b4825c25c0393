package cache

import (
	"strconv"

	"github.com/afterwrite/afterwrite/schema"
)

// keys are the names of one partition's keys; doc.go draws them.
type keys struct {
	stats, pending, held, dead, why, letters, stream, ops, opsAt string
	rank, build, unsure                                          string // see rank.go
	record                                                       string // without the id
}

// What follows the base in the names that every write has.
const (
	statsSuffix  = "stats" // lua/write.lua finds the base before it
	recordSuffix = "r:"    // then the id
	wholeSuffix  = "whole" // never there: see lua/write.lua
)

// base begins the name of every key of a partition.
func (c *Cache) base(e *schema.Entity, partition int) string {
	return c.prefix + ":{" + e.Name + "/" + strconv.Itoa(partition) + "}:"
}

func (c *Cache) keys(e *schema.Entity, partition int) keys {
	base := c.base(e, partition)
	return keys{
		stats: base + statsSuffix, pending: base + "pending", held: base + "held", dead: base + "dead",
		why: base + "why", letters: base + "letters", stream: base + "stream", ops: base + "ops", opsAt: base + "opsAt",
		rank: base + "rank", build: base + "rankBuild", unsure: base + "rankUnsure", record: base + recordSuffix,
	}
}

func (k keys) lists() []string { return []string{k.stats, k.pending, k.held, k.dead, k.why} }

func (k keys) ranks() []string { return []string{k.rank, k.build, k.unsure} }

func (c *Cache) recordKey(e *schema.Entity, id string) string {
	return c.wordsOf(e).record[e.Partition(id)] + id
}

// words are what Redis is told of an entity with every write and read, made once.
type words struct {
	stats  []any    // key of the stats of each partition
	record []string // of each partition, what the key of a record begins with
	whole  []any    // key that a cluster is asked with, of each partition; see lua/write.lua
	write  []any    // arguments of the write script before those of the first partition
	read   []any    // the fields of a record, see readFields
}

func (c *Cache) wordsOf(e *schema.Entity) *words {
	if made, ok := c.words.Load(e); ok {
		return made.(*words)
	}
	w := &words{write: []any{e.PartitionLimit(), e.Partitions, ms(e.Flush.Delay), ms(c.flagMargin),
		ms(c.lease), c.keptOps, ms(c.opAge), c.channel(e.Name), e.RankBy, len(e.Fields)}}
	for i := range e.Fields {
		w.write = append(w.write, e.Fields[i].Name)
	}
	for _, field := range readFields(e) {
		w.read = append(w.read, field)
	}
	for partition := range e.Partitions {
		base := c.base(e, partition)
		w.stats = append(w.stats, base+statsSuffix)
		w.record = append(w.record, base+recordSuffix)
		w.whole = append(w.whole, base+wholeSuffix)
	}
	made, _ := c.words.LoadOrStore(e, w)
	return made.(*words)
}

func (c *Cache) partitionsKey() string        { return c.prefix + ":{_}:partitions" }
func (c *Cache) probeKey() string             { return c.prefix + ":{_}:probe" }
func (c *Cache) processesKey() string         { return c.prefix + ":{_}:processes" }
func (c *Cache) marksKey() string             { return c.prefix + ":{_}:marks" }
func (c *Cache) leadKey(name string) string   { return c.prefix + ":{_}:lead:" + name }
func (c *Cache) channel(entity string) string { return c.prefix + ":events:" + entity }
