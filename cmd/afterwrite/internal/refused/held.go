package refused

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/store/ledger"
)

func (a *app) heldCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "held",
		Short: "Look at held records, try them now, edit or discard them",
		Long: `A held record was refused by the database and waits for its next attempt, until its retry
policy is exhausted and it becomes a dead letter. It needs no operator; one who knows the
cause need not wait.`,
		Example: "  afterwrite held list --entity user\n  afterwrite held retry --all --kind foreign_key\n  afterwrite held edit user ada --set age=36",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsSubcommand,
	}
	c.AddCommand(a.heldListCommand(), a.heldEditCommand(),
		a.heldBulkCommand("retry", "Try held records again now",
			"Sends held records back to the database at once, their attempts counted from scratch."),
		a.heldBulkCommand("discard", "Give held records up",
			"Gives held records up: the state of each one's row in the database is the record's again,\nand where there is no row, there is no record. What was accepted is lost."))
	return c
}

func (a *app) heldListCommand() *cobra.Command {
	var f deadFilter
	var limit int
	c := &cobra.Command{
		Use:     "list",
		Short:   "List held records",
		Long:    "Lists held records, the next to be tried first. --limit 0 lists all.",
		Example: "  afterwrite held list --entity user --kind unique",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if limit < 0 {
				return cli.Usagef("--limit must not be negative")
			}
			return a.heldList(c.Context(), f, limit)
		},
	}
	f.flags(c)
	c.Flags().IntVar(&limit, "limit", web.DefaultLimit, "records at most; 0 for all")
	return a.WithJSON(c)
}

// heldSelected turns the flags into a filter. Held records are of configured entities.
func (f deadFilter) heldSelected(c *config.Config) (ledger.LetterFilter, error) {
	if f.Entity != "" {
		if _, err := cli.Chosen(c, []string{f.Entity}); err != nil {
			return ledger.LetterFilter{}, err
		}
	}
	selected, err := f.Select(time.Now())
	if err != nil {
		return selected, cli.Usagef("--%v", err)
	}
	return selected, nil
}

func (a *app) heldList(ctx context.Context, f deadFilter, limit int) error {
	return a.Operate(ctx, func(p *cli.Parts, m *operate.Operator) error {
		filter, err := f.heldSelected(p.Config)
		if err != nil {
			return err
		}
		found, err := m.ListHeld(ctx, filter)
		if err != nil {
			return err
		}
		page := web.HeldPage{Held: []web.Held{}, Count: len(found)}
		if limit > 0 {
			found = found[:min(limit, len(found))]
		}
		rows := [][]string{{"entity", "id", "version", "kind", "constraint", "attempts", "next attempt", "message"}}
		for _, h := range found {
			v := web.HeldOf(h, web.Form{})
			page.Held = append(page.Held, v)
			rows = append(rows, []string{v.Entity, string(v.ID), v.Version.String(), string(v.Error.Kind),
				cli.OrDash(v.Error.Constraint),
				strconv.Itoa(v.Attempts), cli.Moment(h.Next), v.Error.Message})
		}
		if a.JSON {
			return a.PrintJSON(page)
		}
		if err := cli.Table(a.Out, rows); err != nil {
			return err
		}
		if len(found) < page.Count {
			fmt.Fprintf(a.Err, "%s of %s shown. See all with --limit 0.\n", cli.Thousands(len(found)),
				cli.Count(page.Count, "held record", "held records"))
		}
		return nil
	})
}

// oneHeld finds the held record that ENTITY ID name, at the version that is held now.
func oneHeld(ctx context.Context, c *config.Config, m *operate.Operator, args []string) (operate.Held, error) {
	entities, err := cli.Chosen(c, args[:1])
	if err != nil {
		return operate.Held{}, err
	}
	id, err := entities[0].CanonicalID(args[1])
	if err != nil {
		return operate.Held{}, cli.Usagef("%v", err)
	}
	found, err := m.ListHeld(ctx, ledger.LetterFilter{Entity: entities[0].Name, ID: id})
	if err != nil {
		return operate.Held{}, err
	}
	if len(found) == 0 {
		return operate.Held{}, fmt.Errorf("%s %s is not held", entities[0].Name, entities[0].IDText(id))
	}
	return found[0].Held(), nil
}

