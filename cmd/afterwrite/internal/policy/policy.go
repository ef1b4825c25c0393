// Package policy is the commands about retry policies.
package policy

import (
	"context"
	"errors"
	"strconv"
	"strings"

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

// Command returns the command retry-policy.
func Command(a *cli.App) *cobra.Command { return (&app{a}).retryPolicyCommand() }

func (a *app) retryPolicyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "retry-policy",
		Short: "Look at live retry policies, try changes out, make and undo them",
		Long: `A retry policy says when a refused record is tried again, and when it becomes a dead
letter. The configuration has the default; a live policy is kept in the database, in
versions. Workers follow a change within two seconds, for what waits already, too.`,
		Example: "  afterwrite retry-policy preview user --max-attempts 5 --against user\n  afterwrite retry-policy set user --max-attempts 5 --note 'for the import'",
		Args:    cobra.NoArgs,
		RunE:    cli.NeedsSubcommand,
	}
	c.AddCommand(a.policyShowCommand(), a.policySetCommand(), a.policyPreviewCommand(), a.policyHistoryCommand(),
		a.policyRollbackCommand())
	return c
}

// policyFlags are the flags that change settings of a policy, each by its name.
type policyFlags struct {
	values map[string]*string
	on     []string
}

// policySettings are the settings and what their flags say of them, in the order of the
// configuration.
var policySettings = [][2]string{
	{"max_attempts", "attempts in all, the first one included"},
	{"base", "delay before the second attempt, such as 1s"},
	{"factor", "growth of the delay from attempt to attempt"},
	{"cap", "largest delay, such as 10m"},
	{"jitter", "how much of a delay is random: full, equal or none"},
	{"timeout", "bound on one attempt, such as 30s"},
}

func (f *policyFlags) flags(c *cobra.Command) {
	f.values = map[string]*string{}
	for _, s := range policySettings {
		f.values[s[0]] = c.Flags().String(strings.ReplaceAll(s[0], "_", "-"), "", s[1])
	}
	c.Flags().StringArrayVar(&f.on, "on", nil,
		"`KIND.SETTING=VALUE` for one kind of refusal; without a VALUE the policy's own holds again,\nKIND= takes all of a kind's away; may be repeated")
}

func (f *policyFlags) change() (operate.PolicyChange, error) {
	var change operate.PolicyChange
	for _, s := range policySettings {
		if value := *f.values[s[0]]; value != "" {
			change = append(change, operate.Setting{Name: s[0], Value: value})
		}
	}
	for _, on := range f.on {
		name, value, ok := strings.Cut(on, "=")
		if !ok {
			return nil, cli.Usagef("--on %q is not KIND.SETTING=VALUE", on)
		}
		change = append(change, operate.Setting{Name: "on." + name, Value: value})
	}
	return change, nil
}

// oneEntity checks the name of an entity and runs fn with a operator.
func (a *app) oneEntity(ctx context.Context, name string, fn func(m *operate.Operator) error) error {
	return a.Operate(ctx, func(p *cli.Parts, m *operate.Operator) error {
		if _, err := cli.Chosen(p.Config, []string{name}); err != nil {
			return err
		}
		return asUsage(fn(m))
	})
}

// asUsage makes a setting that is out of bounds a fault of the command line.
func asUsage(err error) error {
	if errors.Is(err, schema.ErrInvalid) {
		return cli.Usagef("%v", err)
	}
	return err
}

func (a *app) policyShowCommand() *cobra.Command {
	return a.WithJSON(&cobra.Command{
		Use:     "show [ENTITY]",
		Short:   "Show the active policies",
		Example: "  afterwrite retry-policy show user",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.OperateDatabase(c.Context(), func(p *cli.Parts, m *operate.Operator) error {
				return a.policyShow(c.Context(), p.Config, m, args)
			})
		},
	})
}

func (a *app) policyShow(ctx context.Context, c *config.Config, m *operate.Operator, args []string) error {
	entities, err := cli.Chosen(c, args)
	if err != nil {
		return err
	}
	views := []web.Policy{}
	rows := [][]string{{"entity", "version", "setting", "value", "set by", "note"}}
	for _, e := range entities {
		p, err := m.Policy(ctx, e.Name)
		if err != nil {
			return err
		}
		views = append(views, web.PolicyOf(p))
		for i, s := range operate.Settings(p.Policy) {
			row := []string{"", "", s.Name, s.Value, "", ""}
			if i == 0 {
				row = []string{e.Name, strconv.FormatInt(p.Version, 10), s.Name, s.Value, p.Author, p.Note}
			}
			rows = append(rows, row)
		}
	}
	return a.PrintTable(map[string]any{"policies": views}, rows)
}

