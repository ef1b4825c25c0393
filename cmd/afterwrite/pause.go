package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// setFlushing is [operate.Operator.Pause] or [operate.Operator.Resume].
type setFlushing func(ctx context.Context, entity string, partitions []int, by ledger.Actor) (int, error)

func (a *app) pauseCommand() *cobra.Command {
	return a.flushingCommand(&cobra.Command{
		Use:   "pause ENTITY",
		Short: "Pause the flushing of an entity",
		Long: "Pauses the flushing of an entity, or of some of its partitions. Writes go on being accepted\n" +
			"and wait in Redis; at flush.max_pending new records are rejected. A flush that is under way\n" +
			"ends first. The pause stays through restarts until `afterwrite resume`, and is audited. It works while\n" +
			"the database is down: then the audit lacks it, and a warning and the log say so.",
		Example: "  afterwrite pause user\n  afterwrite pause user --partition 3,4",
	}, "paused", func(m *operate.Operator) setFlushing { return m.Pause })
}

func (a *app) resumeCommand() *cobra.Command {
	return a.flushingCommand(&cobra.Command{
		Use:     "resume ENTITY",
		Short:   "Resume the flushing of an entity",
		Long:    "Resumes the flushing of an entity, or of some of its partitions, after `afterwrite pause`.",
		Example: "  afterwrite resume user",
	}, "resumed", func(m *operate.Operator) setFlushing { return m.Resume })
}

func (a *app) flushingCommand(c *cobra.Command, done string, of func(*operate.Operator) setFlushing) *cobra.Command {
	var partitions []int
	c.Args = cobra.ExactArgs(1)
	c.Flags().IntSliceVar(&partitions, "partition", nil, "only these partitions, `N`,N (default all)")
	c.RunE = a.With(func(ctx context.Context, p *cli.Parts, args []string) error {
		if _, err := cli.Chosen(p.Config, args); err != nil {
			return err
		}
		w, err := p.NewProducer()
		if err != nil {
			return err
		}
		m, err := p.NewOperator(w)
		if err != nil {
			return err
		}
		changed, err := of(m)(ctx, args[0], partitions, a.Actor())
		if err := a.Audited(err); err != nil {
			return err
		}
		return a.PrintResult(map[string]any{"entity": args[0], "changed": changed}, "%s %s of %s\n", done,
			cli.Count(changed, "partition", "partitions"), args[0])
	})
	return a.WithJSON(c)
}
