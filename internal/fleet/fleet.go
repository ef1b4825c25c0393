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

// UnknownHint is the topic of the hint that a worker has left records with fields that it does not know.
const UnknownHint = "unknown"

// PolicyHint is the topic of the hint that a retry policy has changed in the database.
const PolicyHint = "policies"

// Fleet is the set of processes that share one Redis. It is safe for concurrent use.
type Fleet struct {
	redis  *rdb.Client
	prefix layout.Prefix
}

// New returns the fleet of a Redis and a prefix. It does not take over the client.
func New(redis *rdb.Client, prefix layout.Prefix) *Fleet { return &Fleet{redis, prefix} }

func (f *Fleet) processesKey() string       { return f.prefix.Shared("processes") }
func (f *Fleet) marksKey() string           { return f.prefix.Shared("marks") }
func (f *Fleet) leadKey(name string) string { return f.prefix.Shared("lead:" + name) }

// Lead takes or renews a lease for life and reports whether the holder has it. At most one holder has it at a time, as
// far as the holders' clocks agree with Redis's: what a leader does must be harmless if two do it.
func (f *Fleet) Lead(ctx context.Context, name, holder string, life time.Duration) (bool, error) {
	n, err := f.redis.RunInt(ctx, leadScript, []string{f.leadKey(name)}, holder, layout.MS(life))
	return n == 1, err
}

// Resign releases a lease if the holder has it.
func (f *Fleet) Resign(ctx context.Context, name, holder string) error {
	_, err := f.redis.RunInt(ctx, leadScript, []string{f.leadKey(name)}, holder, 0)
	return err
}

// Process is a process that recently reported to be alive.
type Process struct {
	Kind string            `json:"kind"` // api, worker, dashboard
	ID   string            `json:"id"`   // host and process number
	Form int               `json:"form,omitempty"`
	Info map[string]string `json:"info"`
	// Unread says that another build wrote the entry, in a form that this one cannot read.
	Unread bool      `json:"unread,omitempty"`
	Till   time.Time `json:"-"` // counts as alive until then, by Redis's clock
}

// form is the version of the entries that [Fleet.Beat] writes. It grows when builds of before would misread an entry;
// an info that they do not know is no such change. Entries without a form are of builds from before there was one.
// Every form keeps what [process] reads of an entry that it does not know: kind and id in its name, and the time before
// the first space.
const form = 1

// NewID returns a name for a process that no earlier or later process has.
func NewID() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + strconv.Itoa(os.Getpid()) + "/" + uuid.NewString()[:8]
}

// maxInfo bounds the bytes of an error in the info of a process.
const maxInfo = 1024

// Beat reports that a process is alive, which counts for life. Errors in its info are truncated to 1 KiB.
func (f *Fleet) Beat(ctx context.Context, kind, id string, info map[string]string, life time.Duration) error {
	for _, name := range []string{DatabaseInfo, PairingInfo} {
		if why := info[name]; len(why) > maxInfo {
			info[name] = strings.ToValidUTF8(why[:maxInfo], "")
		}
	}
	text, err := json.Marshal(Process{Kind: kind, ID: id, Form: form, Info: info})
	if err != nil {
		return err
	}
	_, err = f.redis.RunInt(ctx, beatScript, []string{f.processesKey()}, kind+":"+id, text, layout.MS(life))
	return err
}

// Leave removes a stopping process from the list of processes.
func (f *Fleet) Leave(ctx context.Context, kind, id string) error {
	if err := f.redis.HDel(ctx, f.processesKey(), kind+":"+id).Err(); err != nil {
		return rdb.Fault("leave", err)
	}
	return nil
}

// Alive lists the live processes by kind and id, and removes those that have been dead for a minute. A process of
// another build whose entry cannot be read is listed as Unread, and removed by its time alone; an entry without a time
// that can be read counts as alive until its process removes it, since nothing shows that it is not.
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
		p := process(key, text)
		switch {
		case p.Till.IsZero() || now.Before(p.Till):
			alive = append(alive, p)
		case now.Sub(p.Till) > time.Minute:
			dead = append(dead, key)
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

// process decodes an entry that beat.lua wrote, or as much of it as this build knows.
func process(key, text string) Process {
	var p Process
	till, told, _ := strings.Cut(text, " ")
	ms, failed := strconv.ParseInt(till, 10, 64)
	if err := json.Unmarshal([]byte(told), &p); err != nil || failed != nil || p.Form > form {
		kind, id, _ := strings.Cut(key, ":")
		p = Process{Kind: kind, ID: id, Unread: true}
	}
	if failed == nil {
		p.Till = time.UnixMilli(ms)
	}
	return p
}
