// Package chart draws: a retry policy on a time axis, and what is known of the last quarter of an hour.
package chart

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/schema"
)

// Policy is a retry policy drawn on a time axis: a row an attempt, a band from its
// earliest to its latest time after the first attempt.
type Policy struct {
	Sentence      string
	Steps         []operate.Step
	More          int // attempts that are not drawn
	Width, Height int
	Bands         []Band
	Ticks         []Tick
}

// Band is the row of an attempt.
type Band struct {
	Label     string
	Y, TextY  int
	X, Width  string
	Middle    string // x of the mark
	When, Gap string // in words
	CY        int
}

// Tick is a mark of the axis.
type Tick struct {
	X     string
	Label string
}

const (
	maxDrawn   = 25
	plotLeft   = 90
	plotWidth  = 600
	plotTop    = 8
	bandHeight = 20
)

// marks of the axis: the scale is logarithmic, as the delays grow by factors.
var marks = []time.Duration{
	time.Millisecond, 10 * time.Millisecond, 100 * time.Millisecond, time.Second, 10 * time.Second, time.Minute,
	10 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour,
	365 * 24 * time.Hour,
}

// Draw draws a policy for records that are refused with a kind every time.
func Draw(p schema.RetryPolicy, kind schema.Kind) Policy {
	own := p.For(kind)
	all := operate.Schedule(own, "", schema.MaxRetryAttempts)
	last := all[len(all)-1]
	pic := Policy{Sentence: sentence(len(all), last), Steps: all[:min(len(all), maxDrawn)]}
	pic.More = len(all) - len(pic.Steps)
	first := own.Base
	x := axis(max(first/4, time.Millisecond), max(pic.Steps[len(pic.Steps)-1].High, 2*first))
	for i, s := range pic.Steps {
		y := plotTop + i*bandHeight
		low, high := x(s.Low), x(s.High)
		pic.Bands = append(pic.Bands, Band{
			Label: "attempt " + strconv.Itoa(s.Attempt), Y: y + 4, TextY: y + 15, CY: y + bandHeight/2,
			X: pixel(low), Width: pixel(max(high-low, 2)), Middle: pixel(x((s.Low + s.High) / 2)),
			When: span(s.Low, s.High), Gap: span(s.DelayLow, s.DelayHigh),
		})
	}
	bottom := plotTop + len(pic.Steps)*bandHeight
	pic.Width, pic.Height = plotLeft+plotWidth+30, bottom+28
	pic.ticks(x)
	return pic
}

// ticks marks the axis, no two marks closer than a label is wide.
func (p *Policy) ticks(x func(time.Duration) float64) {
	last := math.Inf(-1)
	for _, m := range marks {
		at := x(m)
		if at > plotLeft && at <= plotLeft+plotWidth && at-last >= 60 {
			p.Ticks = append(p.Ticks, Tick{pixel(at), text.Duration(m)})
			last = at
		}
	}
}

// Bottom is where the axis is.
func (p Policy) Bottom() int { return p.Height - 24 }

// TickText is where the words of the axis are.
func (p Policy) TickText() int { return p.Height - 8 }

// PlotLeft is where the bands begin.
func (p Policy) PlotLeft() int { return plotLeft }

// PlotRight is where the bands end.
func (p Policy) PlotRight() int { return plotLeft + plotWidth }

// axis maps times to pixels, logarithmically between two; earlier ones are at its begin.
func axis(from, to time.Duration) func(time.Duration) float64 {
	low, high := math.Log(float64(from)), math.Log(float64(to))
	return func(t time.Duration) float64 {
		if t <= from {
			return plotLeft
		}
		return plotLeft + plotWidth*(math.Log(float64(t))-low)/(high-low)
	}
}

func pixel(x float64) string { return strconv.FormatFloat(x, 'f', 1, 64) }

func span(low, high time.Duration) string {
	if low == high {
		return text.Duration(low)
	}
	return text.Duration(low) + " to " + text.Duration(high)
}

// sentence says when a record is given up.
func sentence(attempts int, last operate.Step) string {
	if attempts == 1 {
		return "Dead at the first refusal."
	}
	return fmt.Sprintf("Dead after %d attempts, %s after the first.", attempts, span(last.Low, last.High))
}
