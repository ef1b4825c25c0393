package main

import "github.com/spf13/cobra"

// version and commit are set by builds with -ldflags "-X main.version=… -X main.commit=…".
var version, commit string

func (a *app) versionCommand() *cobra.Command {
	return a.WithJSON(&cobra.Command{
		Use:     "version",
		Short:   "Print version, commit and Go",
		Example: "  afterwrite version --json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := a.Build
			return a.PrintResult(b, "afterwrite %s, commit %s, %s %s/%s\n", b.Version, b.Commit, b.Go, b.OS,
				b.Arch)
		},
	})
}
