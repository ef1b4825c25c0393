package cache

import (
	"github.com/afterwrite/afterwrite/cache/internal/shared"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/schema"
)

func (c *Cache) recordKey(e *schema.Entity, id string) string {
	return c.wordsOf(e).record[e.Partition(id)] + id
}

// words are the parts of an entity's commands, prepared once for all reads and writes.
type words struct {
	stats  []any    // key of the stats of each partition
	record []string // for each partition, the beginning of a record's key
	whole  []any    // key for clusters, of each partition; see lua/write.lua
	write  []any    // arguments of the write script before the first partition's
	read   []any    // the fields of a record, see readFields
	look   []any    // arguments of the look script after the token

	members bool // the write script is told the member of each record in the rank

	missed shared.Misses
}

func (c *Cache) wordsOf(e *schema.Entity) *words {
	if made, ok := c.words.Load(e); ok {
		return made.(*words)
	}
	mark, _ := layout.RankMarks(e)
	w := &words{members: layout.HasMembers(e), write: []any{e.PartitionLimit(), e.Partitions,
		layout.MS(e.Flush.Delay), layout.MS(c.flagMargin), layout.MS(c.lease), c.keptOps, layout.MS(c.opAge),
		c.prefix.Channel(e.Name), mark, len(e.Fields)}}
	for i := range e.Fields {
		w.write = append(w.write, e.Fields[i].Name)
	}
	w.write = append(w.write, len(e.Renamed()))
	for _, i := range e.Renamed() {
		w.write = append(w.write, e.Fields[i].RenamedFrom, e.Fields[i].Name)
	}
	for _, field := range readFields(e) {
		w.read = append(w.read, field)
	}
	w.look = append([]any{layout.MS(c.lease)}, w.read[3:]...)
	for partition := range e.Partitions {
		base := c.prefix.Base(e, partition)
		w.stats = append(w.stats, base+layout.StatsSuffix)
		w.record = append(w.record, base+layout.RecordSuffix)
		w.whole = append(w.whole, base+layout.WholeSuffix)
	}
	made, _ := c.words.LoadOrStore(e, w)
	return made.(*words)
}
