package cli

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// NeedsSubcommand ends a command that does nothing by itself. Its help is no result, so
// it goes where errors go.
func NeedsSubcommand(c *cobra.Command, _ []string) error {
	c.SetOut(c.ErrOrStderr())
	if err := c.Help(); err != nil {
		return err
	}
	return Usagef("%s needs a command", c.CommandPath())
}

// WithJSON gives a command that prints results the flag --json.
func (a *App) WithJSON(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.JSON, "json", false, "print JSON")
	return c
}

// Dashed words the error of an argument that begins with - and was taken for a flag. Where
// such an argument is never right, refuse says so; else, or where it is nil, it is given
// after --.
func Dashed(refuse func(arg string) error) func(c *cobra.Command, err error) error {
	return func(c *cobra.Command, err error) error {
		unknown, ok := errors.AsType[*pflag.NotExistError](err)
		if !ok || unknown.GetSpecifiedShortnames() == "" || !strings.Contains(c.Use, " ") {
			return err
		}
		arg := "-" + unknown.GetSpecifiedShortnames()
		if refuse != nil {
			return refuse(arg)
		}
		return Usagef("%s is not a flag; what begins with - and is none comes after --: %s -- %s",
			arg, c.CommandPath(), strings.TrimPrefix(c.Use, c.Name()+" "))
	}
}

// HelpCommand is cobra's own, but for a command that there is not: that is wrong usage.
func HelpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Help about a command",
		Example: "  afterwrite help record get",
		RunE: func(c *cobra.Command, args []string) error {
			about, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return Usagef("no command %q", strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}
