package api_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cache/pending"
	"github.com/afterwrite/afterwrite/internal/testkit"
	"github.com/afterwrite/afterwrite/producer/api"
	"github.com/afterwrite/afterwrite/schema"
)

// waiting sends a request that waits, and returns its answer when it comes.
func (b *bundle) waiting(method, path, body, prefer string) <-chan answer {
	done := make(chan answer, 1)
	go func() { done <- b.do(method, path, body, "Prefer: "+prefer) }()
	return done
}

// isPending waits until a record is pending.
func (b *bundle) isPending(path string) {
	b.t.Helper()
	testkit.Eventually(b.t, path+" is pending", func() bool {
		return b.do("GET", path, "").Header.Get("Afterwrite-Status") == "pending"
	})
}

func TestWaitEndsWhenPersisted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	done := b.waiting("PUT", "/v1/user/w", `{"name":"W"}`, "respond-async, wait=30")
	b.isPending("/v1/user/w")
	b.flush()
	a := (<-done).want(t, 200)
	require.Contains(t, a.body, `"status":"persisted"`)
	require.Equal(t, "respond-async, wait=30", a.Header.Get("Preference-Applied"))

	deleted := b.waiting("DELETE", "/v1/user/w", "", `wait="30"; x=y`)
	testkit.Eventually(t, "the record is deleted", func() bool {
		return b.do("GET", "/v1/user/w",
			"").StatusCode == 404
	})
	b.flush()
	(<-deleted).want(t, 200)
}

func TestWaitEndsWithARefusal(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("PUT", "/v1/user/a", `{"name":"A","email":"same@x"}`).want(t, 202)
	b.flush()
	done := b.waiting("PUT", "/v1/user/b", `{"name":"B","email":"same@x"}`, "wait=30")
	b.isPending("/v1/user/b")
	b.flush()
	p := (<-done).problem(t, 409, "refused-unique")
	require.Equal(t, []string{"email"}, p.fields())
	require.Equal(t, "unique", p.Refusal.Kind)
	require.Equal(t, "email", p.Refusal.Column)
	require.Equal(t, "held", p.RecordStatus)
	require.NotZero(t, p.Version)
}

// What is wrong with the table is no refusal of the record: the caller waits on, and is told of it in the end.
func TestWaitTellsTheTroubleOfATable(t *testing.T) {
	t.Parallel()
	b := setup(t)
	done := b.waiting("PUT", "/v1/user/w", `{"name":"W"}`, "wait=5")
	b.isPending("/v1/user/w")
	e := b.entities["user"]
	partition := e.Partition("w")
	hold := func() {
		batch, err := b.backlog.Due(t.Context(), e, partition, 10, 1<<20)
		require.NoError(t, err)
		held := []pending.Refused{{Change: batch.Due[0].Change, Next: time.Now().Add(time.Minute),
			Refusal: schema.Refusal{Kind: schema.KindTable, Message: "users: no such column: age"}}}
		n, err := b.backlog.Hold(t.Context(), e, partition, held)
		require.NoError(t, err)
		require.Equal(t, 1, n)
	}
	hold()
	a := (<-done).want(t, 202)
	require.Contains(t, a.body, `"status":"pending","error":{"kind":"table","constraint":null,"column":null,`+
		`"message":"users: no such column: age","hint":"fix the table`)
	status := b.do("GET", "/v1/user/w/status", "").want(t, 200)
	require.Contains(t, status.body, `"attempts":0,`)
	require.Contains(t, status.body, `"hint":"fix the table`)

	done = b.waiting("PUT", "/v1/user/w", `{"name":"X"}`, "wait=30")
	b.isPending("/v1/user/w")
	hold()
	b.do("PUT", "/v1/user/w", `{"name":"Y"}`).want(t, 202)
	b.flush()
	(<-done).want(t, 200)
}

func TestWaitEndsInTime(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.MaxWait = time.Second }))
	a := b.do("PUT", "/v1/user/w", `{"name":"W"}`, "Prefer: wait=100").want(t, 202)
	require.Equal(t, "wait=1", a.Header.Get("Preference-Applied"))
	for _, prefer := range []string{"wait=0", "wait=-1", "wait=x", "wait", "handling=strict",
		"wait=99999999999999999999"} {
		a := b.do("PUT", "/v1/user/w", `{"name":"W"}`, "Prefer: "+prefer).want(t, 202)
		require.Empty(t, a.Header.Get("Preference-Applied"), prefer)
	}
}

func TestWaitsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, configure(func(c *api.Config) { c.MaxWaits = 1 }))
	first := b.waiting("PUT", "/v1/user/w", `{"name":"W"}`, "wait=30")
	b.isPending("/v1/user/w")
	testkit.Eventually(t, "a second one is not let wait", func() bool {
		a := b.do("PUT", "/v1/user/x", `{"name":"X"}`, "Prefer: respond-async, wait=1")
		return a.StatusCode == 202 && a.Header.Get("Preference-Applied") == "respond-async"
	})
	require.Regexp(t, "afterwrite_http_waits_skipped_total [1-9]", b.do("GET", "/metrics", "").body)
	b.flush()
	(<-first).want(t, 200)
	last := b.waiting("PUT", "/v1/user/w", `{"name":"W"}`, "wait=30")
	b.isPending("/v1/user/w")
	b.flush()
	(<-last).want(t, 200)
}

func TestWaitEndsWithTheProcess(t *testing.T) {
	t.Parallel()
	stopping := make(chan struct{})
	b := setup(t, configure(func(c *api.Config) { c.Stopping = stopping }))
	done := b.waiting("PUT", "/v1/user/w", `{"name":"W"}`, "wait=30")
	b.isPending("/v1/user/w")
	begun := time.Now()
	close(stopping)
	require.Contains(t, (<-done).want(t, 202).body, `"status":"pending"`)
	require.Less(t, time.Since(begun), 25*time.Second, "not when its time was up")
}
