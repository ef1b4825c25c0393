package layout_test

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/layout"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/schema"
)

// TestMembersOfInts: members sort as the ints do, and name them.
func TestMembersOfInts(t *testing.T) {
	e := &schema.Entity{ID: schema.ID{Type: schema.Int}, RankBy: "score"}
	r := testkit.Random(t)
	ids := []int64{0, 1, 9, 10, 99, 100, -1, -9, -10, -99, -100, math.MaxInt64, math.MinInt64,
		math.MaxInt64 - 1, math.MinInt64 + 1}
	for range 500 {
		ids = append(ids, int64(r.Uint64())>>r.IntN(64))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	var before string
	for i, id := range ids {
		text := strconv.FormatInt(id, 10)
		member := layout.Member(e, text)
		require.True(t, i == 0 || before < member, "%d: %q after %q", id, member, before)
		back, ok := layout.MemberID(e, member)
		require.True(t, ok)
		require.Equal(t, text, back)
		_, ok = layout.MemberID(e, text)
		require.False(t, ok, "an id of %s is no member", text)
		before = member
	}
}

// TestMembersOfKeys: members of keys sort by their columns, each by its values.
func TestMembersOfKeys(t *testing.T) {
	e, r := composite(t), testkit.Random(t)
	type key struct {
		tenant string
		no     int64
		at     time.Time
	}
	var keys []key
	began := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for range 400 {
		keys = append(keys, key{
			tenant: []string{"a", "a/b", "a0", "a=", "A", "é", "~", "a b"}[r.IntN(8)],
			no:     []int64{-10, -9, 0, 9, 10}[r.IntN(5)],
			at:     began.Add(time.Duration(r.IntN(3)) * 50 * time.Millisecond),
		})
	}
	slices.SortFunc(keys, func(a, b key) int {
		return cmp.Or(strings.Compare(a.tenant, b.tenant), cmp.Compare(a.no, b.no), a.at.Compare(b.at))
	})
	keys = slices.Compact(keys)
	var before string
	for i, k := range keys {
		id, err := e.CanonicalID(schema.JoinKey([]string{k.tenant, strconv.FormatInt(k.no, 10),
			k.at.Format(time.RFC3339Nano)}))
		require.NoError(t, err)
		member := layout.Member(e, id)
		require.True(t, i == 0 || before < member, "%v: %q after %q", k, member, before)
		back, ok := layout.MemberID(e, member)
		require.True(t, ok)
		require.Equal(t, id, back)
		_, ok = layout.MemberID(e, id)
		require.False(t, ok)
		before = member
	}
}

func composite(t *testing.T) *schema.Entity {
	e := &schema.Entity{Name: "entry", ID: schema.ID{Columns: []string{"tenant", "no", "at"}, Max: 500},
		Fields: []schema.Field{{Name: "tenant", Type: schema.String}, {Name: "no", Type: schema.Int},
			{Name: "at", Type: schema.Time}, {Name: "score", Type: schema.Int}}, RankBy: "score"}
	require.NoError(t, e.Init())
	return e
}
