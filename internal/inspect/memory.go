package inspect

import (
	"cmp"
	"context"
	"embed"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Usage is what a sample of the keys says about memory.
type Usage struct {
	Sampled  int     `json:"sampled"`  // keys looked at
	Keys     int64   `json:"keys"`     // keys in the database, of all programs
	Whole    bool    `json:"whole"`    // every key was looked at
	Estimate bool    `json:"estimate"` // sizes are of the content: the server does not tell its own figure
	Groups   []Share `json:"groups"`   // by bytes, largest first
	Lives    []Share `json:"lives"`    // by what is left of their time to live, none first
	Largest  []Big   `json:"largest"`  // keys, largest first
}

// Share is the part of one entity, group of values or kind of key.
type Share struct {
	Name  string `json:"name"` // "entity user", "values page", "rank player", "other"
	Keys  int    `json:"keys"`
	Bytes int64  `json:"bytes"`
}

// Big is one key.
type Big struct {
	Key   string `json:"key"`
	Of    string `json:"of"` // as Share.Name
	Bytes int64  `json:"bytes"`
}

// Big looks at no more than sample of this deployment's keys, by SCAN in bounded steps, and
// reports the memory by entity and the largest keys, at most so many. Where the server
// bars MEMORY USAGE, sizes are those of the content. It returns what it has where the
// context ends first.
func (i *Inspector) Big(ctx context.Context, sample, largest int) (Usage, error) {
	u := Usage{Whole: true, Lives: newLives()}
	shares := map[string]*Share{}
	err := i.redis.EachNode(ctx, func(ctx context.Context, node redis.Cmdable) error {
		size, err := node.DBSize(ctx).Result()
		if err != nil {
			return rdb.Fault("big", err)
		}
		u.Keys += size
		for cursor := uint64(0); ; {
			names, next, err := node.Scan(ctx, cursor, layout.GlobQuote(string(i.prefix))+":*", memoryStep).Result()
			if err != nil {
				return rdb.Fault("scan", err)
			}
			if left := sample - u.Sampled; len(names) > left {
				names, u.Whole = names[:left], false
			}
			if err := i.weigh(ctx, node, names, &u, shares); err != nil {
				return err
			}
			u.Largest = heaviest(u.Largest, largest)
			if cursor = next; cursor == 0 || u.Sampled >= sample {
				u.Whole = u.Whole && cursor == 0
				return nil
			}
		}
	})
	if ctx.Err() != nil && u.Sampled > 0 {
		u.Whole, err = false, nil
	}
	for _, s := range shares {
		u.Groups = append(u.Groups, *s)
	}
	slices.SortFunc(u.Groups, func(a, b Share) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Name, b.Name))
	})
	return u, err
}

func heaviest(keys []Big, most int) []Big {
	slices.SortFunc(keys, func(a, b Big) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.Key, b.Key))
	})
	return keys[:min(len(keys), most)]
}

// weigh adds keys of one node to the usage.
func (in *Inspector) weigh(ctx context.Context, node redis.Cmdable, names []string, u *Usage,
	shares map[string]*Share) error {
	sizes, err := memory(ctx, node, names, u)
	if err != nil {
		return err
	}
	lives, err := timesToLive(ctx, node, names)
	if err != nil {
		return err
	}
	for i, name := range names {
		if sizes[i] == 0 {
			continue // gone since
		}
		class := &u.Lives[lifeClass(lives[i])]
		class.Keys++
		class.Bytes += sizes[i]
		of := owner(in.prefix, name)
		s := shares[of]
		if s == nil {
			s = &Share{Name: of}
			shares[of] = s
		}
		s.Keys++
		s.Bytes += sizes[i]
		u.Sampled++
		u.Largest = append(u.Largest, Big{name, of, sizes[i]})
	}
	return nil
}

// memoryStep is about how many keys one SCAN looks at.
const memoryStep = 1000

// bigSamples is how many elements of a key are weighed: all fields of most records, since
// one of them may be what is large.
const bigSamples = 100

// memory reads the size of keys in one round trip: the server's figure, or that of the
// content once it was refused.
func memory(ctx context.Context, node redis.Cmdable, names []string, u *Usage) ([]int64, error) {
	sizes := make([]int64, len(names))
	if !u.Estimate {
		p := node.Pipeline()
		cmds := make([]*redis.IntCmd, len(names))
		for i, name := range names {
			cmds[i] = p.MemoryUsage(ctx, name, bigSamples)
		}
		_, err := p.Exec(ctx)
		if err == nil || errors.Is(err, redis.Nil) {
			for i, cmd := range cmds {
				sizes[i] = cmd.Val()
			}
			return sizes, nil
		}
		if !rdb.Answered(err) {
			return nil, rdb.Fault("big", err)
		}
		u.Estimate = true // barred
	}
	if err := weighScript.LoadOn(ctx, node); err != nil {
		return nil, rdb.Fault("big", err)
	}
	p := node.Pipeline()
	cmds := make([]*redis.Cmd, len(names))
	for i, name := range names {
		cmds[i] = weighScript.EvalSha(ctx, p, []string{name}, bigSamples)
	}
	if _, err := p.Exec(ctx); err != nil && !rdb.Answered(err) {
		return nil, rdb.Fault("big", err)
	}
	for i, cmd := range cmds {
		sizes[i], _ = cmd.Int64()
	}
	return sizes, nil
}

// lifeClasses bound the classes of what is left of a time to live, after those of keys
// that have none.
var lifeClasses = []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 24 * time.Hour}

func newLives() []Share {
	return []Share{{Name: "none"}, {Name: "under 1 min"}, {Name: "under 10 min"}, {Name: "under 1 h"},
		{Name: "under 1 d"}, {Name: "1 d or more"}}
}

func lifeClass(left time.Duration) int {
	if left < 0 {
		return 0
	}
	i, _ := slices.BinarySearch(lifeClasses, left+1)
	return 1 + i
}

// timesToLive reads what is left to keys, below zero where they do not end.
func timesToLive(ctx context.Context, node redis.Cmdable, names []string) ([]time.Duration, error) {
	p := node.Pipeline()
	cmds := make([]*redis.DurationCmd, len(names))
	for i, name := range names {
		cmds[i] = p.PTTL(ctx, name)
	}
	if len(names) > 0 {
		if _, err := p.Exec(ctx); err != nil {
			return nil, rdb.Fault("big", err)
		}
	}
	lives := make([]time.Duration, len(names))
	for i, cmd := range cmds {
		lives[i] = cmd.Val()
	}
	return lives, nil
}

//go:embed lua/weigh.lua
var sources embed.FS

var weighScript = layout.Load(sources, "weigh")

// owner says whose a key is.
func owner(prefix layout.Prefix, name string) string {
	rest := strings.TrimPrefix(name, string(prefix)+":")
	if group, ok := strings.CutPrefix(rest, "v:{"); ok {
		group, _, _ = strings.Cut(group, ":")
		return "values " + group
	}
	if entity, ok := strings.CutPrefix(rest, "{"); ok {
		entity, kind, found := strings.Cut(entity, "/")
		if found {
			_, kind, _ = strings.Cut(kind, "}:")
			if strings.HasPrefix(kind, "r:") {
				return "entity " + entity
			}
			return "lists of " + entity
		}
	}
	return "other"
}
