package values_test

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

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// modelTime bounds the model test; AFTERWRITE_MODEL_SEEDS sets how many seeds it runs at most.
const modelTime = 40 * time.Second

// model is two processes with an L1 each over one Redis, and a map that says what they
// should hold.
type model struct {
	t      *testing.T
	random *rand.Rand
	rdb    *redis.Client
	actors [2]actor
	seed   int
	truth  map[string]string          // what a load reads; Redis has it for the processes
	were   map[string]map[string]bool // all that a key was
	last   map[string]int             // the process that changed a key last
	n      int
}

func (m *model) load(p int, key string) string {
	got, err := m.actors[p].load(key)
	require.NoError(m.t, err, "seed %d", m.seed)
	return got
}

// change gives the source of a key a new text.
func (m *model) change(ctx context.Context, key string, p int) string {
	m.n++
	m.truth[key] = strconv.Itoa(m.n)
	require.NoError(m.t, m.rdb.Set(ctx, truth+key, m.truth[key], time.Hour).Err())
	if m.were[key] == nil {
		m.were[key] = map[string]bool{"": true}
	}
	m.were[key][m.truth[key]] = true
	m.last[key] = p
	return m.truth[key]
}

func (m *model) step(ctx context.Context) {
	p, key := m.random.IntN(2), fmt.Sprintf("%d-%d", m.seed, m.random.IntN(4))
	var err error
	switch m.random.IntN(12) {
	case 0:
		err = m.actors[p].do(command{Op: "set", Key: key, Value: m.change(ctx, key, p)})
	case 1:
		m.change(ctx, key, p)
		err = m.actors[p].do(command{Op: "delete", Key: key})
	case 2:
		m.change(ctx, key, p)
		err = m.actors[p].do(command{Op: "tag", Key: key})
	case 3:
		if m.random.IntN(4) == 0 {
			m.change(ctx, key, p)
			err = m.actors[p].do(command{Op: "match", Key: key[:len(key)-1] + "[0-9]"})
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
		got := m.load(p, key)
		if p == m.last[key] {
			require.Equal(m.t, m.truth[key], got, "seed %d: process %d reads its own change of %s", m.seed, p, key)
		} else {
			require.True(m.t, got == "" || m.were[key][got], "seed %d: %q was never %s", m.seed, got, key)
		}
	}
	require.NoError(m.t, err, "seed %d", m.seed)
}

// settle waits until both processes see every change.
func (m *model) settle() {
	for key := range m.were {
		for p := range 2 {
			testkit.Eventually(m.t, fmt.Sprintf("seed %d: process %d sees %s", m.seed, p, key), func() bool {
				return m.load(p, key) == m.truth[key]
			})
		}
	}
}

func TestValuesAgainstAModel(t *testing.T) {
	t.Parallel()
	server := testkit.Redis(t)
	m := &model{t: t, rdb: server.Client(t)}
	here, err := newProcess(server.URL())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, here.close()) })
	m.actors = [2]actor{here, newChild(t, server.URL())}
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
		m.settle()
	}
	t.Logf("%d seeds from %d", ran, first)
}
