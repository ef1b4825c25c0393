package worker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// Every step of a flush fails once, without effect and with, and the process restarts.
func TestI2EveryStepMayFail(t *testing.T) {
	script := func(name string) func(b *bench, m testkit.Mode) {
		return func(b *bench, m testkit.Mode) { b.redis.Inject(m, testkit.Script(b.t, name)) }
	}
	statement := func(match func(string) bool) func(b *bench, m testkit.Mode) {
		return func(b *bench, m testkit.Mode) { b.sql.Inject(m, match) }
	}
	steps := map[string]func(b *bench, m testkit.Mode){
		"begin":  script("begin"),
		"due":    script("due"),
		"ack":    script("ack"),
		"hold":   script("hold"),
		"end":    script("end"),
		"sweep":  script("sweep"),
		"open":   statement(testkit.Begin),
		"look":   statement(testkit.Statement("SELECT", "afterwrite_fences")), // of a flush that reads ahead
		"fence":  statement(testkit.Lock),
		"upsert": statement(testkit.Statement("INSERT INTO", "users")),
		"delete": statement(testkit.Statement("DELETE FROM", "users")),
		"commit": statement(testkit.Commit),
		"enqueue": func(b *bench, m testkit.Mode) {
			b.orders.mu.Lock()
			defer b.orders.mu.Unlock()
			b.orders.refuse, b.orders.lie = m == testkit.Refuse, m == testkit.LoseReply
		},
	}
	modes := map[string]testkit.Mode{"not applied": testkit.Refuse, "applied": testkit.LoseReply}
	t.Parallel()
	for step, inject := range steps {
		for how, mode := range modes {
			t.Run(step+" "+how, func(t *testing.T) {
				onEach(t, func(t *testing.T, b *bench) { crash(b, false, func() { inject(b, mode) }) })
			})
			t.Run(step+" "+how+", read ahead", func(t *testing.T) {
				t.Parallel()
				b := setup(t, testkit.SQLite(t))
				crash(b, true, func() { inject(b, mode) })
			})
		}
	}
}

func crash(b *bench, ahead bool, inject func()) {
	b.mail("owner", "first", "taken@x")
	b.put("gone", "there for a while")
	b.drain(b.worker())
	b.quiet(0)

	inject()
	b.put("a", "1")
	b.delete("gone")
	b.mail("refused", "late", "taken@x")
	b.put("b", "1")
	b.put("a", "2")
	w := b.worker()
	if ahead {
		w.backlogs.Store(place{b.e.Name, 0}, true)
	}
	b.flush(w)

	restarted := b.worker()
	b.drain(restarted)
	b.quiet(1)
	require.Equal(b.t, map[string]string{"owner": "first", "a": "2", "b": "1"}, b.names())

	b.mail("owner", "second", "other@x")
	b.drain(restarted)
	testkit.Eventually(b.t, "the refused record is persisted", func() bool {
		b.drain(restarted)
		return b.stats().Held == 0
	})
	b.quiet(0)
	require.Equal(b.t, map[string]string{"owner": "second", "a": "2", "b": "1", "refused": "late"}, b.names())
}
