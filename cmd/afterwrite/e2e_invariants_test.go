package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

const counters = `
entities:
  counter:
    id: {type: string}
    fields: {n: {type: int, default: 0}, label: {type: string, unique: true}, filler: {type: text}}
    partitions: 4
    flush: {max_pending: 8}
    retry: {base: 1s, cap: 1s, jitter: none}
    cache: {ttl: 1m, negative_ttl: 1s}
`

// roomy are the same counters without the small backlog.
var roomy = strings.Replace(counters, "max_pending: 8", "max_pending: 100000", 1)

// exchange makes a request with headers ("Name: value") and returns its answer whole.
func (d *deployment) exchange(method, path, body string, headers ...string) (*http.Response, string) {
	d.t.Helper()
	answer, text, err := exchange(d.t.Context(), "http://"+d.api+path, method, body, headers)
	require.NoError(d.t, err)
	return answer, text
}

func exchange(ctx context.Context, url, method, body string, headers []string) (*http.Response, string, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return answer, string(text), err
}

// Bodies, batches, lists and the backlog have limits that a caller sees, and nothing is
// written beyond them. When the backlog has room again, writes go on.
func TestI6LimitsAreVisible(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		d := deployEntities(t, url, testkit.SharedRedis(t), counters)
		d.env = append(d.env, "AFTERWRITE_API_MAX_BODY=1KiB", "AFTERWRITE_API_MAX_BATCH_BODY=64KiB")
		d.ok("migrate")
		d.start("api")
		d.ready(d.api)
		refused := func(code int, kind, method, path, body string) *http.Response {
			t.Helper()
			answer, text := d.exchange(method, path, body)
			require.Equal(t, code, answer.StatusCode, text)
			require.Equal(t, "application/problem+json", answer.Header.Get("Content-Type"))
			require.Contains(t, text, "urn:afterwrite:problem:"+kind)
			return answer
		}
		refused(413, "body-too-large", "PUT", "/v1/counter/a", `{"filler":"`+strings.Repeat("x", 1024)+`"}`)
		refused(413, "body-too-large", "POST", "/v1/batch", strings.Repeat(" ", 65<<10)+`[]`)
		refused(413, "too-many", "POST", "/v1/batch", "["+strings.Repeat("0,", 10_000)+"0]")
		refused(400, "bad-parameter", "GET", "/v1/counter?limit=1001", "")
		refused(400, "bad-parameter", "GET", "/v1/counter?ids="+strings.TrimSuffix(manyIDs(1001), ","), "")
		refused(404, "not-found", "GET", "/v1/counter/a", "")

		accepted := d.fillBacklog()
		answer := refused(503, "backlog-full", "PUT", "/v1/counter/new", `{}`)
		require.NotEmpty(t, answer.Header.Get("Retry-After"))
		refused(404, "not-found", "GET", "/v1/counter/new", "")
		again, text := d.exchange("PUT", "/v1/counter/"+accepted[0], `{"n":7}`)
		require.Equal(t, http.StatusAccepted, again.StatusCode, "an update needs no room: %s", text)

		d.start("worker")
		testkit.Eventually(t, "there is room again", func() bool {
			answer, _ := d.exchange("PUT", "/v1/counter/new", `{}`)
			return answer.StatusCode == http.StatusAccepted
		})
		d.ok("flush", "--timeout", "30s")
		require.Contains(t, d.ok("fsck"), "agree")
	})
}

func manyIDs(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "i%d,", i)
	}
	return b.String()
}

// fillBacklog puts new counters until each partition has refused some, and returns the
// ids of those that were accepted: max_pending and a quarter at most.
func (d *deployment) fillBacklog() (accepted []string) {
	d.t.Helper()
	for i := range 200 {
		id := "c" + strconv.Itoa(i)
		answer, text := d.exchange("PUT", "/v1/counter/"+id, `{}`)
		if answer.StatusCode == http.StatusAccepted {
			accepted = append(accepted, id)
			continue
		}
		require.Equal(d.t, http.StatusServiceUnavailable, answer.StatusCode, text)
	}
	require.Len(d.t, accepted, 12) // 4 partitions, each ceil(1.25 × 8 / 4)
	return accepted
}

