package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "config",
		Short:   "Check the configuration, or print an example",
		Example: "  afterwrite config check --config prod.yaml",
		Args:    cobra.NoArgs,
		RunE:    needsSubcommand,
	}
	c.AddCommand(&cobra.Command{
		Use:     "check",
		Short:   "Validate the configuration and the environment",
		Long:    "Validates the configuration and the AFTERWRITE_ environment variables. Each fault is\nprinted with file, line, column and reason.",
		Example: "  afterwrite config check --config prod.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.settings()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "%s is fine: %s\n", c.File, count(len(c.Entities), "entity", "entities"))
			return err
		},
	}, &cobra.Command{
		Use:     "example",
		Short:   "Print a commented example",
		Example: "  afterwrite config example > afterwrite.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.out.Write(config.Example())
			return err
		},
	})
	return c
}
