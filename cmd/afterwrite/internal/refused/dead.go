// Package refused is the commands about what the database has refused: dead letters, held records, and the jobs that
// retry or discard many.
package refused

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// app is a run of the program, with the commands of this package.
type app struct{ *cli.App }

// Commands returns the commands held, dead and jobs.
func Commands(c *cli.App) []*cobra.Command {
	a := &app{c}
	return []*cobra.Command{a.heldCommand(), a.deadCommand(), a.jobsCommand()}
}

func (a *app) deadCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "dead",
		Short: "Look at dead letters, send them back, edit or discard them",
		Long: `A dead letter is a version of a record that the database has refused until its retry
policy was exhausted. It is kept until it is resolved: retried and persisted, replaced by a
newer write or an edit, or discarded. Its record stays readable as it was accepted.

The fate of a letter is unknown if Redis has lost its record, as after Redis was emptied or an
older copy of it was put back: nothing tells whether something newer was persisted since. Such a
letter stays waiting, whatever is written later. show says "lost"; retry counts it as failed and
changes nothing. Compare the letter with its row, then write it again (retry --restore, or edit)
or let the row stand (discard). retry --all --restore takes the lost letters with the others.`,
		Example: "  afterwrite dead list --group\n  afterwrite dead show 17\n  afterwrite dead retry --all --kind unique",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsSubcommand,
	}
	c.AddCommand(a.deadListCommand(), a.deadShowCommand(), a.deadEditCommand(),
		a.deadBulkCommand("retry", "Send dead letters back to the database",
			"Sends dead letters back to the database, their attempts counted from scratch: after the reason of\nthe refusal is gone, such as a constraint or a missing parent."),
		a.deadBulkCommand("discard", "Give dead letters up",
			"Gives dead letters up: the state of each one's row in the database is the record's again,\nand where there is no row, there is no record. What was accepted is lost, but for the letter."))
	return c
}

// deadFilter are the flags that select dead letters.
type deadFilter struct{ web.Filter }

func (f *deadFilter) flags(c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.Entity, "entity", "", "only of this `ENTITY`")
	flags.StringVar(&f.ID, "id", "", "only of the record with this `ID`")
	flags.StringVar(&f.Kind, "kind", "", "only of this kind of refusal, such as unique")
	flags.StringVar(&f.Constraint, "constraint", "", "only of this constraint")
	flags.StringVar(&f.Text, "text", "", "only with this text in the error")
	flags.StringVar(&f.Since, "since", "", "died, or tried last, then or later: a time, or how long ago, such as 2h")
	flags.StringVar(&f.Until, "until", "", "died, or tried last, before: a time, or how long ago")
}

// selected turns the flags into a filter, and refuses what cannot be. An entity that was
// taken out of the configuration can be named as long as something is known of it.
func (f deadFilter) selected(ctx context.Context, c *config.Config, m *operate.Operator) (ledger.LetterFilter, error) {
	if f.Entity != "" {
		err := m.Known(ctx, f.Entity)
		if errors.Is(err, schema.ErrUnknownEntity) {
			_, err = cli.Chosen(c, []string{f.Entity})
		}
		if err != nil {
			return ledger.LetterFilter{}, err
		}
	}
	selected, err := f.Select(time.Now())
	if err != nil {
		return selected, cli.Usagef("--%v", err)
	}
	return selected, nil
}

// words say in words which letters, or held records, the flags select.
func (f deadFilter) words(words string) string {
	if f.Entity != "" {
		words += " of " + f.Entity
	}
	if f.Kind != "" {
		words += " (" + f.Kind + ")"
	}
	for _, w := range [][2]string{{"record", f.ID}, {"constraint", f.Constraint}, {"text", f.Text}, {"since", f.Since},
		{"until", f.Until}} {
		if w[1] != "" {
			words += fmt.Sprintf(", %s %q", w[0], w[1])
		}
	}
	return words
}

// bulkFlags are the flags of retry and discard.
type bulkFlags struct {
	deadFilter
	all     bool
	yes     bool
	restore bool
	rate    int
}

