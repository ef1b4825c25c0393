package worker

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/fleet"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// A table is broken by a deploy, and mended: its records wait, and nothing is counted.
func TestTheTroubleOfATableIsNoRecords(t *testing.T) {
	type way struct{ name, breaks, mends string }
	ways := map[string][]way{
		"sqlite": {{
			"a trigger's table",
			"CREATE TRIGGER t AFTER INSERT ON users BEGIN INSERT INTO log VALUES (1); END",
			"CREATE TABLE log (n int)",
		}, {
			"a column", "ALTER TABLE users RENAME COLUMN age TO years", "ALTER TABLE users RENAME COLUMN years TO age",
		}},
		"mysql": {{
			"a trigger's table",
			"CREATE TRIGGER t AFTER INSERT ON users FOR EACH ROW INSERT INTO log VALUES (1)",
			"CREATE TABLE log (n int)",
		}, {
			"a column", "ALTER TABLE users RENAME COLUMN age TO years", "ALTER TABLE users RENAME COLUMN years TO age",
		}},
		"postgres": {{
			"a trigger's column",
			`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.made = 1; RETURN new; END $$;
			CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()`,
			"CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN new; END $$",
		}, {
			"the key's constraint", "ALTER TABLE users DROP CONSTRAINT users_pkey",
			"ALTER TABLE users ADD PRIMARY KEY (id)",
		}, {
			"a column", "ALTER TABLE users RENAME COLUMN age TO years", "ALTER TABLE users RENAME COLUMN years TO age",
		}},
	}
	for i := range 3 {
		t.Run(id(i), func(t *testing.T) {
			onEach(t, func(t *testing.T, b *bench) {
				if i >= len(ways[b.store.Dialect()]) {
					return
				}
				one := ways[b.store.Dialect()][i]
				t.Log(one.name)
				b.exec(one.breaks)
				w := b.worker(b.serving)
				stop := b.run(w)
				const records = 60
				for i := range records {
					b.put(id(i), "x")
				}
				testkit.Eventually(t, "the trouble is told", func() bool {
					alive, err := b.redisOf().Alive(t.Context())
					require.NoError(t, err)
					return fleet.Troubles(alive)["user"].Table == "users"
				})
				require.Positive(t, testutil.ToFloat64(w.metrics.trouble.WithLabelValues("user")))
				met := time.Now()
				testkit.Eventually(t, "more than one was tried",
					func() bool { return time.Since(met) > 3*troublePause })
				require.EqualValues(t, records, b.stats().Pending+b.stats().Held)
				for i := range records {
					s := b.status(id(i))
					require.Zero(t, s.Attempts, id(i))
					if s.Refusal != nil {
						require.Equal(t, schema.KindTable, s.Refusal.Kind)
						require.Contains(t, s.Refusal.Message, "users: ")
					}
				}
				b.exec(one.mends)
				testkit.Eventually(t, "all goes on by itself", func() bool {
					return len(b.names()) == records &&
						b.stats().Pending+b.stats().Held == 0
				})
				stop()
				b.quiet(0)
				require.Zero(t, b.count(ledger.LetterFilter{}))
				_, told := fleet.Troubles([]fleet.Process{{Info: w.info()}})["user"]
				require.False(t, told)
			})
		})
	}
}

// A record whose own trigger is broken does not keep others waiting, though it is the first,
// and counts its attempts beside those that are persisted.
func TestOneRecordsTroubleIsNotTheTables(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.Postgres(t).Database(t))
	b.e.Retry.MaxAttempts = 1000
	b.exec(`CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF new.name = 'bad' THEN INSERT INTO log VALUES (1); END IF; RETURN new; END $$;
		CREATE TRIGGER t BEFORE INSERT ON users FOR EACH ROW EXECUTE FUNCTION f()`)
	stop := b.run(b.worker(b.serving))
	b.put("a", "bad")
	testkit.Eventually(t, "it waits alone", func() bool { return b.stats().Held == 1 })
	require.Zero(t, b.status("a").Attempts, "it may yet be the table's fault")
	b.put("b", "good")
	testkit.Eventually(t, "others are persisted", func() bool { return len(b.names()) == 1 })
	testkit.Eventually(t, "what fails beside them is refused", func() bool {
		b.put("c", "good")
		return b.status("a").Attempts > 0
	})
	stop()
	require.Equal(t, schema.KindPoison, b.status("a").Refusal.Kind)
}
