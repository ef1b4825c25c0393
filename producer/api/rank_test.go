package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/rank"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
)

func playerID(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }

// ranked is what the reads of a rank answer.
type ranked struct {
	Records []struct {
		Rank  int64
		ID    string
		Score int64
		Name  *string
	}
	Ranked int64
}

func TestRanks(t *testing.T) {
	b := setup(t)
	get := func(path string) (ranked, int, string) {
		a := b.do("GET", path, "")
		var r ranked
		if a.StatusCode == 200 {
			require.NoError(t, json.Unmarshal([]byte(a.body), &r))
		}
		return r, a.StatusCode, a.body
	}
	_, code, body := get("/v1/player?top=3")
	require.Equal(t, 503, code)
	require.Contains(t, body, "rank-incomplete")

	e := b.entities["player"]
	require.NoError(t, rank.New(b.cache).Rebuild(t.Context(), e, rank.ByValues, func(ctx context.Context,
		after string) ([]schema.Row, error) {
		return b.store.List(ctx, e, store.Query{After: after})
	}, nil))
	r, code, _ := get("/v1/player?top=3")
	require.Equal(t, 200, code)
	require.Empty(t, r.Records)

	for i, score := range []int64{5, 9007199254740991, 5, -1, 9007199254740990} {
		b.do("PUT", "/v1/player/"+playerID(i), fmt.Sprintf(`{"name":"p%d","score":%d}`, i, score)).want(t, 202)
	}
	b.do("PUT", "/v1/player/"+playerID(9), `{"score":null}`).want(t, 202)
	for path, want := range map[string][][2]int64{ // rank, number of the player
		"/v1/player?top=3":                              {{1, 1}, {2, 4}, {3, 0}},
		"/v1/player?top=1000":                           {{1, 1}, {2, 4}, {3, 0}, {4, 2}, {5, 3}},
		"/v1/player?around=" + playerID(2):              {{1, 1}, {2, 4}, {3, 0}, {4, 2}, {5, 3}},
		"/v1/player?around=" + playerID(0) + "&limit=3": {{2, 4}, {3, 0}, {4, 2}},
		"/v1/player?around=" + playerID(1) + "&limit=2": {{1, 1}, {2, 4}},
		"/v1/player?limit=2&around=" + playerID(3):      {{4, 2}, {5, 3}},
		"/v1/player/" + playerID(2) + "/rank":           {{4, 2}},
	} {
		r, code, body := get(path)
		require.Equal(t, 200, code, body)
		require.EqualValues(t, 5, r.Ranked, path)
		require.Len(t, r.Records, len(want), path)
		for i, w := range want {
			require.Equal(t, w[0], r.Records[i].Rank, path)
			require.Equal(t, playerID(int(w[1])), r.Records[i].ID, path)
			require.Equal(t, fmt.Sprint("p", w[1]), *r.Records[i].Name)
		}
	}
	for path, says := range map[string]string{
		"/v1/player/" + playerID(9) + "/rank":   "unranked",
		"/v1/player/" + playerID(77) + "/rank":  "unranked",
		"/v1/player?around=" + playerID(77):     "unranked",
		"/v1/user/ada/rank":                     "unknown-route",
		"/v1/user?top=3":                        "bad-parameter",
		"/v1/player?top=0":                      "from 1 to 1000",
		"/v1/player?top=3&limit=3":              "bad-parameter",
		"/v1/player?top=3&top=4":                "twice",
		"/v1/player?top=3&score=4":              "bad-parameter",
		"/v1/player?around=nope":                "invalid",
		"/v1/player/" + playerID(0) + "/rank?x": "bad-parameter",
	} {
		_, code, body := get(path)
		require.GreaterOrEqual(t, code, 400, path)
		require.Contains(t, body, says, path)
	}
	p := b.do("PUT", "/v1/player/"+playerID(0), `{"score":9007199254740992}`).problem(t, 422, "invalid")
	require.Equal(t, []string{"score"}, p.fields(), "beyond what ranks exactly")
}
