package zoo

import (
	"flag"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	// The specimens wait more than they work: for servers, flushes and the second program.
	flag.Parse()
	_ = flag.Set("test.parallel", "4")
	os.Exit(m.Run())
}
