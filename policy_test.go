package afterwrite_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite"
)

func TestRetryRange(t *testing.T) {
	p := afterwrite.DefaultRetryPolicy()
	p.Base, p.Cap = time.Second, 10*time.Second
	p.On = map[afterwrite.Kind]afterwrite.RetryOverride{
		afterwrite.KindForeignKey: {Base: new(2 * time.Second), Factor: new(1.0), Jitter: new(afterwrite.JitterEqual), MaxAttempts: new(20), Cap: new(time.Minute)},
	}
	for _, c := range []struct {
		kind      afterwrite.Kind
		jitter    afterwrite.Jitter
		attempt   int
		low, high time.Duration
	}{
		{afterwrite.KindUnique, afterwrite.JitterNone, 1, time.Second, time.Second},
		{afterwrite.KindUnique, afterwrite.JitterNone, 2, 2 * time.Second, 2 * time.Second},
		{afterwrite.KindUnique, afterwrite.JitterNone, 4, 8 * time.Second, 8 * time.Second},
		{afterwrite.KindUnique, afterwrite.JitterNone, 5, 10 * time.Second, 10 * time.Second},
		{afterwrite.KindUnique, afterwrite.JitterNone, 100_000, 10 * time.Second, 10 * time.Second},
		{afterwrite.KindUnique, afterwrite.JitterEqual, 3, 2 * time.Second, 4 * time.Second},
		{afterwrite.KindUnique, afterwrite.JitterFull, 3, 0, 4 * time.Second},
		{afterwrite.KindForeignKey, afterwrite.JitterNone, 9, time.Second, 2 * time.Second},
	} {
		p.Jitter = c.jitter
		low, high := p.Range(c.kind, c.attempt)
		require.Equal(t, []time.Duration{c.low, c.high}, []time.Duration{low, high}, "%+v", c)
		for range 1000 {
			d := p.Delay(c.kind, c.attempt)
			require.True(t, d > 0 && d >= low && d <= high, "%s is not within (%s, %s]", d, low, high)
		}
	}
}

func TestRetryDelaySpreads(t *testing.T) {
	p := afterwrite.DefaultRetryPolicy()
	var sum time.Duration
	const draws = 10_000
	for range draws {
		sum += p.Delay(afterwrite.KindUnique, 1)
	}
	require.InDelta(t, float64(p.Base)/2, float64(sum/draws), float64(p.Base)/20)
}

func TestRetryFor(t *testing.T) {
	p := afterwrite.DefaultRetryPolicy()
	p.On = map[afterwrite.Kind]afterwrite.RetryOverride{afterwrite.KindPoison: {MaxAttempts: new(1)}}
	q := p.For(afterwrite.KindPoison)
	require.Equal(t, 1, q.MaxAttempts)
	require.Equal(t, p.Base, q.Base, "what the override does not name is the policy's own")
	require.Nil(t, q.On)
	require.NotNil(t, p.On)
	require.Equal(t, 10, p.For(afterwrite.KindUnique).MaxAttempts)

	require.True(t, p.Exhausted(afterwrite.KindPoison, 1))
	require.False(t, p.Exhausted(afterwrite.KindUnique, 9))
	require.True(t, p.Exhausted(afterwrite.KindUnique, 10))
	require.True(t, p.Exhausted(afterwrite.KindUnique, 11))
}

func TestRetryCheck(t *testing.T) {
	require.NoError(t, afterwrite.DefaultRetryPolicy().Check())
	on := func(k afterwrite.Kind, o afterwrite.RetryOverride) map[afterwrite.Kind]afterwrite.RetryOverride {
		return map[afterwrite.Kind]afterwrite.RetryOverride{k: o}
	}
	for setting, spoil := range map[string]func(*afterwrite.RetryPolicy){
		"max_attempts ":          func(p *afterwrite.RetryPolicy) { p.MaxAttempts = 0 },
		"max_attempts must":      func(p *afterwrite.RetryPolicy) { p.MaxAttempts = afterwrite.MaxRetryAttempts + 1 },
		"base ":                  func(p *afterwrite.RetryPolicy) { p.Base = 0 },
		"base must":              func(p *afterwrite.RetryPolicy) { p.Base = afterwrite.MaxRetryCap + 1 },
		"factor ":                func(p *afterwrite.RetryPolicy) { p.Factor = 0.9 },
		"factor must":            func(p *afterwrite.RetryPolicy) { p.Factor = math.NaN() },
		"factor must be":         func(p *afterwrite.RetryPolicy) { p.Factor = math.Inf(1) },
		"cap ":                   func(p *afterwrite.RetryPolicy) { p.Cap = p.Base - 1 },
		"cap must":               func(p *afterwrite.RetryPolicy) { p.Cap = afterwrite.MaxRetryCap + 1 },
		"jitter ":                func(p *afterwrite.RetryPolicy) { p.Jitter = "some" },
		"timeout ":               func(p *afterwrite.RetryPolicy) { p.Timeout = 0 },
		"timeout must":           func(p *afterwrite.RetryPolicy) { p.Timeout = afterwrite.MaxRetryTimeout + 1 },
		"on.uniq is not a kind":  func(p *afterwrite.RetryPolicy) { p.On = on("uniq", afterwrite.RetryOverride{}) },
		"on.unique.max_attempts": func(p *afterwrite.RetryPolicy) { p.On = on("unique", afterwrite.RetryOverride{MaxAttempts: new(0)}) },
		"on.poison.cap must be": func(p *afterwrite.RetryPolicy) {
			p.On = on("poison", afterwrite.RetryOverride{Cap: new(time.Millisecond)})
		},
		"on.check.jitter must be": func(p *afterwrite.RetryPolicy) {
			p.On = on("check", afterwrite.RetryOverride{Jitter: new(afterwrite.Jitter(""))})
		},
		"on.range.factor must be": func(p *afterwrite.RetryPolicy) { p.On = on("range", afterwrite.RetryOverride{Factor: new(0.0)}) },
		"on.type.base must be from": func(p *afterwrite.RetryPolicy) {
			p.On = on("type", afterwrite.RetryOverride{Base: new(time.Duration(-1))})
		},
	} {
		p := afterwrite.DefaultRetryPolicy()
		spoil(&p)
		err := p.Check()
		require.ErrorIs(t, err, afterwrite.ErrInvalid, setting)
		require.ErrorContains(t, err, setting)
	}
}

func TestKinds(t *testing.T) {
	for _, k := range afterwrite.Kinds {
		require.True(t, afterwrite.KnownKind(k))
	}
	require.False(t, afterwrite.KnownKind(""))
	require.EqualError(t, afterwrite.Refusal{Kind: afterwrite.KindUnique, Message: "taken"}, "unique: taken")
}

func TestParseVersion(t *testing.T) {
	for _, s := range []string{"1", "1769860800123456", "9007199254740991"} {
		v, err := afterwrite.ParseVersion(s)
		require.NoError(t, err)
		require.Equal(t, s, v.String())
	}
	for _, s := range []string{"", "0", "-1", "9007199254740992", "9223372036854775808", "1.0", "1e3", `"1"`, " 1", "+1", "01", "x"} {
		_, err := afterwrite.ParseVersion(s)
		require.ErrorIs(t, err, afterwrite.ErrInvalid, "%q", s)
	}
}
