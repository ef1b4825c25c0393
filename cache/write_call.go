package cache

import (
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"sync"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

var writeScript = layout.Load(sources, "write")

// writeCall returns a call for groups of one entity; see the header of lua/write.lua. It refers to the values of the
// writes instead of copying them: they must not change until the call was sent.
func (c *Cache) writeCall(groups []*Group) *rdb.Call {
	e, writes := groups[0].Entity, 0
	for _, g := range groups {
		writes += len(g.Writes)
	}
	same, one := c.wordsOf(e), writeCalls.Get().(*rdb.Call)
	words := append(one.Words[:0], "", "", len(groups)+writes)
	words = slices.Grow(words, len(groups)+writes+1+len(same.write)+2+len(groups)+writes*(1+len(e.Fields)))
	for _, g := range groups {
		words = append(words, same.stats[g.Partition])
	}
	for _, g := range groups {
		for i := range g.Writes {
			words = append(words, same.record[g.Partition]+g.Writes[i].ID)
		}
	}
	if c.redis.Clustered() {
		words = append(words, same.whole[groups[0].Partition])
		words[rdb.HeadWords-1] = len(groups) + writes + 1
	}
	settings := len(words)
	words = append(append(words, same.write...), thoughFull(groups), len(groups))
	if groups[0].Unscheduled {
		words[settings+writeMargin] = ""
	}
	for _, g := range groups {
		words = append(words, len(g.Writes))
		for i := range g.Writes {
			if same.members {
				words = append(words, layout.Member(e, g.Writes[i].ID))
			}
			words = c.appendWrite(words, e, &g.Writes[i])
		}
	}
	one.Words = words
	return one
}

// thoughFull is "1" if a write of the groups is accepted by a Redis that is full, else "".
func thoughFull(groups []*Group) string {
	for _, g := range groups {
		for i := range g.Writes {
			if g.Writes[i].ThoughFull || g.Writes[i].Op == OpDiscard {
				return "1"
			}
		}
	}
	return ""
}

// writeMargin is the index of the scheduled flag's margin among the script's arguments.
const writeMargin = 3

// writeCalls pools answered calls: their words were most of what a lone write allocated.
var writeCalls = sync.Pool{New: func() any { return &rdb.Call{Script: writeScript} }}

// keptWords bounds the words of a call that is reused.
const keptWords = 4096

func done(one *rdb.Call) {
	clear(one.Words)
	one.Cmd = nil
	if cap(one.Words) <= keptWords {
		writeCalls.Put(one)
	}
}

var forms = map[Op]string{
	OpPut: "px", OpCreate: "cx", OpPatch: "ax", OpIncrement: "ix", OpDelete: "dx", OpDiscard: "rx",
}

func (c *Cache) appendWrite(args []any, e *schema.Entity, w *Write) []any {
	if w.Op == OpPut && w.IfMatch == 0 && w.Key == "" && w.Origin == nil {
		return appendValues(append(args, "p"), w.Values)
	}
	form := forms[w.Op]
	if w.Op == OpDiscard && w.Values == nil {
		form = "gx"
	}
	if w.Origin != nil {
		args = append(args, form+"t", layout.OriginTrace(w.Origin), layout.OriginRequest(w.Origin))
	} else {
		args = append(args, form)
	}
	args = append(args, ifMatch(w.IfMatch), w.key(), w.KeyHash, keptOwner(w.Owner), newToken(), w.Token)
	args = c.appendRow(args, e, w.row(e))
	switch {
	case w.Op == OpDelete || form == "gx":
		return args
	case w.Op == OpIncrement:
		return appendDeltas(args, e, w.Deltas)
	case w.Op == OpPatch:
		for i := range w.Values {
			args = append(args, &w.Values[i])
		}
		return args
	}
	return appendValues(args, w.Values)
}

// key returns the operation id as stored, which includes the record. Two records' ids may or may not be in one
// partition, and a caller should not notice the difference.
func (w *Write) key() string {
	if w.Key == "" {
		return ""
	}
	return keptKey(w.Key + "\x00" + w.ID)
}

// longKey is the size from which an operation id is stored as its hash, so that its size in Redis is bounded: ids of
// the usual length are stored unchanged.
const longKey = 64

func keptKey(key string) string {
	if len(key) <= longKey {
		return key
	}
	sum := sha256.Sum256([]byte(key))
	return "#" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// keptOwner is the owner of an operation id as stored.
func keptOwner(owner string) string {
	if owner == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(owner))
	return base64.RawURLEncoding.EncodeToString(sum[:9])
}

func ifMatch(v schema.Version) string {
	switch v {
	case 0:
		return ""
	case AnyVersion:
		return "*"
	}
	return v.String()
}

func (c *Cache) appendRow(args []any, e *schema.Entity, row *schema.Row) []any {
	switch {
	case row == nil:
		return append(args, "", 0)
	case !row.Exists:
		return append(args, "0", layout.MS(e.Cache.NegativeTTL))
	}
	return appendValues(append(args, "1", layout.MS(layout.TTL(e, row.Values, false))), row.Values)
}

// appendValues appends a whole record, which has every field.
func appendValues(args []any, values schema.Values) []any {
	for i := range values {
		if values[i] == "" {
			args = append(args, schema.Null)
		} else {
			args = append(args, &values[i]) // a text itself would be copied to the heap
		}
	}
	return args
}

func appendDeltas(args []any, e *schema.Entity, deltas []Delta) []any {
	args = append(args, 4*len(deltas))
	for _, d := range deltas {
		low, high := e.Fields[d.Field].IntBounds()
		args = append(args, e.Fields[d.Field].Name, d.By, low, high)
	}
	return args
}
