package layout

import (
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
	d := e.TTL(values, time.Now())
	if spread := int64(float64(d) * e.Cache.Jitter); spread > 0 {
		d -= time.Duration(rand.Int64N(spread))
	}
	return max(d, time.Millisecond)
}
