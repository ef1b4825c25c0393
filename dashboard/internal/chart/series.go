package chart

import (
	"encoding/json"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
)

// The charts show the last quarter of an hour in steps of five seconds.
const (
	Name  = "overview"
	Step  = 5 * time.Second
	Steps = 180
)

// Sample is what is kept of one reading: counters as they stand, all entities together.
type Sample struct {
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

// Moment is one point of the charts. A rate is nil where the sample before is missing.
type Moment struct {
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

// Moments are the charts' points.
func Moments(points []pending.Point) []Moment {
	list := make([]Moment, 0, len(points))
	var last Sample
	var lastAt time.Time
	for _, p := range points {
		var s Sample
		if json.Unmarshal([]byte(p.Value), &s) != nil {
			continue
		}
		m := Moment{At: p.At, Pending: s.Pending, Held: s.Held, Dead: s.Dead, Lag: float64(s.Lag) / 1000}
		if s.Most > 0 {
			m.Half, m.Most = perSecond(s.Half, 1000*time.Second), perSecond(s.Most, 1000*time.Second)
		}
		// A counter that went back is another Redis's, or an emptied one's.
		if gap := p.At.Sub(lastAt); !lastAt.IsZero() && gap <= 3*Step && s.Accepted >= last.Accepted &&
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
	return list
}

func perSecond(n int64, gap time.Duration) *float64 {
	x := float64(n) / gap.Seconds()
	return &x
}

// Minutes thins the points out to the last one of each minute, the newest first: the
// tables beside the charts.
func Minutes(list []Moment) []Moment {
	var thin []Moment
	for i := len(list) - 1; i >= 0; i-- {
		if len(thin) == 0 || !thin[len(thin)-1].At.Truncate(time.Minute).Equal(list[i].At.Truncate(time.Minute)) {
			thin = append(thin, list[i])
		}
	}
	return thin
}

// Columns are the charts' points by column, as the page's script draws them.
type Columns struct {
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
}

// ColumnsOf returns the columns of points that end at a time.
func ColumnsOf(list []Moment, until time.Time) Columns {
	columns := Columns{Until: until.Unix(), Since: until.Add(-Step * Steps).Unix()}
	for _, m := range list {
		columns.At = append(columns.At, m.At.Unix())
		columns.Lag, columns.Half, columns.Most = append(columns.Lag, m.Lag), append(columns.Half, m.Half),
			append(columns.Most, m.Most)
		columns.Pending, columns.Held, columns.Dead = append(columns.Pending, m.Pending), append(columns.Held, m.Held),
			append(columns.Dead, m.Dead)
		columns.Accepted, columns.Persisted = append(columns.Accepted, m.Accepted),
			append(columns.Persisted, m.Persisted)
	}
	return columns
}