func (a *app) policySetCommand() *cobra.Command {
	var f policyFlags
	var note string
	var expect int64
	c := &cobra.Command{
		Use:     "set ENTITY",
		Short:   "Change settings of a live policy",
		Long:    "Changes the named settings of an entity's policy, as a new version; the others stay.",
		Example: "  afterwrite retry-policy set user --max-attempts 5 --on foreign_key.max_attempts=20 --note 'for the import'\n  afterwrite retry-policy set user --on foreign_key= --expect 3",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			change, err := f.change()
			if err != nil {
				return err
			}
			if len(change) == 0 {
				return cli.Usagef("name at least one setting to change")
			}
			return a.oneEntity(c.Context(), args[0], func(m *operate.Operator) error {
				p, err := m.SetPolicy(c.Context(), args[0], change, expect, a.Actor(), note)
				return a.nowInForce(p, err)
			})
		},
	}
	f.flags(c)
	c.Flags().StringVar(&note, "note", "", "why, for the history")
	expectFlag(c, &expect)
	return a.WithJSON(c)
}

func expectFlag(c *cobra.Command, expect *int64) {
	c.Flags().Int64Var(expect, "expect", -1, "refuse unless this `VERSION` is active; -1 for any")
	c.PreRunE = func(*cobra.Command, []string) error {
		if *expect < -1 {
			return cli.Usagef("--expect must be a version, or -1 for any")
		}
		return nil
	}
}

// nowInForce tells of the new version of a policy.
func (a *app) nowInForce(p ledger.Policy, err error) error {
	if err != nil {
		return err
	}
	return a.PrintResult(web.PolicyOf(p), "version %d of the retry policy of %s is active; workers follow within 2 s\n",
		p.Version, p.Entity)
}

func (a *app) policyHistoryCommand() *cobra.Command {
	var limit int
	c := &cobra.Command{
		Use:     "history ENTITY",
		Short:   "Show the versions of a policy and what each changed",
		Example: "  afterwrite retry-policy history user",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if limit < 1 {
				return cli.Usagef("--limit must be at least 1")
			}
			return a.OperateDatabase(c.Context(), func(p *cli.Parts, m *operate.Operator) error {
				if _, err := cli.Chosen(p.Config, args); err != nil {
					return err
				}
				history, err := m.PolicyHistory(c.Context(), args[0], limit)
				if err != nil {
					return err
				}
				return a.printHistory(web.HistoryOf(history))
			})
		},
	}
	c.Flags().IntVar(&limit, "limit", web.DefaultLimit, "versions at most")
	return a.WithJSON(c)
}

func (a *app) printHistory(history []web.Policy) error {
	rows := [][]string{{"version", "set", "by", "setting", "from", "to", "note"}}
	for _, p := range history {
		head := []string{strconv.FormatInt(p.Version, 10), "–", cli.OrDash(p.Author)}
		if p.SetAt != nil {
			head[1] = cli.Moment(*p.SetAt)
		}
		changes := p.Changes
		if len(changes) == 0 {
			changes = []operate.Difference{{Name: "–"}}
		}
		for i, d := range changes {
			if i > 0 {
				head = []string{"", "", ""}
			}
			note := ""
			if i == 0 && p.Note != nil {
				note = *p.Note
			}
			rows = append(rows, append(append([]string{}, head...), d.Name, d.From, d.To, note))
		}
	}
	return a.PrintTable(map[string]any{"versions": history}, rows)
}

func (a *app) policyRollbackCommand() *cobra.Command {
	var expect int64
	c := &cobra.Command{
		Use:     "rollback ENTITY VERSION",
		Short:   "Apply an earlier version of a policy again",
		Long:    "Applies an earlier version of a policy again, as a new version; 0 is the\nconfiguration's own.",
		Example: "  afterwrite retry-policy rollback user 2",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			version, err := policyVersion(args[1])
			if err != nil {
				return err
			}
			return a.oneEntity(c.Context(), args[0], func(m *operate.Operator) error {
				p, err := m.Rollback(c.Context(), args[0], version, expect, a.Actor())
				return a.nowInForce(p, err)
			})
		},
	}
	c.SetFlagErrorFunc(cli.Dashed(func(arg string) error { _, err := policyVersion(arg); return err }))
	expectFlag(c, &expect)
	return a.WithJSON(c)
}

func policyVersion(text string) (int64, error) {
	version, err := strconv.ParseInt(text, 10, 64)
	if err != nil || version < 0 {
		return 0, cli.Usagef("%q is not a version; they are whole numbers from 0, see afterwrite retry-policy history",
			text)
	}
	return version, nil
}
