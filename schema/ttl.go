package schema

import (
	"errors"
	"fmt"
	"time"
)

// AgedTTL is the TTL of records unchanged for longer than OlderThan.
type AgedTTL struct {
	OlderThan time.Duration // 0: the TTL of all other records; last in the list
	TTL       time.Duration
}

// maxAgedTTLs bounds the number of steps of an adaptive TTL.
const maxAgedTTLs = 20

func (e *Entity) checkAdaptive() error {
	steps := e.Cache.Adaptive
	if len(steps) == 0 && e.Cache.ChangedBy == "" {
		return nil
	}
	i, ok := e.index[e.Cache.ChangedBy]
	switch {
	case len(steps) == 0:
		return errors.New("changed_by is for adaptive, which is not set")
	case !ok || e.Fields[i].Type != Time:
		return fmt.Errorf("changed_by: %q is not a time field; adaptive needs one", e.Cache.ChangedBy)
	case len(steps) > maxAgedTTLs:
		return fmt.Errorf("adaptive: there are %d steps, more than %d", len(steps), maxAgedTTLs)
	}
	for n, step := range steps {
		if step.TTL < time.Second {
			return fmt.Errorf("adaptive: step %d: ttl must be at least 1s", n+1)
		}
		if last := n == len(steps)-1; last != (step.OlderThan == 0) {
			return errors.New("adaptive: the last step, and it alone, has no older_than")
		}
		if n > 0 && step.OlderThan >= steps[n-1].OlderThan {
			return fmt.Errorf("adaptive: step %d: older_than must fall from step to step", n+1)
		}
	}
	return nil
}
