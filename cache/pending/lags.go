package pending

import (
	"math/bits"
	"strconv"
	"strings"
	"time"
)

// lagBuckets cover two years.
const lagBuckets = 136

// Lags counts how long records waited until they were persisted, in buckets that are at most a quarter longer than
// their beginning. Counts of several processes can be added, unlike their quantiles. The zero value is empty.
type Lags struct{ counts [lagBuckets]int64 }

// Add counts one record.
func (l *Lags) Add(lag time.Duration) { l.counts[bucketOf(lag)]++ }

// Merge adds another's counts.
func (l *Lags) Merge(other *Lags) {
	for i, n := range other.counts {
		l.counts[i] += n
	}
}

// bucketOf is exact below 4 ms; above, a bucket is the time's highest three bits.
func bucketOf(lag time.Duration) int {
	ms := uint64(max(lag.Milliseconds(), 0))
	if ms < 4 {
		return int(ms)
	}
	below := bits.Len64(ms) - 3
	return min(4*below+int(ms>>below), lagBuckets-1)
}

// end returns the time at which a bucket ends.
func end(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket+1) * time.Millisecond
	}
	below := bucket/4 - 1
	return time.Duration(bucket%4+5) << below * time.Millisecond
}

// Quantile returns the time within which a share of the records was persisted, rounded up; zero if there are none.
func (l *Lags) Quantile(share float64) time.Duration {
	total := int64(0)
	for _, n := range l.counts {
		total += n
	}
	seen := int64(0)
	for i, n := range l.counts {
		if seen += n; n > 0 && float64(seen) >= share*float64(total) {
			return end(i)
		}
	}
	return 0
}

// String returns the non-empty buckets, as [ParseLags] parses them.
func (l *Lags) String() string {
	var b strings.Builder
	for i, n := range l.counts {
		if n > 0 {
			b.WriteString(strconv.Itoa(i) + ":" + strconv.FormatInt(n, 10) + " ")
		}
	}
	return strings.TrimSuffix(b.String(), " ")
}

// ParseLags parses the text that String returns, and ignores anything else.
func ParseLags(text string) Lags {
	var l Lags
	for bucket := range strings.FieldsSeq(text) {
		number, count, _ := strings.Cut(bucket, ":")
		i, err := strconv.Atoi(number)
		n, bad := strconv.ParseInt(count, 10, 64)
		if err == nil && bad == nil && i >= 0 && i < lagBuckets && n > 0 {
			l.counts[i] += n
		}
	}
	return l
}