// Redis is so small that it evicts what is persisted all the time, and an operator empties
// the cache, too; writers count, readers never see a count below one that was answered
// before they asked, and in the end every count is right.
func TestI4NothingOldUnderEviction(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		server := testkit.Redis(t, testkit.MaxMemory("6mb"), testkit.MaxMemoryPolicy("volatile-random"))
		d := deployEntities(t, url, server, roomy)
		d.serve()
		const records = 64
		d.fillCache(2000)
		d.ok("flush", "--timeout", "60s")       // what is not persisted cannot make room
		counts := make([]atomic.Int64, records) // that were answered
		for i := range records {
			answer, text := d.exchange("PUT", counterPath(i), `{}`)
			require.Equal(t, http.StatusAccepted, answer.StatusCode, text)
		}
		ctx, cancel := context.WithTimeout(t.Context(), testkit.ChaosTime(t, 3*time.Second))
		defer cancel()
		var g errgroup.Group
		for w := range 4 { // each has records of its own, so an answer's count is the newest
			g.Go(func() error { return d.countUp(ctx, counts, w, 4) })
		}
		for range 4 {
			g.Go(func() error { return d.readCounts(ctx, counts) })
		}
		for ctx.Err() == nil {
			d.ok("invalidate", "counter", "--match", "c*")
			d.fillCache(200)
		}
		require.NoError(t, g.Wait())
		info, err := server.Client(t).Info(t.Context(), "stats").Result()
		require.NoError(t, err)
		require.NotContains(t, info, "evicted_keys:0\r\n", "Redis was too large to evict")
		d.ok("flush", "--timeout", "60s")
		require.Contains(t, d.ok("fsck"), "agree")
		d.ok("invalidate", "counter", "--all")
		total := int64(0)
		for i := range counts {
			n, err := d.readCount(t.Context(), i)
			require.NoError(t, err)
			require.Equal(t, counts[i].Load(), n, "counter %d", i)
			total += n
		}
		t.Logf("%d increments, evicted: %s", total, lineOf(info, "evicted_keys"))
	})
}

func lineOf(info, name string) string {
	_, rest, _ := strings.Cut(info, name+":")
	value, _, _ := strings.Cut(rest, "\r\n")
	return value
}

func counterPath(i int) string { return "/v1/counter/c" + strconv.Itoa(i) }

// fillCache writes records that are large, persisted soon, and then in the way. Redis may
// be full of what is not persisted yet, and refuse some.
func (d *deployment) fillCache(n int) {
	d.t.Helper()
	filler := strings.Repeat("x", 4000)
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, `{"op":"put","entity":"counter","id":"f%d","fields":{"filler":%q}}`+"\n", rand.IntN(3000),
			filler)
	}
	answer, text := d.exchange("POST", "/v1/batch", b.String(), "Content-Type: application/x-ndjson")
	require.Equal(d.t, http.StatusOK, answer.StatusCode, text)
}

// countUp increments the counters of one writer until ctx ends.
func (d *deployment) countUp(ctx context.Context, counts []atomic.Int64, writer, writers int) error {
	for n := 0; ctx.Err() == nil; n++ {
		i := rand.IntN(len(counts)/writers)*writers + writer
		key := fmt.Sprintf("Idempotency-Key: %d/%d", writer, n)
		for {
			answer, text, err := exchange(context.WithoutCancel(ctx), "http://"+d.api+counterPath(i)+"/increment",
				"POST", `{"n":1}`, []string{key})
			if err != nil {
				return err
			}
			if answer.StatusCode == http.StatusServiceUnavailable {
				continue
			}
			if answer.StatusCode != http.StatusAccepted {
				return fmt.Errorf("increment: %s %s", answer.Status, text)
			}
			if want := counts[i].Add(1); !strings.Contains(text, fmt.Sprintf(`"n":%d`, want)) {
				return fmt.Errorf("increment %d of counter %d was answered %s", want, i, text)
			}
			break
		}
	}
	return nil
}

func (d *deployment) readCounts(ctx context.Context, counts []atomic.Int64) error {
	for ctx.Err() == nil {
		i := rand.IntN(len(counts))
		before := counts[i].Load()
		n, err := d.readCount(context.WithoutCancel(ctx), i)
		if err != nil {
			return err
		}
		if n < before {
			return fmt.Errorf("counter %d was %d, and then read as %d", i, before, n)
		}
	}
	return nil
}

func (d *deployment) readCount(ctx context.Context, i int) (int64, error) {
	answer, text, err := exchange(ctx, "http://"+d.api+counterPath(i), "GET", "", nil)
	if err != nil {
		return 0, err
	}
	var record struct{ N *int64 }
	if err := json.Unmarshal([]byte(text), &record); err != nil || record.N == nil {
		return 0, errors.Join(fmt.Errorf("read counter %d: %s %s", i, answer.Status, text), err)
	}
	return *record.N, nil
}

