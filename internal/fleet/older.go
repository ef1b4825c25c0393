package fleet

import (
	"context"
	"crypto/rand"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/rdb"
)

// Bounds of the marks.
const (
	markLife   = 7 * 24 * time.Hour // an older mark belongs to a process that was killed
	markDoubts = 100                // marks of unknown outcome that a process remembers
)

// markBorn is a random field of the marks' hash, created with the hash.
const markBorn = "born"

// Mark is a number that one process stores in Redis repeatedly, larger each time. If Redis holds another number than
// the last, it went back to an older state: an old copy of its files, or a replica that lagged. On a cluster this is
// detected only for the node that holds the marks.
type Mark struct {
	fleet *Fleet
	name  string

	mu    sync.Mutex
	born  string  // markBorn of the hash that holds the mark; "" before the first mark
	sure  int64   // the last acknowledged mark; 0: none
	last  int64   // the largest mark that was ever sent
	maybe []int64 // sent and perhaps written, immediately or later
}

// NewMark returns the mark of a process.
func (f *Fleet) NewMark() *Mark { return &Mark{fleet: f, name: rand.Text()} }

// Renew stores the next mark and reports whether Redis went back since the last one. An empty or a different Redis did
// not go back: see cache.Cache.Readopt.
func (m *Mark) Renew(ctx context.Context) (wentBack bool, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := m.fleet.marksKey()
	if m.born == "" {
		if err := m.fleet.pruneMarks(ctx); err != nil {
			return false, err
		}
	}
	found, err := m.fleet.redis.HMGet(ctx, key, markBorn, m.name).Result()
	if err != nil {
		return false, rdb.Fault("mark", err)
	}
	born, mark := layout.Text(found[0]), layout.Text(found[1])
	switch {
	case born == "":
		if err := m.fleet.redis.HSetNX(ctx, key, markBorn, rand.Text()).Err(); err != nil {
			return false, rdb.Fault("mark", err)
		}
		if born, err = m.fleet.redis.HGet(ctx, key, markBorn).Result(); err != nil {
			return false, rdb.Fault("mark", err)
		}
	case born == m.born && m.sure > 0:
		wentBack = !m.left(mark)
	}
	if born != m.born {
		m.born, m.sure = born, 0
	}
	m.last++
	// This client sends nothing twice: a mark that was sent twice and acknowledged once could arrive late, after a
	// larger mark, and look like an older state.
	if err := m.fleet.redis.Once.HSet(ctx, key, m.name, strconv.FormatInt(m.last, 10)+"@"+
		strconv.FormatInt(time.Now().UnixMilli(), 10)).Err(); err != nil {
		m.maybe = append(m.maybe, m.last)
		m.maybe = m.maybe[max(0, len(m.maybe)-markDoubts):]
		if wentBack {
			m.sure = 0 // report it once
		}
		return wentBack, rdb.Fault("mark", err)
	}
	m.sure = m.last
	return wentBack, nil
}

// left reports whether the mark may be the last one that this process stored.
func (m *Mark) left(mark string) bool {
	number, _, _ := strings.Cut(mark, "@")
	n, err := strconv.ParseInt(number, 10, 64)
	return err == nil && (n == m.sure || slices.Contains(m.maybe, n))
}

// Leave removes the mark of a stopping process.
func (m *Mark) Leave(ctx context.Context) error {
	if err := m.fleet.redis.HDel(ctx, m.fleet.marksKey(), m.name).Err(); err != nil {
		return rdb.Fault("mark", err)
	}
	return nil
}

// pruneMarks removes the marks of processes that were killed long ago.
func (f *Fleet) pruneMarks(ctx context.Context) error {
	marks, err := f.redis.HGetAll(ctx, f.marksKey()).Result()
	if err != nil {
		return rdb.Fault("mark", err)
	}
	var old []string
	for name, mark := range marks {
		_, at, _ := strings.Cut(mark, "@")
		if ms, err := strconv.ParseInt(at, 10, 64); err == nil && time.Since(time.UnixMilli(ms)) > markLife {
			old = append(old, name)
		}
	}
	if len(old) == 0 {
		return nil
	}
	if err := f.redis.HDel(ctx, f.marksKey(), old...).Err(); err != nil {
		return rdb.Fault("mark", err)
	}
	return nil
}
