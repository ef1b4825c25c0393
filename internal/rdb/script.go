package rdb

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Script is a Lua script. Make it once, at package level. It is safe for concurrent use.
type Script struct {
	Name string // label of afterwrite_redis_script_duration_seconds
	text string
	hash *redis.Script
}

// NewScript makes a script from its source.
func NewScript(name, text string) *Script {
	return &Script{Name: name, text: text, hash: redis.NewScript(text)}
}

// loaded lists the scripts that Load has made.
var loaded struct {
	mu      sync.Mutex
	scripts []*Script
}

// Load is [NewScript] for a script of the product: [Client.CheckRights] checks its commands, and [NameOf] finds it.
func Load(name, text string) *Script {
	s := NewScript(name, text)
	loaded.mu.Lock()
	defer loaded.mu.Unlock()
	loaded.scripts = append(loaded.scripts, s)
	return s
}

// Loaded returns the scripts made by [Load].
func Loaded() []*Script {
	loaded.mu.Lock()
	defer loaded.mu.Unlock()
	return slices.Clone(loaded.scripts)
}

// shownHead is the length of the head of a script's source that the slow log always shows.
const shownHead = 64

// NameOf returns the name of the loaded script that an argument of EVAL or EVALSHA stands for: its hash, or the head of
// its source as the slow log shows it. It returns "" if no loaded script matches.
func NameOf(shown string) string {
	for _, s := range Loaded() {
		if shown == s.hash.Hash() || head(shown) == head(s.text) {
			return s.Name
		}
	}
	return ""
}

func head(script string) string { return script[:min(len(script), shownHead)] }

// Queue adds a run of the script to a pipeline. A server that does not know the script runs nothing, and answers an
// error.
func (s *Script) Queue(ctx context.Context, p redis.Pipeliner, keys []string, args ...any) *redis.Cmd {
	return p.EvalSha(ctx, s.hash.Hash(), keys, args...)
}

// Call is one run of a script on keys of one slot, and afterwards its outcome. An answered Call can be sent once more.
type Call struct {
	*redis.Cmd // the outcome; nil before the call

	Script *Script
	// Words are the words of the EVALSHA command: the command and the script's hash, which are set when the call is
	// sent, then the number of keys, the keys and the arguments.
	Words []any
}

// HeadWords is the number of a call's words before the keys.
const HeadWords = 3

// Call returns a call of the script with keys and arguments.
func (s *Script) Call(keys []string, args ...any) *Call {
	words := make([]any, HeadWords, HeadWords+len(keys)+len(args))
	words[HeadWords-1] = len(keys)
	for _, key := range keys {
		words = append(words, key)
	}
	return &Call{Script: s, Words: append(words, args...)}
}

// Run calls an idempotent script that returns a list.
func (c *Client) Run(ctx context.Context, s *Script, keys []string, args ...any) ([]any, error) {
	reply, err := c.RunAny(ctx, s, keys, args...)
	if err != nil {
		return nil, err
	}
	list, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("%s script: reply is a %T, not a list", s.Name, reply)
	}
	return list, nil
}

// RunInt is [Client.Run] for a script that returns a number.
func (c *Client) RunInt(ctx context.Context, s *Script, keys []string, args ...any) (int, error) {
	reply, err := c.RunAny(ctx, s, keys, args...)
	if err != nil {
		return 0, err
	}
	n, ok := reply.(int64)
	if !ok {
		return 0, fmt.Errorf("%s script: reply is a %T, not a number", s.Name, reply)
	}
	return int(n), nil
}

// RunAny is [Client.Run] for a script that returns anything but nil.
func (c *Client) RunAny(ctx context.Context, s *Script, keys []string, args ...any) (any, error) {
	start := time.Now()
	reply, err := s.hash.Run(ctx, c.UniversalClient, keys, args...).Result()
	c.took(s, start)
	if err != nil {
		return nil, Fault(s.Name, err)
	}
	return reply, nil
}

// EvalSha adds a call of a script to a pipeline whose node has already loaded the script.
func (s *Script) EvalSha(ctx context.Context, p redis.Scripter, keys []string, args ...any) *redis.Cmd {
	return s.hash.EvalSha(ctx, p, keys, args...)
}

// LoadOn loads the script on a node.
func (s *Script) LoadOn(ctx context.Context, node redis.Scripter) error {
	return s.hash.Load(ctx, node).Err()
}

// Send makes calls of idempotent scripts in one round trip. Each call carries its own outcome.
func (c *Client) Send(ctx context.Context, calls ...*Call) {
	c.pipeline(ctx, c.UniversalClient, calls, true)
}

// SendOnce makes calls of scripts that must not run twice, in one round trip. It sends a call again only if Redis
// answered that it did not run it.
func (c *Client) SendOnce(ctx context.Context, calls ...*Call) {
	c.pipeline(ctx, c.Once, calls, false)
	c.redirect(ctx, calls)
}

// pipeline makes calls in one round trip. A call that Redis rejected because it does not know the script has not run,
// and is sent again with the script's source. Nothing else is repeated here; the client repeats what can be repeated.
// The metric counts the trip as one run of the first call's script.
func (c *Client) pipeline(ctx context.Context, client redis.UniversalClient, calls []*Call, repeats bool) {
	if len(calls) == 0 {
		return
	}
	start := time.Now()
	send(ctx, client, calls, false, repeats)
	var again []*Call
	for _, one := range calls {
		if err := one.Err(); err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
			again = append(again, one)
		}
	}
	if len(again) > 0 {
		send(ctx, client, again, true, repeats)
	}
	c.took(calls[0].Script, start)
}

func (c *Client) took(s *Script, start time.Time) {
	c.scripts.WithLabelValues(s.Name).Observe(time.Since(start).Seconds())
}

// once is a command that no client sends again after a network error, whatever its settings: the reply may be lost
// although the command has run.
type once struct{ *redis.Cmd }

func (once) NoRetry() bool { return true }

// send makes one trip, with the sources of the scripts or with their hashes. Each command carries its own error; an
// error of the whole trip, such as a pool without a free connection, is set on the commands that have no error.
func send(ctx context.Context, client redis.UniversalClient, calls []*Call, sources, repeats bool) {
	for _, one := range calls {
		one.Words[0], one.Words[1] = "evalsha", one.Script.hash.Hash()
		if sources {
			one.Words[0], one.Words[1] = "eval", one.Script.text
		}
		one.Cmd = redis.NewCmd(ctx, one.Words...)
		if one.Words[HeadWords-1] != 0 {
			one.SetFirstKeyPos(HeadWords)
		}
	}
	command := func(one *Call) redis.Cmder {
		if !repeats {
			return once{one.Cmd}
		}
		return one.Cmd
	}
	if len(calls) == 1 {
		_ = client.Process(ctx, command(calls[0])) // the command carries the error
		return
	}
	p := client.Pipeline()
	for _, one := range calls {
		_ = p.Process(ctx, command(one))
	}
	if _, err := p.Exec(ctx); err != nil {
		for _, one := range calls {
			if one.Err() == nil && one.Val() == nil {
				one.SetErr(err)
			}
		}
	}
}
