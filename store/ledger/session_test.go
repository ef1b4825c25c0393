package ledger_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A session is found until it ends or expires, and those that have expired do not stay.
func TestSessions(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		b := setup(t, url, nil)
		s := b.Sessions()
		data := []byte{0, 255, 'x'}
		require.NoError(t, s.Commit("a", data, time.Now().Add(time.Hour)))
		require.NoError(t, s.Commit("b", data, time.Now().Add(-time.Second)))
		require.NoError(t, s.Commit("A", []byte("another"), time.Now().Add(time.Hour)))
		got, found, err := s.Find("a")
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, data, got)
		_, found, err = s.Find("b")
		require.NoError(t, err)
		require.False(t, found, "it has expired")

		require.NoError(t, s.Commit("a", []byte("later"), time.Now().Add(2*time.Hour)))
		got, _, err = s.Find("a")
		require.NoError(t, err)
		require.Equal(t, []byte("later"), got)
		var rows int
		require.NoError(t, testkit.SQL(t, b.url).QueryRow("SELECT count(*) FROM afterwrite_sessions").Scan(&rows))
		require.Equal(t, 2, rows, "b is deleted")

		require.NoError(t, s.Delete("a"))
		require.NoError(t, s.Delete("a"))
		_, found, err = s.Find("a")
		require.NoError(t, err)
		require.False(t, found)
	})
}
