package dashboard

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/dashboard/internal/chart"
)

// Series keeps samples in Redis, so that a restarted dashboard still has them. A
// pending.Backlog is one.
type Series interface {
	Sample(ctx context.Context, series string, at time.Time, step time.Duration, steps int, value string) error
	Series(ctx context.Context, series string, until time.Time, step time.Duration, steps int) ([]pending.Point, error)
}

// sample reads the figures again and again until ctx ends, keeps them for the charts and
// wakes the open pages.
func (d *dashboard) sample(ctx context.Context) {
	defer d.pulse.End()
	tick := time.NewTicker(d.Refresh)
	defer tick.Stop()
	for last := ""; ; {
		s := d.snapshot(ctx)
		if err := d.keep(ctx, s); err != nil && ctx.Err() == nil {
			d.Log.DebugContext(ctx, "figures not kept", "error", err)
		}
		mark := s.refusedMark()
		if mark != last {
			d.groupings.Changed()
		}
		last = mark
		d.pulse.Tell(mark)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// refusedMark differs where the refused records do.
func (s *snapshot) refusedMark() string {
	t := s.Total()
	return fmt.Sprint(t.Held, t.Dead, t.Discarded, t.OldestHeld.UnixMilli(), t.OldestDead.UnixMilli())
}

// events streams a "figures" event for every reading, and a "refused" event where the
// refused records have changed. They carry nothing: a page asks for what it shows. The
// stream ends with the sampler, with the session, and after an hour; browsers come again.
func (d *dashboard) events(w http.ResponseWriter, r *http.Request) {
	if !d.pulse.Enter() {
		w.Header().Set("Retry-After", "30")
		d.fail(w, r, http.StatusServiceUnavailable, "Too many pages are open.")
		return
	}
	defer d.pulse.Leave()
	out := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold the events back
	seen, next, ended := d.pulse.Feel()
	name := "hello"
	for until := time.Now().Add(time.Hour); !ended && time.Now().Before(until); {
		_ = out.SetWriteDeadline(time.Now().Add(10 * time.Second)) // not every server has one
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %d\n\n", name, seen.Number); err != nil || out.Flush() != nil {
			return
		}
		select {
		case <-next:
		case <-r.Context().Done():
			return
		}
		last := seen.Refused
		if seen, next, ended = d.pulse.Feel(); seen.Refused != last {
			name = "refused"
		} else {
			name = "figures"
		}
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
	return d.Series.Sample(ctx, chart.Name, s.At, chart.Step, chart.Steps, string(text))
}

// moments reads the charts' points up to a time.
func (d *dashboard) moments(ctx context.Context, until time.Time) ([]chart.Moment, error) {
	points, err := d.Series.Series(ctx, chart.Name, until, chart.Step, chart.Steps)
	if err != nil {
		return nil, err
	}
	return chart.Moments(points), nil
}

// seriesJSON answers the charts' points by column, as the page's script draws them.
func (d *dashboard) seriesJSON(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	list, err := d.moments(r.Context(), s.At)
	if err != nil {
		d.broken(w, r, "read the series", err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(chart.ColumnsOf(list, s.At)) // the viewer may have left
}
