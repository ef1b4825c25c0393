package main

import (
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// try removes the configuration: dev runs the built-in example.
func (d *deployment) try(more ...string) *server {
	d.t.Helper()
	_ = os.Remove(filepath.Join(d.dir, "afterwrite.yaml")) // the second time it is gone
	s := d.start(append([]string{"dev", "--addr", d.api, "--dashboard-addr", d.worker}, more...)...)
	s.says("Ctrl-C stops it")
	return s
}

func (d *deployment) put(id string) {
	d.t.Helper()
	code, body := d.call(http.MethodPut, d.api, "/v1/user/"+id, `{"name":"Ada"}`)
	require.Equal(d.t, http.StatusAccepted, code, body)
}

// keyed sends a write twice under one Idempotency-Key: the second changes nothing, and has
// the first one's answer.
func (d *deployment) keyed(method, path, body string) {
	d.t.Helper()
	key, answers := rand.Text(), [2]string{}
	for i := range answers {
		r, err := http.NewRequestWithContext(d.t.Context(), method, "http://"+d.api+path, strings.NewReader(body))
		require.NoError(d.t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Idempotency-Key", key)
		answer, err := http.DefaultClient.Do(r)
		require.NoError(d.t, err)
		text, err := io.ReadAll(answer.Body)
		require.NoError(d.t, errors.Join(err, answer.Body.Close()))
		require.Equal(d.t, http.StatusAccepted, answer.StatusCode, "%s %s: %s", method, path, text)
		answers[i] = string(text)
	}
	require.Equal(d.t, answers[0], answers[1], "%s %s", method, path)
}

// On a machine without Redis everything is in one process, and what was accepted is in
// the database when it ends.
func TestDevWithoutRedis(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	d.env = []string{"HOME=" + d.dir, "PATH=" + d.dir}
	s := d.try()
	require.Contains(t, s.text(), "keeps nothing")
	for _, id := range []string{"ada", "grace", "mary"} {
		d.put(id)
	}
	// That Redis is not a redis-server: it must know all that the scripts use.
	d.keyed(http.MethodPut, "/v1/user/kay", `{"name":"Kay","age":1}`)
	d.keyed(http.MethodPost, "/v1/player", `{"id":7,"nickname":"Kay","score":5}`)
	d.keyed(http.MethodPatch, "/v1/player/7", `{"nickname":"K"}`)
	d.keyed(http.MethodPost, "/v1/player/7/increment", `{"score":2}`)
	d.keyed(http.MethodDelete, "/v1/user/kay", "")
	code, body := d.call(http.MethodPost, d.api, "/v1/player/7/increment", `{"score":9223372036854775807}`)
	require.Equal(t, http.StatusUnprocessableEntity, code, body)
	for path, want := range map[string]string{
		"/v1/player?top=3": `"score":7`, "/v1/player/7/rank": `"rank":1`, "/v1/player?ids=7,8": `"missing":[8]`,
		"/v1/player/7": `"nickname":"K"`, "/v1/player/7/status": `"version"`,
	} {
		code, body := d.call(http.MethodGet, d.api, path, "")
		require.Equal(t, http.StatusOK, code, body)
		require.Contains(t, strings.ReplaceAll(body, " ", ""), want, path)
	}
	code, body = d.call(http.MethodGet, d.worker, "/", "")
	require.Equal(t, http.StatusOK, code)
	require.Contains(t, body, "user")
	require.Equal(t, exitOK, s.stop(), s.text())

	s = d.try()
	for _, id := range []string{"ada", "grace", "mary"} {
		code, body := d.call(http.MethodGet, d.api, "/v1/user/"+id, "")
		require.Equal(t, http.StatusOK, code, body)
	}
	require.Equal(t, exitOK, s.stop())
}

// With redis-server on PATH dev starts one, which keeps its data, and the other commands
// reach it with the environment that dev wrote.
func TestDevWithRedis(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	s := d.try("--data", "data")
	require.Contains(t, s.text(), "a redis-server child")
	d.put("ada")
	d.env = append(d.env, "AFTERWRITE_CONFIG="+filepath.Join(d.dir, "data", "afterwrite.yaml"))
	require.FileExists(t, filepath.Join(d.dir, "data", "env"))
	r := d.run("", "dev", "--data", "data", "--addr", testkit.FreeAddr(t), "--dashboard-addr", testkit.FreeAddr(t))
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.err, "another `afterwrite dev` runs on data")
	require.Equal(t, exitOK, s.stop(), s.text())
	d.env = d.env[:2]

	s = d.try("--data", "data")
	code, body := d.call(http.MethodGet, d.api, "/v1/user/ada", "")
	require.Equal(t, http.StatusOK, code, body)
	require.NoError(t, s.cmd.Process.Kill())
	s.wait()
	s = d.try("--data", "data") // after a death it starts on the same data
	require.Equal(t, exitOK, s.stop())
}

// A configured Redis that does not answer is an error with what to do: nobody should
// wait for it.
func TestDevWithConfiguredRedis(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	s := d.start("dev")
	s.says("(configured)")
	require.Equal(t, exitOK, s.stop())
	d.env = append(d.env, "AFTERWRITE_REDIS_URL=redis://"+testkit.FreeAddr(t))
	r := d.run("", "dev")
	require.Equal(t, exitFailure, r.code)
	require.Contains(t, r.err, "leave redis.url out")
}
