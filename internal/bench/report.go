package bench

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// Report is the outcome of a run.
type Report struct {
	Began      time.Time     `json:"began"`
	Took       time.Duration `json:"took_ns"`
	Machine    Machine       `json:"machine"`
	LoadBefore string        `json:"load_before"` // 1, 5 and 15 minutes, if the system reports them
	LoadAfter  string        `json:"load_after"`
	Figures    []Figure      `json:"figures"`
}

// Machine describes what was measured on.
type Machine struct {
	CPU      string            `json:"cpu"`
	CPUs     int               `json:"cpus"`
	System   string            `json:"system"`
	Go       string            `json:"go"`
	Redis    string            `json:"redis"`
	Database string            `json:"database"`
	Settings map[string]string `json:"settings"` // of the running Redis
}

// Figure is one quantity, measured by one or more ways.
type Figure struct {
	Section string   `json:"section"`
	Name    string   `json:"name"`
	Unit    string   `json:"unit"`
	Base    string   `json:"base,omitempty"` // the way that the others are compared with
	Series  []Series `json:"series"`
}

// Series holds one way's values, run by run.
type Series struct {
	Way    string    `json:"way"`
	Values []float64 `json:"values"`
	Ratios []float64 `json:"ratios,omitempty"` // to the base in the same run
}

func (f *Figure) add(way string, value float64) {
	i := slices.IndexFunc(f.Series, func(s Series) bool { return s.Way == way })
	if i < 0 {
		i = len(f.Series)
		f.Series = append(f.Series, Series{Way: way})
	}
	f.Series[i].Values = append(f.Series[i].Values, value)
}

// compare computes the ratios, run by run.
func (f *Figure) compare() {
	base := f.of(f.Base)
	if base == nil {
		return
	}
	for i := range f.Series {
		s := &f.Series[i]
		if s.Way == f.Base || len(s.Values) != len(base) {
			continue
		}
		s.Ratios = make([]float64, len(base))
		for n := range base {
			s.Ratios[n] = s.Values[n] / base[n]
		}
	}
}

func (f *Figure) of(way string) []float64 {
	for _, s := range f.Series {
		if s.Way == way {
			return s.Values
		}
	}
	return nil
}

// Median returns the middle of the values, NaN if there is none.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// Table returns a line for each figure and way: the median and the extremes of its runs, and of the ratios.
func (r Report) Table() [][]string {
	rows := [][]string{{"FIGURE", "WAY", "MEDIAN", "FROM–TO", "BESIDE", "RATIO", "FROM–TO"}}
	for _, f := range r.Figures {
		name := f.Name
		for _, s := range f.Series {
			row := []string{name, s.Way, number(Median(s.Values)) + " " + f.Unit, extremes(s.Values), "", "", ""}
			if len(s.Ratios) > 0 {
				row[4], row[5], row[6] = f.Base, number(Median(s.Ratios)), extremes(s.Ratios)
			}
			rows = append(rows, row)
			name = ""
		}
	}
	return rows
}

func extremes(values []float64) string {
	if len(values) < 2 {
		return ""
	}
	return number(slices.Min(values)) + "–" + number(slices.Max(values))
}

// number formats a number with three digits, and with all digits before the point.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a >= 100:
		return thousands(int64(math.Round(v)))
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}

func thousands(n int64) string {
	if n < 1000 {
		return strconv.FormatInt(n, 10)
	}
	return thousands(n/1000) + fmt.Sprintf(",%03d", n%1000)
}
