package dashboard

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
)

// Series keeps samples in Redis, so that a restarted dashboard still has them. A
// pending.Backlog is one.
type Series interface {
	Sample(ctx context.Context, series string, at time.Time, step time.Duration, steps int, value string) error
	Series(ctx context.Context, series string, until time.Time, step time.Duration, steps int) ([]pending.Point, error)
}

// The charts show the last quarter of an hour in steps of five seconds.
const (
	seriesName  = "overview"
	seriesStep  = 5 * time.Second
	seriesSteps = 180
)

// sample is what is kept of one reading: counters as they stand, all entities together.
type sample struct {
	Accepted   int64 `json:"a"`
	Persisted  int64 `json:"p"`
	Superseded int64 `json:"s"`
	Pending    int64 `json:"n"`
	Held       int64 `json:"h"`
	Dead       int64 `json:"d"`
	Lag        int64 `json:"l"` // ms, of the oldest pending write
	// ms, within which half of the last minute's writes were persisted; 0: none was
	Half   int64 `json:"f,omitempty"`
	Most   int64 `json:"nn,omitempty"` // ms, within which 99 % were
	Hits   int64 `json:"i"`
	Misses int64 `json:"m"`
}

func (s *snapshot) sample() sample {
	t := s.Total()
	lag := int64(0)
	if !t.OldestPending.IsZero() {
		lag = max(s.At.Sub(t.OldestPending), 0).Milliseconds()
	}
	half, most := s.lags()
	return sample{
		Half: half.Milliseconds(), Most: most.Milliseconds(),
		Accepted: t.Accepted, Persisted: t.Persisted, Superseded: t.Superseded, Pending: t.Pending, Held: t.Held,
		Dead: t.Dead, Lag: lag, Hits: s.Redis.Hits, Misses: s.Redis.Misses,
	}
}

// keep stores a reading for the charts, unless it is only half of one.
func (d *dashboard) keep(ctx context.Context, s *snapshot) error {
	if d.Series == nil || s.RedisDown() {
		return nil
	}
	for _, f := range s.Entities {
		if f.Err != nil {
			return nil
		}
	}
	text, err := json.Marshal(s.sample())
	if err != nil {
		return err
	}
	return d.Series.Sample(ctx, seriesName, s.At, seriesStep, seriesSteps, string(text))
}

// moment is one point of the charts. A rate is nil where the sample before is missing.
type moment struct {
	At        time.Time
	Pending   int64
	Held      int64
	Dead      int64
	Lag       float64  // seconds
	Half      *float64 // seconds; nil where nothing was persisted
	Most      *float64
	Accepted  *float64
	Persisted *float64
	HitRate   *float64 // percent
}

// moments reads the charts' points up to a time.
func (d *dashboard) moments(ctx context.Context, until time.Time) ([]moment, error) {
	points, err := d.Series.Series(ctx, seriesName, until, seriesStep, seriesSteps)
	if err != nil {
		return nil, err
	}
	list := make([]moment, 0, len(points))
	var last sample
	var lastAt time.Time
	for _, p := range points {
		var s sample
		if json.Unmarshal([]byte(p.Value), &s) != nil {
			continue
		}
		m := moment{At: p.At, Pending: s.Pending, Held: s.Held, Dead: s.Dead, Lag: float64(s.Lag) / 1000}
		if s.Most > 0 {
			m.Half, m.Most = perSecond(s.Half, 1000*time.Second), perSecond(s.Most, 1000*time.Second)
		}
		// A counter that went back is another Redis's, or an emptied one's.
		if gap := p.At.Sub(lastAt); !lastAt.IsZero() && gap <= 3*seriesStep && s.Accepted >= last.Accepted &&
			s.Persisted >= last.Persisted {
			m.Accepted, m.Persisted = perSecond(s.Accepted-last.Accepted, gap),
				perSecond(s.Persisted-last.Persisted, gap)
			if asked := s.Hits + s.Misses - last.Hits - last.Misses; asked > 0 && s.Hits >= last.Hits {
				rate := 100 * float64(s.Hits-last.Hits) / float64(asked)
				m.HitRate = &rate
			}
		}
		list = append(list, m)
		last, lastAt = s, p.At
	}
	return list, nil
}

func perSecond(n int64, gap time.Duration) *float64 {
	x := float64(n) / gap.Seconds()
	return &x
}

// minutes thins the points out to the last one of each minute, the newest first: the
// tables beside the charts.
func minutes(list []moment) []moment {
	var thin []moment
	for i := len(list) - 1; i >= 0; i-- {
		if len(thin) == 0 || !thin[len(thin)-1].At.Truncate(time.Minute).Equal(list[i].At.Truncate(time.Minute)) {
			thin = append(thin, list[i])
		}
	}
	return thin
}

// seriesJSON answers the charts' points by column, as the page's script draws them.
func (d *dashboard) seriesJSON(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	list, err := d.moments(r.Context(), s.At)
	if err != nil {
		d.broken(w, r, "read the series", err)
		return
	}
	columns := struct {
		At        []int64    `json:"at"`
		Lag       []float64  `json:"lag"`
		Half      []*float64 `json:"half"`
		Most      []*float64 `json:"most"`
		Pending   []int64    `json:"pending"`
		Held      []int64    `json:"held"`
		Dead      []int64    `json:"dead"`
		Accepted  []*float64 `json:"accepted"`
		Persisted []*float64 `json:"persisted"`
		Until     int64      `json:"until"`
		Since     int64      `json:"since"`
	}{Until: s.At.Unix(), Since: s.At.Add(-seriesStep * seriesSteps).Unix()}
	for _, m := range list {
		columns.At = append(columns.At, m.At.Unix())
		columns.Lag, columns.Half, columns.Most = append(columns.Lag, m.Lag), append(columns.Half, m.Half),
			append(columns.Most, m.Most)
		columns.Pending, columns.Held, columns.Dead = append(columns.Pending, m.Pending), append(columns.Held, m.Held),
			append(columns.Dead, m.Dead)
		columns.Accepted, columns.Persisted = append(columns.Accepted, m.Accepted),
			append(columns.Persisted, m.Persisted)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(columns) // the viewer may have left
}
