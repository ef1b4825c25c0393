package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/schema"
)

func (a *app) policyPreviewCommand() *cobra.Command {
	var f policyFlags
	var kind, against string
	c := &cobra.Command{
		Use:   "preview ENTITY",
		Short: "Show the schedule of a policy, and what it would move",
		Long: "Shows when a record that is refused every time is tried again and when it is dead: by the\n" +
			"active policy, or with the given changes made. Nothing is changed. With --against it says\n" +
			"which records that wait now would move.",
		Example: "  afterwrite retry-policy preview user\n  afterwrite retry-policy preview user --base 5s --max-attempts 5 --kind unique --against user",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			change, err := f.change()
			if err != nil {
				return err
			}
			if kind != "" && !slices.Contains(schema.Kinds, schema.Kind(kind)) {
				return cli.Usagef("--kind %q is not a kind of refusal; the kinds are %v", kind, schema.Kinds)
			}
			return a.oneEntity(c.Context(), args[0], func(m *operate.Operator) error {
				return a.policyPreview(c.Context(), m, args[0], change, schema.Kind(kind), against)
			})
		},
	}
	f.flags(c)
	c.Flags().StringVar(&kind, "kind", "", "the schedule of this kind of refusal alone")
	c.Flags().StringVar(&against, "against", "", "what it would do to the records of this `ENTITY` that wait now")
	return a.WithJSON(c)
}

func (a *app) policyPreview(ctx context.Context, m *operate.Operator, entity string, change operate.PolicyChange,
	kind schema.Kind, against string) error {
	current, err := m.Policy(ctx, entity)
	if err != nil {
		return err
	}
	policy, err := change.Apply(current.Policy)
	if err != nil {
		return err
	}
	preview := web.PreviewOf(policy, kind)
	if against != "" {
		effect, err := m.Effect(ctx, against, policy)
		if errors.Is(err, schema.ErrUnknownEntity) {
			return cli.Usagef("--against: %v", err)
		}
		if err != nil {
			return err
		}
		preview.Effect = web.EffectOf(against, effect)
	}
	if a.JSON {
		return a.PrintJSON(preview)
	}
	for i, s := range preview.Schedules {
		if i > 0 {
			fmt.Fprintln(a.Out)
		}
		if err := a.printSchedule(s); err != nil {
			return err
		}
	}
	return a.printEffect(preview.Effect)
}

func (a *app) printSchedule(s web.Schedule) error {
	name := "every kind without settings of its own"
	if s.Kind != nil {
		name = string(*s.Kind)
	}
	fmt.Fprintf(a.Out, "%s:\n", name)
	rows := [][]string{{"attempt", "after the one before", "after the first"}}
	for _, step := range s.Steps {
		rows = append(rows, []string{strconv.Itoa(step.Attempt), span(step.DelayLow, step.DelayHigh),
			span(step.Low, step.High)})
	}
	if err := cli.Table(a.Out, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.Out, "dead after %s, in %s\n", cli.Count(len(s.Steps), "attempt", "attempts"),
		span(s.Low, s.High))
	return err
}

// span prints a range of seconds for people.
func span(low, high float64) string {
	if low == high {
		return inWords(high)
	}
	return inWords(low) + " to " + inWords(high)
}

func inWords(seconds float64) string {
	d := time.Duration(seconds * float64(time.Second))
	if d >= time.Minute {
		return text.Setting(d.Round(time.Second))
	}
	return text.Setting(d.Round(time.Millisecond))
}

func (a *app) printEffect(e *web.Effect) error {
	if e == nil {
		return nil
	}
	fmt.Fprintf(a.Out, "\nof %s of %s that wait now, %s would be tried sooner and %s later;\n%s would be dead at the next refusal",
		cli.Count(e.Waiting, "record", "records"), e.Entity, cli.Thousands(e.Sooner), cli.Thousands(e.Later), cli.Thousands(e.Die))
	if e.First != nil {
		fmt.Fprintf(a.Out, "; the next attempts would be from %s to %s", cli.Moment(*e.First), cli.Moment(*e.Last))
	}
	_, err := fmt.Fprintln(a.Out)
	return err
}
