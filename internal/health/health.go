// Package health judges the state of a deployment. Doctor, the dashboard, /readyz and the
// alerts of deploy/prometheus take their judgement from here, so that no two of them differ.
//
// [Read] reads a [State], and [State.Findings] judges it. A state is only data, so that a test
// can make up every one.
package health

import (
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Level says how much a finding matters.
type Level int

// The levels. A failure means that accepted writes do not reach the database, are at risk or
// were lost, or that requests are rejected. A warning may become one.
const (
	Fine Level = iota
	Warning
	Failure
)

func (l Level) String() string { return [...]string{"ok", "warning", "failure"}[l] }

// MarshalText writes the level as its word.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// Finding is one fact about a deployment.
type Finding struct {
	Check string // what it is about, as doctor names it: "redis", "backlog of user"
	Level Level
	Text  string // a sentence with its full stop
	Cause error  // the error behind it, which may name hosts; nil where there is none
	Hint  string // what to do about it, "" where nothing is to be done
}

// Line is one of an examination: a finding, or that a check found nothing.
type Line struct {
	Check   string `json:"check"`
	Verdict Level  `json:"verdict"`
	Detail  string `json:"detail"`
	Hint    string `json:"hint,omitempty"` // what to do about it
}

// Worst is the gravest level of some findings.
func Worst(findings []Finding) Level {
	worst := Fine
	for _, f := range findings {
		worst = max(worst, f.Level)
	}
	return worst
}

// Limits of what is fine. LagLimit is that of the alert AfterwriteLagging, too.
const (
	lagWarning = 10 * time.Second // of the oldest pending write, beyond the entity's flush.delay
	lagFailure = time.Minute      // the same; without a worker lagWarning is a failure

	queueLatency = 30 * time.Second // of the oldest pending sync task

	SlowRedis    = 20 * time.Millisecond  // of the median round trip
	SlowDatabase = 200 * time.Millisecond // the same
	maxSkew      = 2 * time.Second        // of Redis's clock from this process's

	fragmented     = 1.5      // of Redis's memory by what its data need
	fragmentedFrom = 64 << 20 // bytes; below it the ratio is that of the program itself
)

// LagLimit is the lag of an entity from which its state is a failure.
func LagLimit(e *schema.Entity) time.Duration { return lagFailure + e.Flush.Delay }
