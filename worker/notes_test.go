package worker

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache"
	"github.com/afterwrite/afterwrite/cache/events"
	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

// beside is a bench whose table another program writes, and is watched.
type beside struct {
	*bench
	w     *Worker
	other *sql.DB
}

func onWatched(t *testing.T, fn func(t *testing.T, s *beside)) {
	t.Helper()
	onEach(t, func(t *testing.T, b *bench) {
		_, err := b.store.Migrate(t.Context(), false, store.Watching{Watch: []string{store.WatchAll}})
		require.NoError(t, err)
		s := &beside{b, b.worker(), testkit.SQL(t, b.db)}
		s.w.leading.Store(true)
		require.NoError(t, s.w.followNotes(t.Context()))
		fn(t, s)
	})
}

func (s *beside) do(statement string) {
	s.t.Helper()
	execute(s.t, s.other, statement)
}

// name is the name of a user as the cache has it, "" of none.
func (s *beside) name(id string) string {
	s.t.Helper()
	got, err := s.cache.Get(s.t.Context(), s.e, id)
	if err != nil {
		require.ErrorIs(s.t, err, schema.ErrNotFound)
		return ""
	}
	if got.Deleted || got.Values == nil {
		return ""
	}
	return got.Values[0]
}

func (s *beside) follow() {
	s.t.Helper()
	require.NoError(s.t, s.w.followNotes(s.t.Context()))
	notes, err := s.store.Notes(s.t.Context(), store.Note{}, 10)
	require.NoError(s.t, err)
	require.Empty(s.t, notes)
}

// A worker that runs has reads tell what another program wrote, within its interval.
func TestReadsFollowWhatOthersWrite(t *testing.T) {
	onWatched(t, func(t *testing.T, s *beside) {
		s.put("a", "Ann")
		s.put("b", "Bob")
		s.flush(s.w)
		require.Empty(t, s.name("c"), "cached as absent")
		for _, id := range []string{"a", "b"} {
			require.NotEmpty(t, s.name(id))
		}
		sub, err := s.cache.Bus().Subscribe(t.Context(), s.e)
		require.NoError(t, err)
		defer sub.Close()
		stop := s.run(s.worker())
		defer stop()
		s.do("UPDATE users SET name = 'Anna' WHERE id = 'a'")
		testkit.Eventually(t, "the update is read", func() bool { return s.name("a") == `"Anna"` })
		s.do("INSERT INTO users (id, name, login_count) VALUES ('c', 'Cid', 0)")
		testkit.Eventually(t, "the insert is read", func() bool { return s.name("c") == `"Cid"` })
		s.do("UPDATE users SET id = 'd' WHERE id = 'c'")
		testkit.Eventually(t, "the rename is read", func() bool { return s.name("c") == "" && s.name("d") == `"Cid"` })
		s.do("DELETE FROM users WHERE id = 'b'")
		testkit.Eventually(t, "the deletion is read", func() bool { return s.name("b") == "" })
		require.Zero(t, s.stats().Conflicts)
		changed := map[string]bool{}
		testkit.Eventually(t, "events tell of it", func() bool {
			select {
			case some := <-sub.C():
				for _, e := range some {
					changed[e.ID] = changed[e.ID] || e.Type == "changed"
				}
			default:
			}
			return changed["a"] && changed["b"] && changed["c"] && changed["d"]
		})
	})
}

// A record that waits for the database while another program changes its row is a conflict: it
// is counted and published, its write keeps the field that it names, and the rest is the row's.
func TestAConflictIsCountedAndPublished(t *testing.T) {
	onWatched(t, func(t *testing.T, s *beside) {
		s.put("a", "Ann")
		s.flush(s.w)
		i, _ := s.e.Field("email")
		s.patch("a", i, `"late@x"`)
		late := s.orders.take()
		s.do("UPDATE users SET name = 'Anna', email = 'other@x' WHERE id = 'a'")
		sub, err := s.cache.Bus().Subscribe(t.Context(), s.e)
		require.NoError(t, err)
		defer sub.Close()
		s.follow()
		require.EqualValues(t, 1, s.stats().Conflicts)
		var conflict events.Event
		testkit.Eventually(t, "the conflict is published", func() bool {
			select {
			case some := <-sub.C():
				for _, e := range some {
					if e.Type == "conflict" {
						conflict = e
					}
				}
			default:
			}
			return conflict.ID == "a" && conflict.Version > 0
		})
		require.Equal(t, `"Ann"`, s.name("a"), "pending")
		for _, o := range late {
			require.NoError(t, s.w.sync(t.Context(), task(o)))
		}
		got, err := s.cache.Get(t.Context(), s.e, "a")
		require.NoError(t, err)
		require.Equal(t, `"Anna"`, got.Values[0])
		require.Equal(t, `"late@x"`, got.Values[i])
		s.follow()
		require.EqualValues(t, 1, s.stats().Conflicts, "the flush's own write is none")
		s.quiet(0)
	})
}

