package examples_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/schema"
)

func convert(t *testing.T, index string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "awk", "-f", "debian2ndjson")
	cmd.Stdin = strings.NewReader(index)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())
	return string(out)
}

func TestDebianIndexBecomesRecords(t *testing.T) {
	got := convert(t, strings.Join([]string{
		"Package: zed", "Version: 1:2.0~rc1-3", "Installed-Size: 28591", "Maintainer: Zoë \"Z\" <z@example.org>",
		"Tag: a::b,", " c::d", "Description: back\\slash\ttab", "Section: games", "", "",
		"Package: empty", "Installed-Size: unknown", "",
		"Package: abc", "Version: 1", "Installed-Size: 0", "",
		"Package: abc", "Version: 2", "Installed-Size: 007", "",
	}, "\n"))
	require.Equal(t, `{"id":"zed","version":"1:2.0~rc1-3","section":"games","installed_size":28591,"description":"back\\slash\ttab","control":{"Maintainer":"Zoë \"Z\" <z@example.org>","Tag":"a::b,\n c::d"}}
{"id":"empty","version":null,"section":null,"installed_size":null,"description":null,"control":{}}
{"id":"abc","version":"2","section":null,"installed_size":7,"description":null,"control":{}}
`, got)
}

// The sample is canonical: what the entity makes of a line is the line, byte for byte.
func TestSampleIsCanonical(t *testing.T) {
	c, err := config.Load("packages.yaml", nil)
	require.NoError(t, err)
	require.Len(t, c.Entities, 1)
	e := c.Entities[0]
	installs, ok := e.Field("installs")
	require.True(t, ok)

	file, err := os.Open("packages.sample.ndjson")
	require.NoError(t, err)
	defer file.Close()
	seen := map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		id := record(t, e, installs, lines.Bytes())
		require.False(t, seen[id], "%s occurs twice", id)
		seen[id] = true
	}
	require.NoError(t, lines.Err())
	require.Greater(t, len(seen), 1900)
}

func record(t *testing.T, e *schema.Entity, installs int, line []byte) (id string) {
	t.Helper()
	var texts map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(line, &texts))
	fields := schema.Fields{}
	for name, text := range texts {
		fields[name] = text
	}
	name := schema.Field{Type: schema.String}
	text, err := name.Canonical(fields["id"])
	require.NoError(t, err)
	decoded, err := name.Decode(text)
	require.NoError(t, err)
	id, err = e.CanonicalID(decoded.(string))
	require.NoError(t, err)

	delete(fields, "id")
	values, err := e.Whole(fields)
	require.NoError(t, err, id)
	require.Equal(t, "0", values[installs])
	values[installs] = "" // a counter of ours, not of the index
	require.Equal(t, string(line), string(e.AppendRecord(nil, id, values)))
	return id
}
