package bench

import (
	"context"
	"encoding/xml"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRatiosAreOfTheSameTurn(t *testing.T) {
	t.Parallel()
	f := Figure{Name: "writes", Unit: "/s", Base: "base"}
	for turn, base := range []float64{100, 200, 50} { // a machine that changes its mind
		f.add("base", base)
		f.add("other", base*[]float64{0.5, 0.6, 0.4}[turn])
	}
	f.compare()
	require.InDeltaSlice(t, []float64{0.5, 0.6, 0.4}, f.Series[1].Ratios, 1e-9)
	require.InDelta(t, 0.5, Median(f.Series[1].Ratios), 1e-9)
	require.Nil(t, f.Series[0].Ratios)
	require.True(t, math.IsNaN(Median(nil)))
	require.Equal(t, 2.5, Median([]float64{4, 1, 2, 3}))

	r := Report{Figures: []Figure{f}}
	require.Equal(t, []string{"", "other", "50.0 /s", "20.0–120", "base", "0.50", "0.40–0.60"}, r.Table()[2])
	var any struct{ XMLName xml.Name }
	require.NoError(t, xml.Unmarshal(r.SVG(), &any))
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{0.756: "0.76", 12.34: "12.3", 345.6: "346", 1234567: "1,234,567",
		1002: "1,002"} {
		require.Equal(t, want, number(v))
	}
}

func TestClosedLoad(t *testing.T) {
	t.Parallel()
	seen := make([]int, 100)
	o, err := closed(t.Context(), 10, time.Minute, 100, func(_ context.Context, n int) error {
		seen[n]++ // each number is of one caller
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, 100, o.n)
	require.IsNonDecreasing(t, o.times)
	for _, times := range seen {
		require.Equal(t, 1, times)
	}
	failure := errors.New("no")
	_, err = closed(t.Context(), 2, time.Minute, 0, func(context.Context, int) error { return failure })
	require.ErrorIs(t, err, failure)
}

func TestPacedLoadKeepsItsRate(t *testing.T) {
	t.Parallel()
	o, err := paced(t.Context(), 20, 200*time.Millisecond, 5000, func(context.Context, int) error { return nil })
	require.NoError(t, err)
	require.InDelta(t, 1000, o.n, 20)
}

func TestIDsAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for n := range 100_000 {
		seen[id(n)] = true
	}
	require.Len(t, seen, 100_000)
	require.Len(t, sized("u", 200).Name+sized("u", 200).Email+"34"+"1208"+"true"+sized("u", 200).Note, 200)
}