// A conflict whose note was not read before the flush is counted and published by the flush itself, once.
func TestAFlushFindsTheConflictsOfItsRecords(t *testing.T) {
	onWatched(t, func(t *testing.T, s *beside) {
		s.put("a", "Ann")
		s.put("b", "Bob")
		s.flush(s.w)
		i, _ := s.e.Field("email")
		s.patch("a", i, `"late@x"`)
		s.patch("b", i, `"b@x"`)
		s.do("UPDATE users SET name = 'Anna', email = 'other@x' WHERE id = 'a'")
		require.NoError(t, s.w.rowsChanged(t.Context(), s.e, []string{"a"}), "the note is read, and not deleted yet")
		s.flush(s.w)
		require.EqualValues(t, 1, s.stats().Conflicts)
		require.Equal(t, `"Anna"`, s.name("a"), "it has left the cache with the ack")
		s.patch("b", i, `"b2@x"`)
		s.do("UPDATE users SET name = 'Bo' WHERE id = 'b'")
		s.flush(s.w)
		require.EqualValues(t, 2, s.stats().Conflicts)
		s.follow()
		require.EqualValues(t, 2, s.stats().Conflicts)
		s.quiet(0)
	})
}

// patch accepts a write of one field.
func (s *beside) patch(id string, field int, text string) {
	s.t.Helper()
	values := make(schema.Values, len(s.e.Fields))
	values[field] = text
	s.write(cache.Write{Op: cache.OpPatch, ID: id, Values: values})
}

// A crash between the drop and the deletion of the notes repeats the drop; one before it, or a
// Redis that is away, leaves the notes.
func TestNotesStayUntilTheyAreFollowed(t *testing.T) {
	onWatched(t, func(t *testing.T, s *beside) {
		s.put("a", "Ann")
		s.flush(s.w)
		require.Equal(t, `"Ann"`, s.name("a"))
		s.do("UPDATE users SET name = 'Anna'")
		s.redis.Inject(testkit.Refuse, testkit.Script(t, "invalidate"), testkit.Always())
		require.Error(t, s.w.followNotes(t.Context()))
		require.Equal(t, `"Ann"`, s.name("a"))
		s.redis.Clear()
		s.sql.Inject(testkit.Refuse, testkit.Statement("DELETE FROM", "afterwrite_changes"), testkit.Always())
		require.Error(t, s.w.followNotes(t.Context()))
		require.Equal(t, `"Anna"`, s.name("a"))
		s.do("UPDATE users SET name = 'Anne'")
		s.sql.Clear()
		s.follow()
		require.Equal(t, `"Anne"`, s.name("a"))
	})
}

// A worker that does not lead leaves the notes to the one that does.
func TestOneWorkerFollows(t *testing.T) {
	onWatched(t, func(t *testing.T, s *beside) {
		s.do("INSERT INTO users (id, name, login_count) VALUES ('c', 'Cid', 0)")
		require.NoError(t, s.worker().followNotes(t.Context()))
		notes, err := s.store.Notes(t.Context(), store.Note{}, 10)
		require.NoError(t, err)
		require.Len(t, notes, 1)
		s.follow()
	})
}

// More notes than are read at once are followed in one pass, those of ids that no record can
// have among them.
func TestManyNotes(t *testing.T) {
	onWatched(t, func(t *testing.T, s *beside) {
		tx, err := s.other.Begin()
		require.NoError(t, err)
		for i := range 2*notesBatch + 1 {
			_, err := tx.Exec("INSERT INTO users (id, name, login_count) VALUES ('" + id(i) + "', 'x', 0)")
			require.NoError(t, err)
		}
		_, err = tx.Exec("INSERT INTO users (id, name, login_count) VALUES ('a" + "\u200b" + "', 'x', 0)")
		require.NoError(t, err)
		require.NoError(t, tx.Commit())
		s.follow()
	})
}

