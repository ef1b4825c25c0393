package internal_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refusedFull are the scripts that write and that a full Redis may refuse, with the reason.
var refusedFull = map[string]string{
	"cache/lua/bar.lua":                 "a write through the database, which is new",
	"cache/lua/fill.lua":                "a row for the cache",
	"cache/lua/look.lua":                "a lease, to fill the cache",
	"cache/lua/reserve.lua":             "the id of a record that is new",
	"cache/lua/unlease.lua":             "only frees memory",
	"cache/lua/write.lua":               "new writes; it takes those of operators as the prelude does",
	"cache/events/lua/listen.lua":       "a hint that somebody listens",
	"cache/internal/tags/lua/stamp.lua": "to fill the cache",
	"cache/internal/tags/lua/watch.lua": "to fill the cache",
	"cache/pending/lua/begin.lua":       "a sync task, which asynq cannot keep either: workers flush without",
	"cache/pending/lua/end.lua":         "the same",
	"cache/pending/lua/sweep.lua":       "the same",
	"internal/fleet/lua/lead.lua":       "no leader: every worker flushes what waits (worker/sweep.go)",
	"cache/rank/lua/rerank.lua":         "a rank, which can wait",
	"cache/rank/lua/rerank_begin.lua":   "the same",
	"cache/rank/lua/rerank_end.lua":     "the same",
	"cache/ratelimit/take.lua":          "the gate lets requests pass where it has no answer",
	"cache/session/commit.lua":          "sessions are in the database, too",
	"cache/session/find.lua":            "the same",
	"cache/session/index.lua":           "the same",
	"cache/session/revoke.lua":          "its first write frees memory",
	"cache/ticket/ticket.lua":           "a ticket, which is new",
	"cache/values/lua/vfill.lua":        "a value for the cache",
	"cache/values/lua/vlease.lua":       "the same",
	"cache/values/lua/vrenew.lua":       "the same",
	"cache/values/lua/vset.lua":         "the same; to drop a value frees memory",
	"cache/values/lua/vtouch.lua":       "the same",
}

// TestFullRedisRefusesOnlyWhatIsNew: each script that writes goes on in a Redis that is full, as what frees memory and
// what operators do must, unless it is listed here. It says so before it writes anything.
func TestFullRedisRefusesOnlyWhatIsNew(t *testing.T) {
	writes := regexp.MustCompile(`(?:call\(|chunked\(\w+, )'(?:HSET|HSETNX|HDEL|HINCRBY|S(?:ADD|REM)|Z(?:ADD|REM)\w*|DEL|` +
		`UNLINK|SET|P?EXPIRE\w*|RENAME|XADD|PERSIST)'|\b(?:claim|tell|lasts|turned|seat|forget_ops)\(`)
	goesOn := regexp.MustCompile(`\b(?:though_full|turned)\(`)
	n := 0
	for _, file := range sources(t) {
		name := strings.TrimPrefix(filepath.ToSlash(file), "../")
		if !strings.HasSuffix(name, ".lua") || name == "internal/layout/prelude.lua" || strings.HasPrefix(name, "examples/") {
			continue
		}
		code := regexp.MustCompile(`(?m)(^|\s)--.*$`).ReplaceAllString(read(t, file), "")
		// Functions of the script's own run when they are called.
		code = regexp.MustCompile(`(?ms)^local function .*?^end$`).ReplaceAllString(code, "")
		first, on := writes.FindStringIndex(code), goesOn.FindStringIndex(code)
		reason, refused := refusedFull[name]
		switch {
		case refused:
			require.NotEmpty(t, reason, name)
			n++
		case first != nil:
			require.NotNil(t, on, "%s writes, and a full Redis may refuse it: call though_full first, or list it", name)
			require.LessOrEqual(t, on[0], first[0], "%s writes before it calls though_full", name)
		}
	}
	require.Equal(t, len(refusedFull), n, "each script that is listed exists")
}
