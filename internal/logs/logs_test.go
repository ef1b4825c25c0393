package logs

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// page is a log that several goroutines write.
type page struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func (p *page) count(what string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Count(p.text.String(), what)
}

// A flood is a few lines, and one that says how many there were; other kinds and what is no warning are not touched.
func TestAFloodIsAFewLines(t *testing.T) {
	t.Parallel()
	out := &page{}
	h := bounded{slog.NewTextHandler(out, nil), &counts{window: time.Hour, of: map[kind]*count{}}, nil}
	log := slog.New(h)
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			for range 400 {
				log.Warn("request failed", "problem", "backlog-full", "request_id", "x")
				log.Info("logged in")
			}
		})
	}
	all.Wait()
	log.With("problem", "internal").Warn("request failed")
	log.With("problem", "internal").Error("request failed")
	require.Equal(t, Burst, out.count("backlog-full"))
	require.Equal(t, 2, out.count("problem=internal"))
	require.Equal(t, 50*400, out.count("logged in"))
	h.counts.end(kind{slog.LevelWarn, "request failed", "problem=backlog-full "})
	require.Equal(t, 1, out.count("problem=backlog-full request_id=x repeated=19990"))
	log.Warn("request failed", "problem", "backlog-full")
	require.Equal(t, Burst+2, out.count("backlog-full"), "the next window begins again")
}

// The window ends by itself, so that a flood that stops is told too.
func TestTheEndOfAFloodIsTold(t *testing.T) {
	t.Parallel()
	out := &page{}
	short := &counts{window: time.Millisecond, of: map[kind]*count{}}
	log := slog.New(bounded{slog.NewTextHandler(out, nil), short, nil})
	testkit.Eventually(t, "a line says how many there were", func() bool {
		for range 2 * Burst {
			log.Error("lost")
		}
		return out.count("repeated=") > 0
	})
}

// Kinds are bounded: what cannot be counted is logged.
func TestKindsAreBounded(t *testing.T) {
	t.Parallel()
	out := &page{}
	c := &counts{window: time.Hour, of: map[kind]*count{}}
	log := slog.New(bounded{slog.NewTextHandler(out, nil), c, nil})
	for i := range 2 * kinds {
		log.Warn(strings.Repeat("x", i))
	}
	require.Len(t, c.of, kinds)
	require.Equal(t, 2*kinds, out.count("level=WARN"))
}