// TRUNCATE drops all of the entity, and what begins to be watched may be old already.
func TestTruncateDropsTheEntity(t *testing.T) {
	t.Parallel()
	b := setup(t, testkit.Postgres(t).Database(t))
	w := b.worker()
	w.leading.Store(true)
	s := &beside{b, w, testkit.SQL(t, b.db)}
	s.put("a", "Ann")
	s.put("b", "Bob")
	s.flush(w)
	i, _ := s.e.Field("email")
	require.Equal(t, `"Ann"`, s.name("a"))
	s.do("UPDATE users SET name = 'Anna' WHERE id = 'a'")
	_, err := s.store.Migrate(t.Context(), false, store.Watching{Watch: []string{"user"}})
	require.NoError(t, err)
	s.follow()
	require.Equal(t, `"Anna"`, s.name("a"), "it was changed before")

	require.Equal(t, `"Bob"`, s.name("b"))
	s.patch("b", i, `"late@x"`)
	s.do("TRUNCATE users")
	s.follow()
	require.Empty(t, s.name("a"))
	require.Equal(t, `"Bob"`, s.name("b"), "pending")
	s.flush(w)
	require.Equal(t, schema.KindMissing, s.status("b").Refusal.Kind)
}

// A write through the database that had read its row before another program changed it keeps
// nothing in the cache.
func TestAWriteThroughKeepsNoOldField(t *testing.T) {
	onWatched(t, func(t *testing.T, s *beside) {
		s.put("a", "Ann")
		s.flush(s.w)
		require.Equal(t, `"Ann"`, s.name("a"))
		bar, err := s.cache.Bar(t.Context(), s.e, "a", 0, time.Minute, cache.Turn{})
		require.NoError(t, err)
		rows, err := s.store.Load(t.Context(), s.e, []string{"a"})
		require.NoError(t, err)
		s.do("UPDATE users SET name = 'Anna' WHERE id = 'a'")
		s.follow()
		change := &schema.Change{ID: "a", Version: bar.Version, Values: rows["a"]}
		require.NoError(t, s.cache.Unbar(context.Background(), bar, change, true))
		require.Equal(t, `"Anna"`, s.name("a"))
	})
}

// A rank tells what another program wrote, of new rows and of a record that was pending, too.
func TestRanksFollowWhatOthersWrite(t *testing.T) {
	t.Parallel()
	testkit.AllDatabases(t, func(t *testing.T, url string) {
		t.Parallel()
		e := &schema.Entity{Name: "player", Table: "players", RankBy: "score", Partitions: 1, Retry: quick,
			Fields: []schema.Field{{Name: "score", Type: schema.Int}, {Name: "text", Type: schema.String, MaxLength: 20}}}
		require.NoError(t, e.Init())
		b := setupFor(t, url, testkit.SharedRedis(t).URL(), e)
		_, err := b.store.Migrate(t.Context(), false, store.Watching{Watch: []string{store.WatchAll}})
		require.NoError(t, err)
		s := &beside{b, b.worker(), testkit.SQL(t, b.db)}
		s.w.leading.Store(true)
		s.follow()
		rows := func(ctx context.Context, after string) ([]schema.Row, error) {
			return s.store.List(ctx, e, store.Query{After: after, Limit: 100})
		}
		s.do("INSERT INTO players (id, score) VALUES ('a', 1), ('b', 2)")
		s.follow()
		require.NoError(t, rank.New(s.cache).Rebuild(t.Context(), e, rank.ByValues, rows, nil))
		top := func() (ids []string) {
			places, _, err := rank.New(s.cache).Top(t.Context(), e, 10)
			require.NoError(t, err)
			for _, p := range places {
				ids = append(ids, p.ID)
			}
			return ids
		}
		require.Equal(t, []string{"b", "a"}, top())
		_, err = s.cache.Get(t.Context(), e, "a")
		require.NoError(t, err)
		s.patch("a", 1, `"late"`)
		s.do("INSERT INTO players (id, score) VALUES ('c', 9)")
		s.do("UPDATE players SET score = 5 WHERE id = 'a'")
		s.follow()
		require.Equal(t, []string{"c", "b", "a"}, top(), "a is pending")
		s.flush(s.w)
		require.Equal(t, []string{"c", "a", "b"}, top())
		s.do("DELETE FROM players WHERE id = 'b'")
		s.follow()
		require.Equal(t, []string{"c", "a"}, top())
	})
}
