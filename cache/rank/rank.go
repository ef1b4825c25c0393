// Package rank reads the ranks of entities with rank.by, and rebuilds them from the database.
//
// # Ranks
//
// Every partition of a ranked entity has a sorted set of all records with a score, cached or not. Whatever changes a
// record changes its place in the same step: a write, and a fill or the end of a write through, which bring a row's
// state into Redis. A record whose score is null has no place. Reads merge the partitions.
//
// Of equal scores the smaller id comes first: ints, and the columns of a key of several, by their values, all else by
// its bytes. Builds before ordered every id by its bytes. Both sorts of sets are kept and read, see
// internal/layout/member.go; a rebuild makes the set that it is told to make.
//
// The set has no TTL. It is complete from the end of a rebuild (see [Ranks.Rebuild]) until Redis loses its data, the
// number of partitions or the ranking field changes, or a process that ranks by another field writes. All of these
// remove the mark k of the partition, and reads return ErrIncomplete until the rank is rebuilt.
//
// An id is unsure while its row may have another score than the set: a write is going through the database, the record
// was invalidated, or Redis has lost it. A read first loads those records, and the fill puts them at their place.
package rank

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

// ErrIncomplete reports a rank that does not contain every record. It is rebuilt from the database; try again
// later.
var ErrIncomplete = errors.New("the rank is not complete; it must be rebuilt")

// ErrUnranked reports a record that does not exist, or whose score is null.
var ErrUnranked = errors.New("the record is not ranked")

// Max bounds the records of one read of a rank.
const Max = 1000

// rounds bounds how often a read loads unsure records before it answers with the rank as it is.
const rounds = 3

//go:embed lua/*.lua
var sources embed.FS

var (
	rankScript        = layout.Load(sources, "rank")
	rerankScript      = layout.Load(sources, "rerank")
	rerankBeginScript = layout.Load(sources, "rerank_begin")
	rerankEndScript   = layout.Load(sources, "rerank_end")
)

// Ranks are the ranks of the entities of one cache. They are safe for concurrent use.
type Ranks struct {
	redis  *rdb.Client
	prefix layout.Prefix
	cache  *cache.Cache
}

// New returns the ranks of a cache.
func New(c *cache.Cache) *Ranks { return &Ranks{redis: c.Redis(), prefix: c.Prefix(), cache: c} }

// Place is a record's place in the rank of its entity.
type Place struct {
	Rank  int64 // from 1, the greatest score first; of equal scores the smaller id
	ID    string
	Score float64 // exact: an int that ranks is bounded by ±(2^53-1)
}

// Top reads the n best records, at most Max, and the number of ranked records. Each partition is read at one
// moment, but not all at the same one. Errors: ErrIncomplete, ErrUnavailable.
func (r *Ranks) Top(ctx context.Context, e *schema.Entity, n int) ([]Place, int64, error) {
	n = min(n, Max)
	parts, err := r.sure(ctx, e, n, nil)
	if err != nil {
		return nil, 0, err
	}
	var members []member
	total := int64(0)
	for _, p := range parts {
		members = append(members, p.right...)
		total += p.ranked
	}
	return places(members, 1, n), total, nil
}

// Around reads up to n records around one, with the record in the middle if there are enough on both sides, and the
// number of ranked records. With n = 1 it returns the record's own place. The place is that of the record's score at
// the beginning of the read. Errors: ErrUnranked, ErrIncomplete, ErrUnavailable.
func (r *Ranks) Around(ctx context.Context, e *schema.Entity, id string, n int) ([]Place, int64, error) {
	n = max(1, min(n, Max))
	var self member
	parts, err := r.sure(ctx, e, n-1, func(ctx context.Context) (member, error) {
		var err error
		self, err = r.place(ctx, e, id)
		return self, err
	})
	if err != nil {
		return nil, 0, err
	}
	before, total := int64(0), int64(0)
	var left, right []member
	for _, p := range parts {
		before += p.before
		total += p.ranked
		left = append(left, p.left...)
		right = append(right, p.right...)
	}
	other := func(m member) bool { return m.id == id } // it may have moved meanwhile
	left, right = slices.DeleteFunc(left, other), slices.DeleteFunc(right, other)
	slices.SortFunc(left, func(a, b member) int { return b.compare(a) })
	slices.SortFunc(right, member.compare)
	up := min(len(left), max((n-1)/2, n-1-len(right)))
	down := min(len(right), n-1-up)
	members := append(slices.Clone(left[:up]), self)
	return places(append(members, right[:down]...), before+1-int64(up), n), total, nil
}

// member is a member of a partition's sorted set.
type member struct {
	score    float64 // negated
	id, name string  // its id, and the member itself
}

func (m member) compare(o member) int {
	return cmp.Or(cmp.Compare(m.score, o.score), cmp.Compare(m.name, o.name))
}

