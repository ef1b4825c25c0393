package refused

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
)

// What callers have made up commands no spreadsheet, whichever character a cell begins with that one looks for.
func TestCellsAreNoFormulas(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := &app{&cli.App{Streams: cli.Streams{Out: &out}}}
	require.NoError(t, a.printCSV([][]string{{"=1+1", "+1", "-1", "@x", "\tx", "\rx", "a=1", ""}}))
	require.Equal(t, "'=1+1,'+1,'-1,'@x,'\tx,\"'\rx\",a=1,\n", out.String())
}
