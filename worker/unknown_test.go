package worker

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/internal/testkit/whole"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// knowing is a worker on the real queue whose configuration has those fields alone.
func (b *bench) knowing(fields ...schema.Field) *Worker {
	b.t.Helper()
	e := &schema.Entity{Name: b.e.Name, Table: b.e.Table, ID: b.e.ID, Partitions: b.e.Partitions, Retry: b.e.Retry,
		Fields: fields}
	require.NoError(b.t, e.Init())
	l, err := ledger.Open(store.Config{URL: b.db, Log: testkit.Logger(b.t)}, []*schema.Entity{e})
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = l.Close() })
	return b.worker(b.serving, func(cfg *Config) { cfg.Entities, cfg.Store = []*schema.Entity{e}, l })
}

func (b *bench) unknowns() []fleet.Unknown {
	b.t.Helper()
	alive, err := whole.Of(b.cache).Alive(b.t.Context())
	require.NoError(b.t, err)
	return fleet.Unknowns(alive)
}

func (b *bench) profile(id, text string) {
	b.t.Helper()
	values, err := b.e.Whole(schema.Fields{"name": "x", "email": id + "@x", "profile": json.RawMessage(text)})
	require.NoError(b.t, err)
	b.write(cache.Write{Op: cache.OpPut, ID: id, Values: values})
}

func (b *bench) profiles() map[string]string {
	b.t.Helper()
	rows, err := b.store.List(b.t.Context(), b.e, store.Query{Limit: 1000})
	require.NoError(b.t, err)
	at, _ := b.e.Field("profile")
	all := map[string]string{}
	for _, r := range rows {
		all[r.ID] = r.Values[at]
	}
	return all
}

// A worker whose configuration lacks a field leaves the records with writes of it, counting
// nothing, to one that has it; the others it flushes.
func TestRecordsAreLeftToWorkersThatKnowTheirFields(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.profile("row", `{"n":0}`)
		b.drain(b.worker())
		old := b.knowing(b.e.Fields[:4:4]...)
		stop := b.run(old)
		b.profile("a", `{"n":1}`)
		at, _ := b.e.Field("age")
		patch := make(schema.Values, len(b.e.Fields))
		patch[at] = "7"
		b.write(cache.Write{Op: cache.OpPatch, ID: "row", Values: patch})
		testkit.Eventually(t, "it is left, again and again",
			func() bool { return testutil.ToFloat64(old.metrics.left.WithLabelValues("user")) >= 3 })
		testkit.Eventually(t, "what names no such field is flushed",
			func() bool { return b.status("row").Record.Status == schema.Persisted })
		s := b.status("a")
		require.Equal(t, schema.Held, s.Record.Status)
		require.Equal(t, schema.KindUnknownField, s.Refusal.Kind)
		require.Contains(t, s.Refusal.Message, "profile")
		require.Zero(t, s.Attempts)
		require.Equal(t, map[string]string{"row": `{"n":0}`}, b.profiles())
		require.Equal(t, []fleet.Unknown{{Entity: "user", Fields: []string{"profile"}, Workers: []string{old.id}}},
			b.unknowns())
		require.EqualValues(t, 1, testutil.ToFloat64(old.metrics.unknown.WithLabelValues("user")))

		// One that knows it comes, and both work on.
		stopKnowing := b.run(b.worker(b.serving))
		testkit.Eventually(t, "it is flushed", func() bool { return b.profiles()["a"] == `{"n":1}` })
		for i := range 30 {
			b.profile(id(i), fmt.Sprintf(`{"n":%d}`, i))
		}
		testkit.Eventually(t, "all are", func() bool { return b.stats().Pending+b.stats().Held == 0 })
		for i := range 30 {
			require.Equal(t, fmt.Sprintf(`{"n":%d}`, i), b.profiles()[id(i)])
		}
		require.Equal(t, 1, b.unknowns()[0].Know)
		stop()
		stopKnowing()
		b.quiet(0)
		require.Zero(t, b.count(ledger.LetterFilter{}))
	})
}

// Writes that wait under the former name of a field reach its column of today.
func TestPendingWritesOfARenamedFieldAreFlushed(t *testing.T) {
	onEach(t, func(t *testing.T, b *bench) {
		b.profile("a", `{"n":1}`)
		fields := append(b.e.Fields[:4:4], schema.Field{Name: "about", Column: "profile", Type: schema.JSON})
		without := b.knowing(fields...)
		stop := b.run(without)
		testkit.Eventually(t, "it is left", func() bool { return b.stats().Held == 1 })
		stop()
		fields[4].RenamedFrom = "profile"
		stop = b.run(b.knowing(fields...))
		testkit.Eventually(t, "it is flushed", func() bool { return b.profiles()["a"] == `{"n":1}` })
		stop()
		b.quiet(0)
	})
}
