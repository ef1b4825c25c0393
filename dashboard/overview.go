package dashboard

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/queue"
)

// overviewBody is the first page: the verdict, then what it rests on.
type overviewBody struct {
	Verdict   finding
	Others    []finding
	Known     bool // Redis answered, so the figures are figures
	Entities  []entityRow
	Processes []process
	AliveErr  error
	Queues    []queue.Size
	QueueErr  error
	HasQueues bool
	Redis     cache.Health
	RedisErr  error
	Dialect   string
	Database  time.Duration
	DBErr     error
}

// entityRow is an entity's figures, or one partition's.
type entityRow struct {
	Name      string
	Err       error
	Level     level
	Lag       string
	Total     cache.Stats
	Imbalance int64
}

type process struct {
	Kind, ID string
	Info     []string // "key value", sorted
}

func (d *dashboard) overview(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	verdict, others := s.verdict()
	body := overviewBody{
		Verdict: verdict, Others: others, Known: !s.redisDown(),
		Processes: processes(s.processes), AliveErr: s.aliveErr,
		Queues: s.queues, QueueErr: s.queueErr, HasQueues: d.Queues != nil,
		Redis: s.redis, RedisErr: s.redisErr,
		Dialect: d.Store.Dialect(), Database: s.database, DBErr: s.dbErr,
	}
	for _, f := range s.entities {
		body.Entities = append(body.Entities, row(f.entity.Name, f, s.at))
	}
	d.render(w, r, http.StatusOK, "overview", page{Title: "Overview", Root: root(r), Refresh: d.refresh(r), At: s.at, Body: body})
}

func row(name string, f entityFigures, now time.Time) entityRow {
	return entityRow{
		Name: name, Err: f.err, Level: f.level(now), Lag: age(now, f.total.OldestPending),
		Total: f.total, Imbalance: f.total.Imbalance(),
	}
}

func processes(alive []cache.Process) []process {
	list := make([]process, len(alive))
	for i, p := range alive {
		list[i] = process{Kind: p.Kind, ID: p.ID}
		for k, v := range p.Info {
			list[i].Info = append(list[i].Info, strings.ReplaceAll(k, "_", " ")+" "+v)
		}
		slices.Sort(list[i].Info)
	}
	return list
}

// root is the relative way back to where the handler is mounted.
func root(r *http.Request) string {
	return "./" + strings.Repeat("../", strings.Count(strings.TrimPrefix(r.URL.Path, "/"), "/"))
}
