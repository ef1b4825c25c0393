package inspect

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Slow is a command that took long.
type Slow struct {
	At      time.Time     `json:"at"`
	Took    time.Duration `json:"took_ns"`
	Command string        `json:"command"` // its name, or that of the script, and its first key; no values
}

// SlowCommands reads the newest entries of the slow log. Many hosted servers bar it:
// allowed is false then.
func (i *Inspector) SlowCommands(ctx context.Context, most int) (slow []Slow, allowed bool, err error) {
	err = i.redis.EachNode(ctx, func(ctx context.Context, node redis.Cmdable) error {
		client, ok := node.(interface {
			SlowLogGet(ctx context.Context, num int64) *redis.SlowLogCmd
		})
		if !ok {
			return nil
		}
		entries, err := client.SlowLogGet(ctx, int64(most)).Result()
		if err != nil && rdb.Answered(err) {
			return nil
		}
		if err != nil {
			return rdb.Fault("slowlog", err)
		}
		allowed = true
		for _, e := range entries {
			slow = append(slow, Slow{e.Time, e.Duration, describe(e.Args)})
		}
		return nil
	})
	slices.SortFunc(slow, func(a, b Slow) int { return b.At.Compare(a.At) })
	return slow[:min(len(slow), most)], allowed, err
}

// describe names a command and its first key.
func describe(args []string) string {
	if len(args) == 0 {
		return ""
	}
	name := strings.ToLower(args[0])
	if name != "eval" && name != "evalsha" {
		return strings.Join(append([]string{name}, args[1:min(len(args), 2)]...), " ")
	}
	words := []string{"script", "unknown"}
	if len(args) > 1 {
		if known := rdb.NameOf(args[1]); known != "" {
			words[1] = known
		}
	}
	return strings.Join(append(words, args[min(len(args), 3):min(len(args), 4)]...), " ")
}
