package api

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/schema"
)

// The records of an answer are read in one trip, unless they are known to be large; what is
// large once is forgotten.
func TestRecordsAreReadInOneTripUnlessLarge(t *testing.T) {
	t.Parallel()
	var s sizes
	user, page := &schema.Entity{}, &schema.Entity{}
	all := max(MaxIDs, MaxLimit)
	require.Equal(t, all, s.chunk(user))
	s.learn(user, 0, 0)
	s.learn(user, all, 200*all)
	require.GreaterOrEqual(t, s.chunk(user), all)
	s.learn(page, 2, 2<<20)
	require.LessOrEqual(t, s.chunk(page), 4)
	require.GreaterOrEqual(t, s.chunk(user), all)
	for range 100 {
		s.learn(page, 1, 200)
	}
	require.GreaterOrEqual(t, s.chunk(page), all)
	s.learn(page, 1, 2*chunkBytes)
	require.Equal(t, 1, s.chunk(page), "one at least")
}