// places ranks the first n of the sorted members, beginning with the rank first.
func places(members []member, first int64, n int) []Place {
	slices.SortFunc(members, member.compare)
	members = members[:min(n, len(members))]
	list := make([]Place, len(members))
	for i, m := range members {
		list[i] = Place{Rank: first + int64(i), ID: m.id, Score: 0 - m.score} // 0-x is never -0
	}
	return list
}

// place reads a record's position in its partition. No member by values is another record's id.
func (r *Ranks) place(ctx context.Context, e *schema.Entity, id string) (member, error) {
	key := r.prefix.Keys(e, e.Partition(id)).Rank
	for _, name := range []string{layout.Member(e, id), id} {
		score, err := r.redis.ZScore(ctx, key, name).Result()
		if err == nil {
			return member{score, id, name}, nil
		}
		if !errors.Is(err, redis.Nil) {
			return member{}, rdb.Fault("rank", err)
		}
	}
	return member{}, fmt.Errorf("rank of %s: %w", e.Name, ErrUnranked)
}

// part is the reply of one partition; see lua/rank.lua.
type part struct {
	mark           string
	unsure         []string
	ranked, before int64
	left, right    []member
}

// sure reads every partition's part of the rank around a place, or from its beginning if of is nil, after it has
// loaded the unsure records.
func (r *Ranks) sure(ctx context.Context, e *schema.Entity, side int,
	of func(context.Context) (member, error)) ([]part, error) {
	if e.RankBy == "" {
		return nil, fmt.Errorf("%s is not ranked: %w", e.Name, ErrIncomplete)
	}
	for round := 1; ; round++ {
		score, id, unplaced := "", "", error(nil)
		if of != nil {
			m, err := of(ctx)
			if err != nil && !errors.Is(err, ErrUnranked) {
				return nil, err
			}
			// A record without a place may be unsure, or the rank incomplete: check that first.
			unplaced = err
			score, id = strconv.FormatFloat(m.score, 'g', -1, 64), m.id
		}
		parts, err := r.parts(ctx, e, side, score, id)
		if err != nil {
			return nil, err
		}
		var unsure []string
		for _, p := range parts {
			unsure = append(unsure, p.unsure...)
		}
		if len(unsure) == 0 || round == rounds {
			return parts, unplaced
		}
		if _, err := r.cache.GetMany(ctx, e, unsure); err != nil {
			return nil, fmt.Errorf("rank of %s: %w", e.Name, err)
		}
	}
}

func (r *Ranks) parts(ctx context.Context, e *schema.Entity, side int, score, id string) ([]part, error) {
	calls := make([]*rdb.Call, e.Partitions)
	values, ids := layout.RankMarks(e)
	for i := range calls {
		k := r.prefix.Keys(e, i)
		calls[i] = rankScript.Call([]string{k.Stats, k.Rank, k.Unsure}, values, k.Record, side, score, id,
			layout.Member(e, id), ids)
	}
	r.redis.Send(ctx, calls...)
	parts := make([]part, len(calls))
	for i, one := range calls {
		reply, err := one.Slice()
		if err != nil {
			return nil, rdb.Fault("rank", err)
		}
		if len(reply) != 6 {
			return nil, fmt.Errorf("rank script: %d values", len(reply))
		}
		if layout.Text(reply[0]) == "" {
			return nil, fmt.Errorf("rank of %s: %w", e.Name, ErrIncomplete)
		}
		if !parts[i].read(e, reply) {
			return nil, r.discard(ctx, e)
		}
	}
	return parts, nil
}

// discard removes the marks of a rank by values that has other members: a process of an older build has put a record
// there when it read it. A rebuild puts it right.
func (r *Ranks) discard(ctx context.Context, e *schema.Entity) error {
	for i := range e.Partitions {
		if err := r.redis.HDel(ctx, r.prefix.Keys(e, i).Stats, "k").Err(); err != nil {
			return rdb.Fault("rank", err)
		}
	}
	return fmt.Errorf("rank of %s: %w", e.Name, ErrIncomplete)
}

// read decodes a reply, and reports whether all its members are of the rank's sort.
func (p *part) read(e *schema.Entity, reply []any) bool {
	p.mark = layout.Text(reply[0])
	ids, _ := reply[1].([]any)
	for _, id := range ids {
		p.unsure = append(p.unsure, layout.Text(id))
	}
	p.ranked, _ = reply[2].(int64)
	p.before, _ = reply[3].(int64)
	var left, right bool
	p.left, left = p.members(e, reply[4])
	p.right, right = p.members(e, reply[5])
	return left && right
}

func (p *part) members(e *schema.Entity, reply any) (found []member, ok bool) {
	byValues := p.mark == ByValues.mark(e)
	list, _ := reply.([]any)
	found = make([]member, 0, len(list)/2)
	for i := 0; i+1 < len(list); i += 2 {
		name := layout.Text(list[i+1])
		id := name
		if byValues {
			if id, ok = layout.MemberID(e, name); !ok {
				return nil, false
			}
		}
		score, _ := strconv.ParseFloat(layout.Text(list[i]), 64)
		found = append(found, member{score, id, name})
	}
	return found, true
}
