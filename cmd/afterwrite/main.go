// Command afterwrite is the whole of Afterwrite in one binary: its servers and its
// operator's tools. `afterwrite help` lists them.
package main

import (
	"os"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
)

func main() {
	os.Exit(run(os.Args[1:], cli.System()))
}
