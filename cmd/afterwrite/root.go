package main

import (
	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/bench"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/dev"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/load"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/policy"
	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/refused"
)

// app is a run of the program, with its commands.
type app struct{ *cli.App }

// run runs the command line and returns the exit code. The first SIGINT or SIGTERM ends
// the command's context; after that the system's own handling is back, so a second
// one ends the process at once.
func run(args []string, s cli.Streams) int {
	ctx, cancel := cli.UntilSignal()
	defer cancel()
	s.Err = cli.Messages(s.Err)
	a := &cli.App{Streams: s, Build: cli.BuildOf(version, commit)}
	root := root(a)
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	return a.ExitCode(root.ExecuteContext(ctx))
}

// root returns the command of all commands.
func root(c *cli.App) *cobra.Command {
	a := &app{c}
	root := &cobra.Command{
		Use:           "afterwrite",
		Short:         "A write-behind system for SQL databases",
		Long:          "Afterwrite accepts writes at Redis speed, persists them to a SQL database in batches soon\nafter, and answers every read with the newest accepted state.",
		Example:       "  afterwrite dev                        # everything in one process, to try it\n  afterwrite config example > afterwrite.yaml\n  afterwrite migrate && afterwrite api",
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          cli.NeedsSubcommand,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.Started = true
			return a.StartLog()
		},
	}
	root.SetFlagErrorFunc(cli.Dashed(nil))
	flags := root.PersistentFlags()
	flags.StringVar(&a.ConfigFile, "config", "",
		"configuration `FILE` (default $AFTERWRITE_CONFIG, else ./afterwrite.yaml)")
	flags.StringVar(&a.LogLevel, "log-level", "",
		"debug, info, warn or error (default $AFTERWRITE_LOG_LEVEL, else info)")
	root.AddCommand(
		dev.Command(c), a.apiCommand(), a.workerCommand(), a.dashboardCommand(),
		a.initCommand(), a.migrateCommand(), a.configCommand(), a.doctorCommand(), a.versionCommand(),
		a.recordCommand(), a.flushCommand(), a.fsckCommand(), a.invalidateCommand(), a.cacheCommand(), a.rankCommand(),
		load.Command(c),
		a.statusCommand(), a.planCommand(), a.healthcheckCommand(), a.metricsCommand(), a.pauseCommand(),
		a.resumeCommand(), a.auditCommand(),
		a.pairCommand(), a.acknowledgeCommand(),
		policy.Command(c), a.tokenCommand(), bench.Command(c),
	)
	root.AddCommand(refused.Commands(c)...)
	root.SetHelpCommand(cli.HelpCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd("completion")
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Example = "  source <(afterwrite completion bash)"
		c.RunE, c.Args = cli.NeedsSubcommand, cobra.NoArgs
		for _, shell := range c.Commands() {
			shell.Example = "  afterwrite completion " + shell.Name()
		}
	}
	return root
}
