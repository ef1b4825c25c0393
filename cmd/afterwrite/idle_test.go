package main

import (
	"bufio"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/testkit"
)

// TestAnIdleWorkerCanBeCheap counts what a worker asks of Redis while there is nothing to
// do, with the settings that README.md names for a Redis that is paid by the command.
func TestAnIdleWorkerCanBeCheap(t *testing.T) {
	t.Parallel()
	d := deploy(t, testkit.SQLite(t))
	server := testkit.Redis(t)
	d.env = append(d.env, "AFTERWRITE_REDIS_URL="+server.URL(), "AFTERWRITE_WORKER_POLL_INTERVAL=1m",
		"AFTERWRITE_WORKER_SWEEP_INTERVAL=5m")
	d.ok("migrate")
	d.start("worker")
	d.ready(d.worker)
	conn, err := net.Dial("tcp", server.Addr())
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte("MONITOR\r\n"))
	require.NoError(t, err)
	lines := bufio.NewScanner(conn)
	asked := func(span time.Duration) (commands []string) {
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(span)))
		for lines.Scan() {
			// What a script does is its own business.
			if line := lines.Text(); line != "+OK" && !strings.Contains(line, " lua]") {
				commands = append(commands, line)
			}
		}
		require.ErrorIs(t, lines.Err(), os.ErrDeadlineExceeded)
		lines = bufio.NewScanner(conn)
		return commands
	}
	// It has begun when it asks for no more than it asks always.
	asked(5 * time.Second)
	const span = 30 * time.Second
	commands := asked(span)
	require.NotEmpty(t, commands, "it is alive")
	// Each five minutes one sweep looks at every partition, and once a minute at the queue.
	sweep := float64(1+4+2) / 5
	perMinute := rate(t, commands, span) + sweep
	require.LessOrEqual(t, perMinute, 60.0, strings.Join(commands, "\n"))

	code, body := d.call("GET", d.worker, "/readyz", "")
	require.Equal(t, 200, code, body)
}

// rate is how many commands are asked in a minute. A span holds one more of what comes regularly than its length has,
// depending on where it begins, so the time between the first and the last of each command counts.
func rate(t *testing.T, commands []string, span time.Duration) (perMinute float64) {
	t.Helper()
	times := map[string][]float64{} // by command and its first argument
	for _, line := range commands {
		at, command, ok := strings.Cut(strings.TrimPrefix(line, "+"), " ")
		require.True(t, ok, line)
		_, command, ok = strings.Cut(command, "] ")
		require.True(t, ok, line)
		seconds, err := strconv.ParseFloat(at, 64)
		require.NoError(t, err, line)
		words := strings.SplitN(command, " ", 3)
		name := strings.Join(words[:min(2, len(words))], " ")
		times[name] = append(times[name], seconds)
	}
	for _, at := range times {
		if n := len(at); n > 2 {
			perMinute += 60 * float64(n-1) / (at[n-1] - at[0])
		} else {
			perMinute += float64(n) * float64(time.Minute/span)
		}
	}
	return perMinute
}
