package layout

import (
	"encoding/json"
	"math/rand/v2"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// TTL returns how long a persisted record is cached. The random part keeps records that were cached together from
// expiring together.
func TTL(e *schema.Entity, values schema.Values, deleted bool) time.Duration {
	if deleted {
		return e.Cache.NegativeTTL
	}
	d := ttl(e, values, time.Now())
	if spread := int64(float64(d) * e.Cache.Jitter); spread > 0 {
		d -= time.Duration(rand.Int64N(spread))
	}
	return max(d, time.Millisecond)
}

// ttl is how long a record is cached from now on, before jitter.
func ttl(e *schema.Entity, values schema.Values, now time.Time) time.Duration {
	if len(e.Cache.Adaptive) == 0 {
		return e.Cache.TTL
	}
	age := time.Duration(0)
	if i, _ := e.Field(e.Cache.ChangedBy); i < len(values) {
		var changed time.Time
		if json.Unmarshal([]byte(values[i]), &changed) == nil && !changed.IsZero() {
			age = now.Sub(changed)
		}
	}
	for _, step := range e.Cache.Adaptive {
		if step.OlderThan == 0 || age > step.OlderThan {
			return step.TTL
		}
	}
	return e.Cache.TTL
}
