package cache

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// DefaultKeptTags bounds the tags whose last invalidation is remembered; see doc.go for
// what forgetting one costs.
const DefaultKeptTags = 100_000

// Tag names what a value depends on. A value is invalid from the moment that one of its
// tags is invalidated, and so is one whose load had begun by then.
type Tag struct {
	name string
	e    *schema.Entity // nil for a named tag
	of   bool           // of one record of e
}

// NamedTag is a tag that the program invalidates itself, by [Cache.InvalidateTags].
func NamedTag(name string) Tag { return Tag{name: namedTag + name} }

const namedTag = "t:"

// EntityTag stands for all records of an entity: any change of any of them, accepted,
// persisted or invalidated, invalidates it.
func EntityTag(e *schema.Entity) Tag { return Tag{name: "e:" + e.Name, e: e} }

// RecordTag stands for one record; id is canonical.
func RecordTag(e *schema.Entity, id string) Tag {
	return Tag{name: recordTag(e, id), e: e, of: true}
}

// String names the tag in logs.
func (t Tag) String() string { return t.name[2:] }

func recordTag(e *schema.Entity, id string) string { return "r:" + e.Name + ":" + id }

// anyRecordTag is on every value that has a tag of some record: it stands for a change
// of records whose ids are not known, and for record tags that were forgotten.
func anyRecordTag(e *schema.Entity) string { return anyTag + e.Name }

const anyTag = "a:"

// tagNames are the names of tags, each once, those of any record included.
func tagNames(lists ...[]Tag) []string {
	var names []string
	for _, tags := range lists {
		for _, t := range tags {
			names = append(names, t.name)
			if t.of {
				names = append(names, anyRecordTag(t.e))
			}
		}
	}
	if len(names) < 2 {
		return names
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// InvalidateTags invalidates every value that has one of the tags, in all processes, and
// every load under way that will have one. It costs one small step however many values
// that are: they are found invalid when they are looked up.
func (c *Cache) InvalidateTags(ctx context.Context, tags ...Tag) error {
	if len(tags) == 0 {
		return nil
	}
	return c.touch(ctx, tagNames(tags))
}

// touch gives tags a new stamp.
func (c *Cache) touch(ctx context.Context, names []string) error {
	for len(names) > 0 {
		n := min(len(names), scanStep)
		args := []any{c.keptTags, c.prefix.Channel(localTopic), c.locals.sender, c.locals.next()}
		for _, name := range names[:n] {
			args = append(args, name)
		}
		reply, err := c.redis.RunAny(ctx, touchScript, []string{c.tagsKey()}, args...)
		if err != nil {
			return err
		}
		c.locals.touched(int64(layout.Version(layout.Text(reply))), names[:n])
		names = names[n:]
	}
	return nil
}

func (c *Cache) tagsKey() string { return string(c.prefix) + ":{_t}:tags" }

// The members of the tags' ZSET that are no tags.
const (
	stampNewest = "n" // stamp of the newest invalidation
	stampFloor  = "f" // named tags with older stamps were forgotten
	stampBorn   = "b" // when the ZSET was made
)

// stamps are those of some tags at one moment. A tag without one was not invalidated
// since the floor.
type stamps struct {
	newest, floor int64
	of            map[string]int64
}

func (c *Cache) askStamps(ctx context.Context, p redis.Pipeliner, names []string) *redis.FloatSliceCmd {
	return p.ZMScore(ctx, c.tagsKey(), append([]string{stampNewest, stampFloor}, names...)...)
}

// readStamps reads the answer to askStamps; nil where nothing was asked.
func readStamps(cmd *redis.FloatSliceCmd, names []string) *stamps {
	if cmd == nil || len(cmd.Val()) != len(names)+2 {
		return nil
	}
	scores := cmd.Val()
	s := &stamps{newest: int64(scores[0]), floor: int64(scores[1]), of: make(map[string]int64, len(names))}
	for i, name := range names {
		s.of[name] = int64(scores[i+2])
	}
	return s
}

// tell says whether an entry is valid, or that the stamps do not tell.
func (s *stamps) tell(e *entry) (valid, known bool) {
	if s == nil {
		return false, false
	}
	if s.newest == 0 || e.stamp == 0 || e.stamp < s.floor {
		return false, true // Redis has lost the tags, or forgotten the oldest
	}
	if e.stamp >= s.newest {
		return true, true // nothing was invalidated since
	}
	for _, tag := range e.tags {
		stamp, ok := s.of[tag]
		if !ok {
			return false, false
		}
		if stamp > e.stamp {
			return false, true
		}
	}
	return true, true
}

// dropInvalid puts nil in the place of entries whose tags were invalidated after their
// load had begun.
func (v *Values[T]) dropInvalid(ctx context.Context, found []*entry, known *stamps) error {
	var names []string
	for i, e := range found {
		if e == nil || len(e.tags) == 0 {
			continue
		}
		v.tagged.Store(true)
		valid, told := known.tell(e)
		if !told {
			names = append(names, e.tags...)
		} else if !valid {
			found[i] = nil
		}
	}
	if len(names) == 0 {
		return nil
	}
	p := v.cache.redis.Pipeline()
	cmd := v.cache.askStamps(ctx, p, names)
	if _, err := p.Exec(ctx); err != nil {
		return rdb.Fault("tags", err)
	}
	known = readStamps(cmd, names)
	for i, e := range found {
		if e == nil || len(e.tags) == 0 {
			continue
		}
		if valid, _ := known.tell(e); !valid {
			found[i] = nil
		}
	}
	return nil
}

// leaseAndStamp asks for a lease, and before a load may begin for the newest stamp, in
// one round trip though their slots differ.
func (c *Cache) leaseAndStamp(ctx context.Context, k valueKey, token string, lease time.Duration,
	unusable string) ([]any, int64, error) {
	leaseCall, stampCall := vleaseScript.Call(k.names(), token, layout.MS(lease), unusable),
		stampScript.Call([]string{c.tagsKey()})
	c.redis.Send(ctx, leaseCall, stampCall)
	if err := errors.Join(leaseCall.Err(), stampCall.Err()); err != nil {
		return nil, 0, rdb.Fault("load", err)
	}
	texts, err := stampCall.StringSlice()
	if err != nil || len(texts) != 2 {
		return nil, 0, rdb.Fault("load", errors.Join(errors.New("stamp script: another reply"), err))
	}
	c.watches.seen(texts[1])
	reply, err := leaseCall.Slice()
	if err != nil {
		return nil, 0, rdb.Fault("load", err)
	}
	return reply, int64(layout.Version(texts[0])), nil
}
