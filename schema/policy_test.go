package schema_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

func TestRetryRange(t *testing.T) {
	p := schema.DefaultRetryPolicy()
	p.Base, p.Cap = time.Second, 10*time.Second
	p.On = map[schema.Kind]schema.RetryOverride{
		schema.KindForeignKey: {Base: new(2 * time.Second), Factor: new(1.0), Jitter: new(schema.JitterEqual),
			MaxAttempts: new(20), Cap: new(time.Minute)},
	}
	for _, c := range []struct {
		kind      schema.Kind
		jitter    schema.Jitter
		attempt   int
		low, high time.Duration
	}{
		{schema.KindUnique, schema.JitterNone, 1, time.Second, time.Second},
		{schema.KindUnique, schema.JitterNone, 2, 2 * time.Second, 2 * time.Second},
		{schema.KindUnique, schema.JitterNone, 4, 8 * time.Second, 8 * time.Second},
		{schema.KindUnique, schema.JitterNone, 5, 10 * time.Second, 10 * time.Second},
		{schema.KindUnique, schema.JitterNone, 100_000, 10 * time.Second, 10 * time.Second},
		{schema.KindUnique, schema.JitterEqual, 3, 2 * time.Second, 4 * time.Second},
		{schema.KindUnique, schema.JitterFull, 3, 0, 4 * time.Second},
		{schema.KindForeignKey, schema.JitterNone, 9, time.Second, 2 * time.Second},
	} {
		p.Jitter = c.jitter
		low, high := p.Range(c.kind, c.attempt)
		require.Equal(t, []time.Duration{c.low, c.high}, []time.Duration{low, high}, "%+v", c)
	}
}

func TestRetryFor(t *testing.T) {
	p := schema.DefaultRetryPolicy()
	p.On = map[schema.Kind]schema.RetryOverride{schema.KindPoison: {MaxAttempts: new(1)}}
	q := p.For(schema.KindPoison)
	require.Equal(t, 1, q.MaxAttempts)
	require.Equal(t, p.Base, q.Base, "what the override does not name is the policy's own")
	require.Nil(t, q.On)
	require.NotNil(t, p.On)
	require.Equal(t, 10, p.For(schema.KindUnique).MaxAttempts)
}

func TestRetryCheck(t *testing.T) {
	require.NoError(t, schema.DefaultRetryPolicy().Check())
	on := func(k schema.Kind, o schema.RetryOverride) map[schema.Kind]schema.RetryOverride {
		return map[schema.Kind]schema.RetryOverride{k: o}
	}
	for setting, spoil := range map[string]func(*schema.RetryPolicy){
		"max_attempts ":         func(p *schema.RetryPolicy) { p.MaxAttempts = 0 },
		"max_attempts must":     func(p *schema.RetryPolicy) { p.MaxAttempts = schema.MaxRetryAttempts + 1 },
		"base ":                 func(p *schema.RetryPolicy) { p.Base = 0 },
		"base must":             func(p *schema.RetryPolicy) { p.Base = schema.MaxRetryCap + 1 },
		"factor ":               func(p *schema.RetryPolicy) { p.Factor = 0.9 },
		"factor must":           func(p *schema.RetryPolicy) { p.Factor = math.NaN() },
		"factor must be":        func(p *schema.RetryPolicy) { p.Factor = math.Inf(1) },
		"cap ":                  func(p *schema.RetryPolicy) { p.Cap = p.Base - 1 },
		"cap must":              func(p *schema.RetryPolicy) { p.Cap = schema.MaxRetryCap + 1 },
		"jitter ":               func(p *schema.RetryPolicy) { p.Jitter = "some" },
		"timeout ":              func(p *schema.RetryPolicy) { p.Timeout = 0 },
		"timeout must":          func(p *schema.RetryPolicy) { p.Timeout = schema.MaxRetryTimeout + 1 },
		"on.uniq is not a kind": func(p *schema.RetryPolicy) { p.On = on("uniq", schema.RetryOverride{}) },
		"on.unique.max_attempts": func(p *schema.RetryPolicy) {
			p.On = on("unique",
				schema.RetryOverride{MaxAttempts: new(0)})
		},
		"on.poison.cap must be": func(p *schema.RetryPolicy) {
			p.On = on("poison", schema.RetryOverride{Cap: new(time.Millisecond)})
		},
		"on.check.jitter must be": func(p *schema.RetryPolicy) {
			p.On = on("check", schema.RetryOverride{Jitter: new(schema.Jitter(""))})
		},
		"on.range.factor must be": func(p *schema.RetryPolicy) {
			p.On = on("range",
				schema.RetryOverride{Factor: new(0.0)})
		},
		"on.type.base must be from": func(p *schema.RetryPolicy) {
			p.On = on("type", schema.RetryOverride{Base: new(time.Duration(-1))})
		},
	} {
		p := schema.DefaultRetryPolicy()
		spoil(&p)
		err := p.Check()
		require.ErrorIs(t, err, schema.ErrInvalid, setting)
		require.ErrorContains(t, err, setting)
	}
}

func TestKinds(t *testing.T) {
	require.EqualError(t, schema.Refusal{Kind: schema.KindUnique, Message: "taken"}, "unique: taken")
}

func TestParseVersion(t *testing.T) {
	for _, s := range []string{"1", "1769860800123456", "9007199254740991"} {
		v, err := schema.ParseVersion(s)
		require.NoError(t, err)
		require.Equal(t, s, v.String())
	}
	for _, s := range []string{"", "0", "-1", "9007199254740992", "9223372036854775808", "1.0", "1e3", `"1"`, " 1",
		"+1", "01", "x"} {
		_, err := schema.ParseVersion(s)
		require.ErrorIs(t, err, schema.ErrInvalid, "%q", s)
	}
}
