package format

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNumber(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0", 7: "7", -7: "-7", 999: "999", 1000: "1,000", -1000: "-1,000", 1_234_567: "1,234,567",
		100_000:       "100,000",
		math.MaxInt64: "9,223,372,036,854,775,807", math.MinInt64: "-9,223,372,036,854,775,808",
	} {
		require.Equal(t, want, Number(n))
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", time.Microsecond: "under 1 ms", 40 * time.Millisecond: "40 ms", 999 * time.Millisecond: "999 ms",
		time.Second: "1.0 s", 3299 * time.Millisecond: "3.2 s", 59 * time.Second: "59 s", time.Minute: "1 min",
		125 * time.Second: "2 min 5 s",
		time.Hour:         "1 h", 3*time.Hour + 4*time.Minute: "3 h 4 min", 25 * time.Hour: "1 d 1 h",
		240 * time.Hour: "10 d",
		-time.Second:    "-1.0 s",
	} {
		require.Equal(t, want, Duration(d))
	}
	require.NotEmpty(t, Duration(math.MinInt64))
}

func TestAgeAndInstant(t *testing.T) {
	now := time.Date(2026, 1, 31, 23, 30, 0, 0, time.FixedZone("", 3600))
	require.Equal(t, "2026-01-31 22:30:00 UTC", Instant(now))
	require.Equal(t, "—", Instant(time.Time{}))
	require.Equal(t, "—", Age(now, time.Time{}))
	require.Equal(t, "0 s", Age(now, now.Add(time.Second)), "a clock ahead of Redis is no negative age")
	require.Equal(t, "5.0 s", Age(now, now.Add(-5*time.Second)))
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1,023 B", 1024: "1.0 KiB", 3 << 20: "3.0 MiB",
		5 << 40: "5.0 TiB", 9 << 50: "9216.0 TiB"} {
		require.Equal(t, want, Size(n))
	}
}

func TestBrief(t *testing.T) {
	require.Empty(t, Brief(nil))
	require.Equal(t, "short", Brief(errors.New("short")))
	require.Equal(t, strings.Repeat("é", 300)+"…", Brief(errors.New(strings.Repeat("é", 301))))
	require.Equal(t, "a�", Brief(errors.New("a\xff")))
}
