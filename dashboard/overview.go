package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard/internal/chart"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/internal/inspect"
	"github.com/afterwrite/afterwrite/internal/queue"
)

// overviewBody is the first page: the verdict, then what it rests on.
type overviewBody struct {
	Verdict   finding
	Others    []finding
	Losses    []lossRow
	MayAct    bool // this person may acknowledge them
	Known     bool // Redis answered, so the figures are figures
	Entities  []entityRow
	Processes []process
	AliveErr  error
	Queues    []queue.Size
	QueueErr  error
	HasQueues bool
	Redis     inspect.Health
	RedisErr  error
	Dialect   string
	Database  time.Duration
	DBErr     error
	Figures   figuresNow
	Charts    []drawing
	Minutes   []chart.Moment
}

// figuresNow are the figures beside the verdict.
type figuresNow struct {
	Lag, Half, Most     string // of the oldest; within which half and 99 % of the last minute's were persisted
	Coalescing, HitRate string
	Accepted, Persisted string // a second, lately; "—" where it is not known
	Total               pending.Stats
	Workers             int
	Adds                bool // the conservation sum
	Imbalance           int64
}

// drawing is a place that the page's script draws in; a table stands beside it.
type drawing struct{ Name, Title, Unit string }

var charts = []drawing{
	{"rates", "Accepted and persisted", "records per second"},
	{"lag", "Lag: the oldest pending write, p50 and p99", "seconds"},
	{"pending", "Pending", "records"},
	{"refused", "Held and dead", "records"},
}

// entityRow is an entity's figures, or one partition's.
type entityRow struct {
	Name      string
	Err       error
	Level     level
	Lag       string
	Total     pending.Stats
	Imbalance int64
}

type process struct {
	Kind, ID string
	Info     []string // "key value", sorted
}

func (d *dashboard) overview(w http.ResponseWriter, r *http.Request) {
	s := d.examined(r.Context())
	verdict, others := s.verdict(d.reasons(r.Context(), s))
	body := overviewBody{
		Verdict: verdict, Others: others, Known: !s.RedisDown(),
		Losses: lossRows(s), MayAct: d.Losses != nil && who(r).May(Operator),
		Processes: processes(s.Processes), AliveErr: s.ProcessesErr,
		Queues: s.Queues, QueueErr: s.QueuesErr, HasQueues: d.Queues != nil,
		Redis: s.Redis, RedisErr: s.RedisErr,
		Dialect: d.Store.Dialect(), Database: s.Database, DBErr: s.DatabaseErr,
	}
	for _, f := range s.Entities {
		body.Entities = append(body.Entities, row(f.Entity.Name, f, s))
	}
	if d.Series != nil && body.Known {
		moments, err := d.moments(r.Context(), s.At)
		if err != nil {
			d.Log.WarnContext(r.Context(), "charts cannot be read", "error", err)
		}
		body.Charts, body.Minutes = charts, chart.Minutes(moments)
		body.Figures = s.figures(moments)
	} else {
		body.Figures = s.figures(nil)
	}
	d.render(w, r, http.StatusOK, "overview", page{Title: "Overview", Root: root(r), Refresh: d.refresh(r), At: s.At,
		Body: body})
}

func (s *snapshot) figures(lately []chart.Moment) figuresNow {
	t := s.Total()
	f := figuresNow{Lag: format.Age(s.At, t.OldestPending), Half: "—", Most: "—", Coalescing: "—", HitRate: "—",
		Accepted: "—", Persisted: "—", Total: t, Imbalance: t.Imbalance(), Workers: s.Workers()}
	if f.Lag == "—" && !s.RedisDown() {
		f.Lag = "none"
	}
	if half, most := s.lags(); most > 0 {
		f.Half, f.Most = format.Duration(half), format.Duration(most)
	}
	f.Adds = f.Imbalance == 0
	if t.Persisted > 0 {
		f.Coalescing = strconv.FormatFloat(float64(t.Persisted+t.Superseded)/float64(t.Persisted), 'f', 2, 64)
	}
	for i := len(lately) - 1; i >= 0 && i >= len(lately)-12; i-- {
		if m := lately[i]; f.HitRate == "—" && m.HitRate != nil {
			f.HitRate = strconv.FormatFloat(*m.HitRate, 'f', 1, 64) + " %"
		}
	}
	if n := len(lately); n > 0 && lately[n-1].Accepted != nil {
		f.Accepted, f.Persisted = format.PerSecond(lately[n-1].Accepted), format.PerSecond(lately[n-1].Persisted)
	}
	return f
}

func row(name string, f health.Entity, s *snapshot) entityRow {
	return entityRow{
		Name: name, Err: f.Err, Level: levelOf(f, s.At, s.working()), Lag: format.Age(s.At, f.Total.OldestPending),
		Total: f.Total, Imbalance: f.Total.Imbalance(),
	}
}

func processes(alive []fleet.Process) []process {
	list := make([]process, len(alive))
	for i, p := range alive {
		list[i] = process{Kind: p.Kind, ID: p.ID}
		if p.Unread {
			list[i].Info = []string{"of another build"}
		}
		for k, v := range p.Info {
			hidden := []string{lagsInfo, fleet.TroubleInfo, fleet.DatabaseInfo, fleet.PairingInfo, fleet.FieldsInfo,
				fleet.UnknownInfo, fleet.MembersInfo}
			if v == "" || slices.Contains(hidden, k) {
				continue // the lags are shown as quantiles of all workers, the others as findings
			}
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
