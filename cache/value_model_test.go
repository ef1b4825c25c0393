package cache_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/testkit"
)

// modelTime bounds the model test; AFTERWRITE_MODEL_SEEDS sets how many seeds it runs at most.
const modelTime = 40 * time.Second

// model is two processes' L1s over one Redis, and a map that says what they should hold.
type model struct {
	t      *testing.T
	random *rand.Rand
	rdb    *redis.Client
	caches [2]*cache.Cache
	values [2]*cache.Values[string]
	seed   int
	truth  map[string]string          // what a load reads
	were   map[string]map[string]bool // all that a key was
	last   map[string]int             // the process that changed a key last
	n      int
}

func (m *model) load(ctx context.Context, p int, key string) string {
	got, err := m.values[p].Load(ctx, key, func(ctx context.Context) (string, error) {
		cache.AddTags(ctx, cache.NamedTag("of "+key))
		return m.truth[key], nil
	})
	require.NoError(m.t, err, "seed %d", m.seed)
	return got
}

// change gives the source of a key a new text.
func (m *model) change(key string, p int) {
	m.n++
	m.truth[key] = strconv.Itoa(m.n)
	if m.were[key] == nil {
		m.were[key] = map[string]bool{"": true}
	}
	m.were[key][m.truth[key]] = true
	m.last[key] = p
}

func (m *model) step(ctx context.Context) {
	p, key := m.random.IntN(2), fmt.Sprintf("%d-%d", m.seed, m.random.IntN(4))
	var err error
	switch m.random.IntN(12) {
	case 0:
		m.change(key, p)
		err = m.values[p].Set(ctx, key, m.truth[key], cache.NamedTag("of "+key))
	case 1:
		m.change(key, p)
		_, err = m.values[p].Delete(ctx, key)
	case 2:
		m.change(key, p)
		err = m.caches[p].InvalidateTags(ctx, cache.NamedTag("of "+key))
	case 3:
		if m.random.IntN(4) == 0 {
			m.change(key, p)
			_, err = m.values[p].InvalidateMatch(ctx, key[:len(key)-1]+"[0-9]", nil)
		}
	case 4:
		for _, name := range m.rdb.Keys(ctx, "*{m:"+key+"}").Val() {
			err = m.rdb.Del(ctx, name).Err() // evicted, or expired
		}
	case 5:
		if m.random.IntN(50) == 0 {
			err = m.rdb.ClientKillByFilter(ctx, "TYPE", "pubsub").Err()
		}
	default:
		got := m.load(ctx, p, key)
		if p == m.last[key] {
			require.Equal(m.t, m.truth[key], got, "seed %d: process %d reads its own change of %s", m.seed, p, key)
		} else {
			require.True(m.t, got == "" || m.were[key][got], "seed %d: %q was never %s", m.seed, got, key)
		}
	}
	require.NoError(m.t, err, "seed %d", m.seed)
}

// settle waits until both processes see every change.
func (m *model) settle(ctx context.Context) {
	for key := range m.were {
		for p := range 2 {
			testkit.Eventually(m.t, fmt.Sprintf("seed %d: process %d sees %s", m.seed, p, key), func() bool {
				return m.load(ctx, p, key) == m.truth[key]
			})
		}
	}
}

func TestValuesAgainstAModel(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	m := &model{t: t, rdb: server.Client(t)}
	for p := range 2 {
		c, err := cache.New(cache.Config{URL: server.URL(), Log: testkit.Logger(t), KeptTags: 100})
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		m.caches[p] = c
		m.values[p] = group[string](t, c, cache.Policy{Group: "m", L1: inProcess, TTL: time.Hour})
	}
	seeds := 1000
	if n, err := strconv.Atoi(os.Getenv("AFTERWRITE_MODEL_SEEDS")); err == nil {
		seeds = n
	}
	first, until := rand.IntN(1<<30), time.Now().Add(modelTime)
	ran := 0
	for ; ran < seeds && time.Now().Before(until); ran++ {
		m.seed = first + ran
		m.random = rand.New(rand.NewPCG(uint64(m.seed), 0))
		m.truth, m.were, m.last = map[string]string{}, map[string]map[string]bool{}, map[string]int{}
		for range 30 {
			m.step(t.Context())
		}
		m.settle(t.Context())
	}
	t.Logf("%d seeds from %d", ran, first)
}
