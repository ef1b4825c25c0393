package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/config"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "config",
		Short:   "Check the configuration, or print an example",
		Example: "  afterwrite config check --config prod.yaml",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsSubcommand,
	}
	c.AddCommand(a.WithJSON(&cobra.Command{
		Use:     "check",
		Short:   "Validate the configuration and the environment",
		Long:    "Validates the configuration and the AFTERWRITE_ environment variables. Each fault is\nprinted with file, line, column and reason.",
		Example: "  afterwrite config check --config prod.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			c, err := a.Settings()
			if a.JSON {
				return a.printChecked(c, err)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "%s is fine: %s\n", c.File, cli.Count(len(c.Entities), "entity", "entities"))
			return err
		},
	}), &cobra.Command{
		Use:     "example",
		Short:   "Print a commented example",
		Example: "  afterwrite config example > afterwrite.yaml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := a.Out.Write(config.Example())
			return err
		},
	})
	return c
}

// printChecked prints the outcome of a check for programs. The exit code is that of the
// error, which is what a caller without JSON is told.
func (a *app) printChecked(c *config.Config, err error) error {
	faults := config.Faults(err)
	if err != nil && len(faults) == 0 {
		return err // there is no configuration to speak of
	}
	answer := map[string]any{"ok": err == nil, "faults": faults}
	if c != nil {
		answer["file"], answer["entities"] = c.File, len(c.Entities)
	}
	return errors.Join(a.PrintJSON(answer), err)
}
