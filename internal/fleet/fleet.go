package fleet

import (
	"context"
	"embed"
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

//go:embed lua/*.lua
var sources embed.FS

var (
	beatScript = layout.Load(sources, "beat")
	leadScript = layout.Load(sources, "lead")
)

// PolicyHint is the hint that a retry policy has changed in the database.
const PolicyHint = "policies"

// Fleet is the processes that share one Redis. It is safe for concurrent use.
type Fleet struct {
	redis  *rdb.Client
	prefix layout.Prefix
}

// New returns the fleet of a Redis and a prefix. It closes neither.
func New(redis *rdb.Client, prefix layout.Prefix) *Fleet { return &Fleet{redis, prefix} }

func (f *Fleet) processesKey() string       { return f.prefix.Shared("processes") }
func (f *Fleet) marksKey() string           { return f.prefix.Shared("marks") }
func (f *Fleet) leadKey(name string) string { return f.prefix.Shared("lead:" + name) }

// Lead takes the lease of that name for a time, or renews it, and says whether the holder
// has it. At most one holder has it at a time, as far as their clocks agree with Redis's:
// what a leader does must be harmless when two do it.
func (f *Fleet) Lead(ctx context.Context, name, holder string, life time.Duration) (bool, error) {
	n, err := f.redis.RunInt(ctx, leadScript, []string{f.leadKey(name)}, holder, layout.MS(life))
	return n == 1, err
}

// Resign gives a lease back, if the holder has it.
func (f *Fleet) Resign(ctx context.Context, name, holder string) error {
	_, err := f.redis.RunInt(ctx, leadScript, []string{f.leadKey(name)}, holder, 0)
	return err
}

// Process is a process that said lately that it lives.
type Process struct {
	Kind string            `json:"kind"` // api, worker, dashboard
	ID   string            `json:"id"`   // host and process number
	Info map[string]string `json:"info"`
	Till time.Time         `json:"-"` // believed to live until then, by the clock of Redis
}

// NewID names a process so that no other, before or after it, has its name.
func NewID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + strconv.Itoa(os.Getpid()) + "/" + uuid.NewString()[:8]
}

// maxInfo bounds the bytes of an error among the info of a process.
const maxInfo = 1024

// Beat says that a process lives, for that long. Errors in its info are cut to 1 KiB.
func (f *Fleet) Beat(ctx context.Context, kind, id string, info map[string]string, life time.Duration) error {
	for _, name := range []string{DatabaseInfo, PairingInfo} {
		if why := info[name]; len(why) > maxInfo {
			info[name] = strings.ToValidUTF8(why[:maxInfo], "")
		}
	}
	text, err := json.Marshal(Process{Kind: kind, ID: id, Info: info})
	if err != nil {
		return err
	}
	_, err = f.redis.RunInt(ctx, beatScript, []string{f.processesKey()}, kind+":"+id, text, layout.MS(life))
	return err
}

// Leave takes a process that stops off the list of the living.
func (f *Fleet) Leave(ctx context.Context, kind, id string) error {
	if err := f.redis.HDel(ctx, f.processesKey(), kind+":"+id).Err(); err != nil {
		return rdb.Fault("leave", err)
	}
	return nil
}

// Alive lists the processes that live, by kind and id, and forgets those that do not.
func (f *Fleet) Alive(ctx context.Context) ([]Process, error) {
	all, err := f.redis.HGetAll(ctx, f.processesKey()).Result()
	if err != nil {
		return nil, rdb.Fault("alive", err)
	}
	now, err := f.redis.Time(ctx).Result()
	if err != nil {
		return nil, rdb.Fault("alive", err)
	}
	var alive []Process
	var dead []string
	for key, text := range all {
		p, err := process(text)
		if err != nil || now.Sub(p.Till) > time.Minute {
			dead = append(dead, key)
		} else if now.Before(p.Till) {
			alive = append(alive, p)
		}
	}
	if len(dead) > 0 {
		if err := f.redis.HDel(ctx, f.processesKey(), dead...).Err(); err != nil {
			return nil, rdb.Fault("alive", err)
		}
	}
	slices.SortFunc(alive, func(a, b Process) int {
		if n := strings.Compare(a.Kind, b.Kind); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	return alive, nil
}

// process reads what beat.lua has written.
func process(text string) (p Process, err error) {
	till, told, _ := strings.Cut(text, " ")
	ms, err := strconv.ParseInt(till, 10, 64)
	if err != nil {
		return p, err
	}
	err = json.Unmarshal([]byte(told), &p)
	p.Till = time.UnixMilli(ms)
	return p, err
}
