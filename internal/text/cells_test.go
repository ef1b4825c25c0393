package text_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/internal/text"
)

// What callers have made up commands no spreadsheet, whichever character a cell begins with that one looks for.
func TestCellsAreNoFormulas(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "'\nx", "'＝1", "a=1", "é", ""},
		text.Cells([]string{"=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "＝1", "a=1", "é", ""}))
}
