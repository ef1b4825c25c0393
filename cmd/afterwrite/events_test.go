package main

import (
	"bufio"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// A stream of events tells of a persisted record, and does not keep the process from
// ending.
func TestEventsFromOutside(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	api, worker := d.serve()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+d.api+"/v1/events?entity=user", nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	code, body := d.call(http.MethodPut, d.api, "/v1/user/ada", `{"name":"Ada"}`)
	require.Equal(t, http.StatusAccepted, code, body)
	lines := bufio.NewReader(answer.Body)
	for line := ""; !strings.HasPrefix(line, `data: {"entity":"user","id":"ada"`); {
		line, err = lines.ReadString('\n')
		require.NoError(t, err)
	}
	require.Equal(t, exitOK, api.stop(), api.text())
	_, err = io.Copy(io.Discard, lines)
	require.NoError(t, err, "the stream has ended as it should")
	require.NotContains(t, api.text(), "cut off")
	require.Equal(t, exitOK, worker.stop())
}
