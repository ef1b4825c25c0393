package tags

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/redis/go-redis/v9"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
	"github.com/afterwrite/afterwrite/schema"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	stampScript   = layout.Load(sources, "stamp")
	touchScript   = layout.Load(sources, "touch")
	watchScript   = layout.Load(sources, "watch")
	watchedScript = layout.Load(sources, "watched")
)

// DefaultKept bounds the tags whose last invalidation is remembered; see the documentation of package values for what
// forgetting one costs.
const DefaultKept = 100_000

// Topic is the channel on which the L1s of values read of sets, drops and tags.
const Topic = "~"

// mirrored bounds the tags whose stamps a process remembers; past it its L1s are dropped.
const mirrored = 50_000

// Table is the tags of one Redis: the stamp of the last invalidation of each. It is safe for concurrent use.
type Table struct {
	redis   *rdb.Client
	prefix  layout.Prefix
	kept    int
	sender  string // this process
	number  atomic.Int64
	watches watches // entities that values depend on

	mu     sync.Mutex // guards what follows
	full   func()     // drops the L1s; nil: there is none
	stamps map[string]int64
}

// New returns the tags of a Redis, of which it keeps so many.
func New(client *rdb.Client, prefix layout.Prefix, kept int) *Table {
	return &Table{redis: client, prefix: prefix, kept: kept, sender: rand.Text(), stamps: map[string]int64{}}
}

// Touch invalidates the tags of some names: it gives them a new stamp.
func (t *Table) Touch(ctx context.Context, names []string) error {
	for len(names) > 0 {
		n := min(len(names), layout.ScanStep)
		args := []any{t.kept, t.prefix.Channel(Topic), t.sender, t.number.Add(1)}
		for _, name := range names[:n] {
			args = append(args, name)
		}
		reply, err := t.redis.RunAny(ctx, touchScript, []string{t.key()}, args...)
		if err != nil {
			return err
		}
		t.Touched(int64(layout.Version(layout.Text(reply))), names[:n])
		names = names[n:]
	}
	return nil
}

// TouchAny invalidates the tags of an entity and of all of its records.
func (t *Table) TouchAny(ctx context.Context, e *schema.Entity) error {
	return t.Touch(ctx, []string{Entity(e).name, anyRecord(e)})
}

// Message is a message to the L1s of other processes: its kind, this process and the message's number, so that others
// notice the loss of one, and texts.
func (t *Table) Message(kind string, texts ...string) (channel, message string, err error) {
	all := append([]string{kind, t.sender, strconv.FormatInt(t.number.Add(1), 10)}, texts...)
	b, err := json.Marshal(all)
	return t.prefix.Channel(Topic), string(b), err
}

// Own reports whether a process is this one.
func (t *Table) Own(sender string) bool { return sender == t.sender }

// Mirror makes the process remember stamps for its L1s. If they are too many, full drops the L1s; it must not call the
// table.
func (t *Table) Mirror(full func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.full = full
}

// Touched notes the stamp of tags that were invalidated.
func (t *Table) Touched(stamp int64, names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.full == nil {
		return
	}
	if len(t.stamps)+len(names) > mirrored {
		clear(t.stamps)
		t.full()
	}
	for _, name := range names {
		t.stamps[name] = max(t.stamps[name], stamp)
	}
}

// Untouched reports whether no tag of a value was invalidated after the stamp that its load has taken, as far as this
// process has read.
func (t *Table) Untouched(stamp int64, names []string) bool {
	if len(names) == 0 {
		return true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, name := range names {
		if t.stamps[name] > stamp {
			return false
		}
	}
	return true
}

func (t *Table) key() string { return string(t.prefix) + ":{_t}:tags" }

// The members of the tags' ZSET that are no tags.
const (
	stampNewest = "n" // stamp of the newest invalidation
	stampFloor  = "f" // named tags with older stamps were forgotten
)

// Stamps are those of some tags at one moment. A tag without one was not invalidated since the floor.
type Stamps struct {
	newest, floor int64
	of            map[string]int64
}

// Ask adds a read of stamps to a pipeline.
func (t *Table) Ask(ctx context.Context, p redis.Pipeliner, names []string) *redis.FloatSliceCmd {
	return p.ZMScore(ctx, t.key(), append([]string{stampNewest, stampFloor}, names...)...)
}

// Answer reads the answer to [Table.Ask]; nil where nothing was asked.
func Answer(cmd *redis.FloatSliceCmd, names []string) *Stamps {
	if cmd == nil || len(cmd.Val()) != len(names)+2 {
		return nil
	}
	scores := cmd.Val()
	s := &Stamps{newest: int64(scores[0]), floor: int64(scores[1]), of: make(map[string]int64, len(names))}
	for i, name := range names {
		s.of[name] = int64(scores[i+2])
	}
	return s
}

// Tell says whether a value with these tags, whose load has taken a stamp, is valid, or that the stamps do not tell.
func (s *Stamps) Tell(stamp int64, names []string) (valid, known bool) {
	if s == nil {
		return false, false
	}
	if s.newest == 0 || stamp == 0 || stamp < s.floor {
		return false, true // Redis has lost the tags, or forgotten the oldest
	}
	if stamp >= s.newest {
		return true, true // nothing was invalidated since
	}
	for _, name := range names {
		last, ok := s.of[name]
		if !ok {
			return false, false
		}
		if last > stamp {
			return false, true
		}
	}
	return true, true
}

// Newest reads the newest stamp.
func (t *Table) Newest(ctx context.Context) (int64, error) {
	call := t.NewestCall()
	t.redis.Send(ctx, call)
	return t.NewestOf(call)
}

// NewestCall is [Table.Newest] as a call, for a trip that it shares.
func (t *Table) NewestCall() *rdb.Call { return stampScript.Call([]string{t.key()}) }

// NewestOf reads the answer to a [Table.NewestCall].
func (t *Table) NewestOf(call *rdb.Call) (int64, error) {
	if err := call.Err(); err != nil {
		return 0, rdb.Fault("stamp", err)
	}
	texts, err := call.StringSlice()
	if err != nil || len(texts) != 2 {
		return 0, rdb.Fault("stamp", errors.Join(errors.New("stamp script: another reply"), err))
	}
	t.watches.seen(texts[1])
	return int64(layout.Version(texts[0])), nil
}