// The replies of Redis are lost while clients increment. Each is told that the outcome is
// unknown, repeats its request with its key, and is counted once.
func TestI1LostRepliesAreCountedOnce(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		server := testkit.Redis(t)
		way := testkit.NewProxy(t, server.Addr())
		d := deployEntities(t, url, server, roomy)
		d.ok("migrate")
		d.start("worker")
		spoiled := *d // for the api alone
		spoiled.env = append(slices.Clone(d.env), "AFTERWRITE_REDIS_URL="+way.URL(t, server.URL()),
			"AFTERWRITE_REDIS_TIMEOUT=500ms")
		spoiled.start("api")
		d.ready(d.api)
		testkit.Eventually(t, "the counter is there", func() bool {
			answer, _ := d.exchange("PUT", "/v1/counter/c0", `{}`)
			return answer.StatusCode == http.StatusAccepted
		})

		const clients = 20
		send := func() (codes [clients]int, texts [clients]string) {
			var all sync.WaitGroup
			for i := range clients {
				all.Go(func() {
					answer, text, err := exchange(t.Context(), "http://"+d.api+"/v1/counter/c0/increment", "POST",
						`{"n":1}`,
						[]string{fmt.Sprintf("Idempotency-Key: %d", i)})
					if err == nil {
						codes[i], texts[i] = answer.StatusCode, text
					}
				})
			}
			all.Wait()
			return codes, texts
		}
		way.LoseReplies()
		codes, texts := send()
		for i, code := range codes {
			require.Equal(t, http.StatusServiceUnavailable, code, texts[i])
		}
		require.Contains(t, strings.Join(texts[:], ""), "outcome-unknown")
		way.Restore()
		d.ready(d.api)
		for range 2 {
			testkit.Eventually(t, "every repeat is accepted", func() bool {
				codes, texts = send()
				for _, code := range codes {
					if code != http.StatusAccepted {
						return false
					}
				}
				return true
			})
		}
		n, err := d.readCount(t.Context(), 0)
		require.NoError(t, err)
		require.EqualValues(t, clients, n)
		d.ok("flush", "--timeout", "30s")
		require.Contains(t, d.ok("fsck"), "agree")
	})
}

// The queue is away, in a Redis of its own: writes are accepted all the same, and when it
// is back the sweeper orders their flush.
func TestI1AcceptedWithoutAQueue(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		orders := testkit.Redis(t)
		d := deployEntities(t, url, testkit.SharedRedis(t), roomy)
		d.env = append(d.env, "AFTERWRITE_QUEUE_REDIS_URL="+orders.URL())
		d.serve()
		orders.Stop()
		for i := range 20 {
			answer, text := d.exchange("PUT", counterPath(i), `{"n":5}`)
			require.Equal(t, http.StatusAccepted, answer.StatusCode, text)
			n, err := d.readCount(t.Context(), i)
			require.NoError(t, err)
			require.EqualValues(t, 5, n)
		}
		orders.Start()
		d.ok("flush", "--timeout", "30s")
		require.Contains(t, d.ok("fsck"), "agree")
	})
}

// A record that the database refuses is named with its reason and waits; its neighbours
// are persisted at once, and when its writer mends it, so is it.
func TestI5NeighboursOfARefusedRecord(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		d := deployEntities(t, url, testkit.SharedRedis(t), roomy)
		d.serve()
		var b strings.Builder
		for i := range 400 {
			fmt.Fprintf(&b, `{"op":"put","entity":"counter","id":"c%d","fields":{"label":"l%d"}}`+"\n", i, i)
		}
		answer, text := d.exchange("PUT", "/v1/counter/owner", `{"label":"l7"}`, "Prefer: wait=20")
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		answer, text = d.exchange("POST", "/v1/batch", b.String(), "Content-Type: application/x-ndjson")
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		r := d.run("", "flush", "--timeout", "30s", "--json")
		require.Equal(t, exitOK, r.code, "%s%s", r.out, r.err)
		require.Contains(t, r.out, `"held":`)
		answer, text = d.exchange("GET", "/v1/counter/c7/status", "")
		require.Equal(t, http.StatusOK, answer.StatusCode)
		require.Contains(t, text, `"status":"held"`)
		require.Contains(t, text, "unique")
		answer, _ = d.exchange("GET", "/v1/counter/c7", "")
		require.Equal(t, "held", answer.Header.Get("Afterwrite-Status"))
		db := testkit.SQL(t, url)
		var rows int
		require.NoError(t, db.QueryRow(`SELECT count(*) FROM counter`).Scan(&rows))
		require.Equal(t, 400, rows, "399 neighbours and the owner")

		answer, text = d.exchange("PATCH", "/v1/counter/c7", `{"label":"free"}`, "Prefer: wait=20")
		require.Equal(t, http.StatusOK, answer.StatusCode, text)
		d.ok("flush", "--timeout", "30s")
		require.Contains(t, d.ok("fsck"), "agree")
	})
}

// While no worker runs, Redis fills up with pending records, which it may not evict. Writes
// are refused then; a worker that comes empties it by itself, though there is no room for
// a sync task.
func TestI2AFullRedisIsFlushed(t *testing.T) {
	t.Parallel()
	testkit.Databases(t, func(t *testing.T, url string) {
		t.Parallel()
		server := testkit.Redis(t)
		d := deployEntities(t, url, server, roomy)
		d.ok("migrate")
		d.start("api")
		d.ready(d.api)
		d.fillCache(3000)
		require.NoError(t, server.Client(t).ConfigSet(t.Context(), "maxmemory", "6mb").Err())
		answer, text := d.exchange("PUT", counterPath(0), `{}`)
		require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode, text)
		require.NotEmpty(t, answer.Header.Get("Retry-After"))
		d.start("worker")
		d.ok("flush", "--timeout", "30s")
		testkit.Eventually(t, "writes are accepted again", func() bool {
			answer, _ = d.exchange("PUT", counterPath(0), `{}`)
			return answer.StatusCode == http.StatusAccepted
		})
		d.ok("flush", "--timeout", "30s")
		require.Contains(t, d.ok("fsck"), "agree")
	})
}