func (a *app) heldBulkCommand(verb, short, long string) *cobra.Command {
	var f bulkFlags
	c := &cobra.Command{
		Use:   verb + " [ENTITY ID]",
		Short: short,
		Long:  long + "\n\nTakes one record, or --all that match the filter; it asks first. Ctrl-C stops it after its\nstep, and the same command again goes on. What is refused again is held again, and left. With\n--all it is a job, see `afterwrite jobs`.",
		Example: fmt.Sprintf("  afterwrite held %s user ada\n  afterwrite held %[1]s --all --entity user --kind unique",
			verb),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case f.all != (len(args) == 0) || len(args) != 0 && len(args) != 2:
				return cli.Usagef("give ENTITY and ID, or --all of those that match the filter")
			case len(args) > 0 && f.Filter != (web.Filter{}):
				return cli.Usagef("a filter is for --all, not for one record")
			case f.rate < 1:
				return cli.Usagef("--rate must be at least 1")
			}
			return a.heldBulk(c.Context(), verb, args, f)
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&f.all, "all", false, "every held record that matches the filter")
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().IntVar(&f.rate, "rate", operate.DefaultRate, "records a second at most")
	return a.WithJSON(c)
}

func (a *app) heldBulk(ctx context.Context, verb string, args []string, f bulkFlags) error {
	return a.Operate(ctx, func(p *cli.Parts, m *operate.Operator) error {
		one := m.RetryOne
		if verb == "discard" {
			one = m.DiscardOne
		}
		if len(args) > 0 {
			return a.heldOne(ctx, p, m, verb, args, f.yes, one)
		}
		filter, err := f.heldSelected(p.Config)
		if err != nil {
			return err
		}
		if filter.Until.IsZero() {
			filter.Until = time.Now() // what is refused from now on is not what was asked about
		}
		found, err := m.SelectHeld(ctx, filter)
		if err != nil {
			return err
		}
		what := cli.Counted(len(found), "held record", "held records")
		if sure, err := a.Confirm(ctx, verb, len(found), f.words(what), f.yes); err != nil || !sure {
			return err
		}
		all, err := jobOf(p, operate.Action("held."+verb), len(found))
		if err != nil {
			return err
		}
		return a.runBulk(ctx, verb, all, operate.Selection{Filter: filter, Rate: f.rate}, len(found), what, "held")
	})
}

// heldOne asks about one record, and has it done.
func (a *app) heldOne(ctx context.Context, p *cli.Parts, m *operate.Operator, verb string, args []string, yes bool,
	do func(context.Context, operate.Held, ledger.Actor) error,
) error {
	h, err := oneHeld(ctx, p.Config, m, args)
	if err != nil {
		return err
	}
	what := "1 held record, " + h.Entity.Name + " " + h.Entity.IDText(h.ID)
	if sure, err := a.Confirm(ctx, verb, 1, what, yes); err != nil || !sure {
		return err
	}
	alone := func(ctx context.Context, _ operate.Selection, by ledger.Actor) (operate.Report, error) {
		switch err := a.Audited(do(ctx, h, by)); {
		case errors.Is(err, operate.ErrStale):
			return operate.Report{Selected: 1, Stale: 1}, nil
		case err != nil:
			return operate.Report{Selected: 1}, err
		}
		return operate.Report{Selected: 1, Done: 1}, nil
	}
	return a.runBulk(ctx, verb, alone, operate.Selection{}, 1, "1 held record", "held")
}

func (a *app) heldEditCommand() *cobra.Command {
	var set []string
	var file string
	c := &cobra.Command{
		Use:   "edit ENTITY ID",
		Short: "Write a held record again with some fields changed",
		Long: "Writes a held record again with some fields changed, which are validated like a write. Where\n" +
			"a newer write was faster, it stands and the edit is refused.",
		Example: "  afterwrite held edit user ada --set 'email=\"ada@example.com\"'",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			changes, err := a.changes(c.Context(), set, file)
			if err != nil {
				return err
			}
			return a.Operate(c.Context(), func(p *cli.Parts, m *operate.Operator) error {
				h, err := oneHeld(c.Context(), p.Config, m, args)
				if err != nil {
					return err
				}
				accepted, err := m.EditOne(c.Context(), h, changes, a.Actor())
				if err := a.Audited(err); err != nil {
					return fmt.Errorf("edit of held %s %s: %w", h.Entity.Name, h.Entity.IDText(h.ID), err)
				}
				return a.PrintResult(web.AcceptedOf(accepted, web.Form{}), "accepted as version %s of %s %s\n",
					accepted.Version, accepted.Entity.Name, accepted.Entity.IDText(accepted.ID))
			})
		},
	}
	c.Flags().StringArrayVar(&set, "set", nil, "`FIELD=JSON` to change; may be repeated")
	c.Flags().StringVar(&file, "file", "", "`FILE` with a JSON object of the fields to change, - for standard input")
	return a.WithJSON(c)
}