func (a *app) deadBulkCommand(verb, short, long string) *cobra.Command {
	var f bulkFlags
	c := &cobra.Command{
		Use:   verb + " [NUMBER...]",
		Short: short,
		Long: long + "\n\nTakes numbers of letters, or --all of those that wait and match the filter; it asks first.\n" +
			"Ctrl-C stops it after its step, and the same command again goes on. To repeat it is harmless.\n" +
			"With --all it is a job: `afterwrite jobs` and the dashboard show it and can stop it, and should the\n" +
			"command be killed, an API or a dashboard goes on with it.",
		Example: fmt.Sprintf("  afterwrite dead %s 17 18\n  afterwrite dead %[1]s --all --entity user --kind unique --since 2h", verb),
		RunE: func(c *cobra.Command, args []string) error {
			return a.deadBulk(c.Context(), verb, args, f)
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&f.all, "all", false, "every dead letter that waits and matches the filter")
	if verb == "retry" {
		c.Flags().BoolVar(&f.restore, "restore", false,
			"also restore letters whose records Redis has lost, over the database's rows;\n"+
				"their numbers, or --all with those that were retried and have not ended,\n"+
				"and with those that the database itself has lost")
	}
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask")
	c.Flags().IntVar(&f.rate, "rate", operate.DefaultRate, "letters a second at most")
	c.SetFlagErrorFunc(cli.Dashed(notALetter))
	return a.WithJSON(c)
}

func (a *app) deadBulk(ctx context.Context, verb string, args []string, f bulkFlags) error {
	if (len(args) > 0) == f.all {
		return cli.Usagef("give numbers of dead letters, or --all of those that match the filter")
	}
	if len(args) > 0 && f.Filter != (web.Filter{}) {
		return cli.Usagef("a filter is for --all, not for numbers")
	}
	if f.rate < 1 {
		return cli.Usagef("--rate must be at least 1")
	}
	numbers, err := letterNumbers(args)
	if err != nil {
		return err
	}
	return a.Operate(ctx, func(p *cli.Parts, m *operate.Operator) error {
		filter, err := f.selected(ctx, p.Config, m)
		if err != nil {
			return err
		}
		if f.all && filter.Until.IsZero() {
			filter.Until = time.Now() // what dies from now on is not what was asked about
		}
		s := operate.Selection{Numbers: numbers, Filter: filter, Rate: f.rate, Restore: f.restore}
		n, err := m.Selected(ctx, s)
		if err != nil {
			return err
		}
		if sure, err := a.Confirm(ctx, verb, n, f.words(cli.Counted(n, "dead letter", "dead letters")),
			f.yes); err != nil || !sure {
			return err
		}
		do := func(ctx context.Context, s operate.Selection, by ledger.Actor) (operate.Report, error) {
			return m.Do(ctx, operate.Action(verb), s, by)
		}
		if f.all {
			if do, err = jobOf(p, operate.Action(verb), n); err != nil {
				return err
			}
		}
		return a.runBulk(ctx, verb, do, s, n, cli.Counted(n, "dead letter", "dead letters"), "dead")
	})
}

func letterNumbers(args []string) ([]int64, error) {
	var numbers []int64
	for _, arg := range args {
		n, err := strconv.ParseInt(strings.TrimPrefix(arg, "#"), 10, 64)
		if err != nil || n < 1 {
			return nil, cli.Usagef("%q is not the number of a dead letter", arg)
		}
		if !slices.Contains(numbers, n) {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

// notALetter refuses an argument that begins with -.
func notALetter(arg string) error {
	_, err := letterNumbers([]string{arg})
	return err
}

// bulk is an action of the operator on many.
type bulk func(ctx context.Context, s operate.Selection, by ledger.Actor) (operate.Report, error)

// jobOf makes an action on all of a filter, n in number, a job that every process finds.
func jobOf(p *cli.Parts, action operate.Action, n int) (bulk, error) {
	jobs, err := p.Jobs()
	return func(ctx context.Context, s operate.Selection, by ledger.Actor) (operate.Report, error) {
		return jobs.Run(ctx, action, s, n, by)
	}, err
}

// runBulk does it with a progress bar and says how it ended. All is what it is about, in
// number and words, which are in a state.
func (a *app) runBulk(ctx context.Context, verb string, do bulk, s operate.Selection, n int, all, state string) error {
	done, doing := "retried", "retrying"
	if verb == "discard" {
		done, doing = "discarded", "discarding"
	}
	progress := a.Bar(int64(n), doing)
	s.OnStep = func(r operate.Progress) { progress.At(int64(r.Done + r.Stale + r.Failed)) }
	report, err := do(ctx, s, a.Actor())
	progress.Done()
	if a.JSON {
		if printed := a.PrintJSON(report); printed != nil {
			return printed
		}
	} else {
		fmt.Fprintf(a.Out, "%s of %s %s", cli.Thousands(report.Done), all, done)
		if report.Stale > 0 {
			fmt.Fprintf(a.Out, ", %s no longer %s and left alone", cli.Thousands(report.Stale), state)
		}
		if report.Failed > 0 {
			fmt.Fprintf(a.Out, ", %s failed", cli.Thousands(report.Failed))
		}
		fmt.Fprintln(a.Out)
	}
	for _, e := range report.Errors {
		fmt.Fprintln(a.Err, e)
	}
	switch {
	case errors.Is(err, context.Canceled):
		fmt.Fprintln(a.Err, "Stopped. Give the same command again to go on with the rest.")
		return cli.ErrReported
	case err != nil:
		return err
	case report.Failed > 0:
		return cli.ErrReported
	}
	return nil
}

// entityNamed returns the entity of that name, nil where the configuration has it no more.
func entityNamed(c *config.Config, name string) *schema.Entity {
	e, _ := c.Entity(name) // nil says it
	return e
}
