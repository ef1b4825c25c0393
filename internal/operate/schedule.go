package operate

import (
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Step is one attempt of a policy's schedule.
type Step struct {
	Attempt             int           // from 1
	DelayLow, DelayHigh time.Duration // after the previous attempt; 0 for the first
	Low, High           time.Duration // after the first attempt
}

// Schedule lists the attempts of a record that is refused every time, until it is dead, at most max of them.
// [schema.RetryPolicy.Delay] draws from the delay bounds of each step.
func Schedule(p schema.RetryPolicy, k schema.Kind, max int) []Step {
	steps := []Step{{Attempt: 1}}
	for n := 1; n < p.For(k).MaxAttempts && n < max; n++ {
		last := steps[n-1]
		low, high := p.Range(k, n)
		steps = append(steps, Step{n + 1, low, high, last.Low + low, last.High + high})
	}
	return steps
}
