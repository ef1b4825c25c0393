package dashboard

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/health"
)

// level says how much a finding matters, as a page shows it: by a mark and a word, never by
// colour alone.
type level health.Level

func (l level) String() string { return health.Level(l).String() }

// Class names the level in app.css.
func (l level) Class() string { return [...]string{"fine", "warning", "failure"}[l] }

// Mark is the sign that stands beside the word.
func (l level) Mark() string { return [...]string{"✓", "!", "✕"}[l] }

// finding is one sentence about the state of the system.
type finding struct {
	Level level
	Text  string
	Hint  string
}

// shown are findings as a page shows them. Their causes may name hosts and quote anything:
// the page has them cut, beside what they are of.
func shown(found []health.Finding) []finding {
	list := make([]finding, len(found))
	for i, f := range found {
		list[i] = finding{level(f.Level), cut(f.Text), f.Hint}
	}
	return list
}

// verdict answers the one question of the overview, whether accepted writes reach the
// database, in one sentence: the gravest finding. The others follow it.
func (s *snapshot) verdict(why reasons) (first finding, rest []finding) {
	judged := s.State
	judged.Entities = slices.Clone(s.Entities)
	for i := range judged.Entities {
		judged.Entities[i].Why = why[judged.Entities[i].Entity.Name]
	}
	found := shown(judged.Findings())
	if len(found) == 0 {
		return s.allIsWell(), nil
	}
	slices.SortStableFunc(found, func(a, b finding) int { return int(b.Level - a.Level) })
	return found[0], found[1:]
}

func (s *snapshot) allIsWell() finding {
	total := s.Total()
	switch {
	case total.Accepted == 0:
		return finding{Text: "Nothing has been written yet."}
	case total.Pending == 0:
		return finding{Text: "All accepted writes are in the database."}
	}
	return finding{Text: fmt.Sprintf("All writes are reaching the database, %s behind.",
		age(s.At, total.OldestPending))}
}

// levelOf judges an entity, or one of its partitions.
func levelOf(e health.Entity, now time.Time, working bool) level {
	return level(health.Worst(e.Findings(now, working)))
}

// working reports whether a worker is alive, as far as is known.
func (s *snapshot) working() bool { return s.Workers() > 0 || s.ProcessesErr != nil }

// lagsInfo is what workers call their lags of the last minute.
const lagsInfo = "lags"

// lags are the times within which half, and 99 %, of what was persisted in the last
// minute got there; zero where nothing was.
func (s *snapshot) lags() (half, most time.Duration) {
	var sum pending.Lags
	for _, p := range s.Processes {
		one := pending.ParseLags(p.Info[lagsInfo])
		sum.Merge(&one)
	}
	return sum.Quantile(.5), sum.Quantile(.99)
}

// brief cuts an error to what fits a page.
func brief(err error) string {
	if err == nil {
		return ""
	}
	return cut(err.Error())
}

func cut(long string) string {
	const limit = 300
	long = strings.ToValidUTF8(long, "�")
	if r := []rune(long); len(r) > limit {
		return string(r[:limit]) + "…"
	}
	return long
}
