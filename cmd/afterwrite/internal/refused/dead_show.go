package refused

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/schema"
)

func (a *app) deadShowCommand() *cobra.Command {
	var reveal bool
	c := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show a dead letter beside the database's row",
		Long: "Shows what was refused beside the row in the database, field by field, with the history of\n" +
			"the attempts and what can be done. Fields that differ are marked with *. Fields that the\n" +
			"configuration redacts are hidden unless --reveal is given, which is audited.",
		Example: "  afterwrite dead show 17",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.deadShow(c.Context(), args, reveal) },
	}
	c.Flags().BoolVar(&reveal, "reveal", false, "show redacted fields")
	c.SetFlagErrorFunc(cli.Dashed(notALetter))
	return a.WithJSON(c)
}

func (a *app) deadShow(ctx context.Context, args []string, reveal bool) error {
	numbers, err := letterNumbers(args)
	if err != nil {
		return err
	}
	return a.OperateStored(ctx, func(p *cli.Parts, m *operate.Operator) error {
		view, err := m.Show(ctx, numbers[0])
		if err != nil {
			return fmt.Errorf("dead letter %d: %w", numbers[0], err)
		}
		if reveal {
			if err := m.Reveal(ctx, view.Letter, a.Actor()); err != nil {
				return err
			}
		}
		shown := web.ShownOf(view, entityNamed(p.Config, view.Entity), web.Form{Reveal: reveal})
		if a.JSON {
			return a.PrintJSON(shown)
		}
		return a.printShown(shown)
	})
}

func (a *app) printShown(v web.Shown) error {
	head := [][]string{
		{"number", strconv.FormatInt(v.Number, 10)}, {"entity", v.Entity}, {"id", string(v.ID)},
		{"version", v.Version.String()},
		{"operation", v.Operation}, {"state", v.State}, {"error", string(v.Error.Kind) + ": " + v.Error.Message},
	}
	add := func(name string, value *string) {
		if value != nil {
			head = append(head, []string{name, *value})
		}
	}
	add("constraint", v.Error.Constraint)
	add("column", v.Error.Column)
	head = append(head, []string{"attempts", strconv.Itoa(v.Attempts)}, []string{"accepted", cli.Moment(v.AcceptedAt)},
		[]string{"died", cli.Moment(v.DiedAt)})
	if v.RetriedAt != nil {
		head = append(head, []string{"retried", cli.Moment(*v.RetriedAt)})
	}
	if v.ResolvedAt != nil {
		head = append(head, []string{"resolved", fmt.Sprintf("%s, %s by %s", cli.Moment(*v.ResolvedAt),
			cli.OrDash(v.Resolution), cli.OrDash(v.Resolver))})
	}
	for _, h := range v.History {
		if h.TraceID != "" {
			head = append(head, []string{"trace", h.TraceID}, []string{"request", cmp.Or(h.RequestID, "–")})
		}
	}
	if v.Changed != nil {
		head = append(head, []string{"writes", strings.Join(v.Changed, ", ") + " alone"})
	}
	head = append(head, []string{"record now", recordNow(v)})
	tables := [][][]string{compareRows(v), historyRows(v)}
	if !v.Configured {
		head, tables = append(head, []string{"refused", refusedText(v)}), tables[1:]
	}
	if err := cli.Table(a.Out, head); err != nil {
		return err
	}
	for _, rows := range tables {
		fmt.Fprintln(a.Out)
		if err := cli.Table(a.Out, rows); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(a.Out, "\n%s\n", nextSteps(v))
	return err
}

func recordNow(v web.Shown) string {
	switch {
	case !v.Configured:
		return "not known: its entity is not in the configuration"
	case v.Unknown:
		return "unknown: Redis is not responding"
	case v.Lost:
		return "lost: Redis does not remember that it died, and something newer may have been written since"
	case !v.Record.Cached:
		return "persisted, not cached"
	}
	return fmt.Sprintf("%s, version %s", v.Record.Status, v.Record.Version)
}

// refusedText is what was refused of an entity that is not configured. Which fields it
// redacts is not known, so all are hidden unless they are revealed.
func refusedText(v web.Shown) string {
	switch {
	case v.Operation == "delete":
		return "(deleted)"
	case v.Fields == nil:
		return "hidden; --reveal shows it"
	}
	return string(v.Fields)
}

func compareRows(v web.Shown) [][]string {
	rows := [][]string{{"", "field", "refused", "database"}}
	for _, f := range v.Compare {
		mark := ""
		if f.Differs {
			mark = "*"
		}
		rows = append(rows, []string{mark, f.Name, cli.Shown(string(f.Dead), true, v.Operation == "delete"),
			cli.Shown(string(f.Database), v.Stored, false)})
	}
	return rows
}

func historyRows(v web.Shown) [][]string {
	rows := [][]string{{"attempt", "at", "kind", "worker", "message"}}
	for _, h := range v.History {
		rows = append(rows, []string{strconv.Itoa(h.Number), cli.Moment(h.At), string(h.Kind), h.Worker, h.Message})
	}
	return rows
}

// nextSteps says what can be done with the letter.
func nextSteps(v web.Shown) string {
	switch {
	case v.State == "resolved":
		return "Nothing is left to do: the letter is resolved."
	case !v.Configured:
		return fmt.Sprintf("Nothing can be done while %s is not in the configuration: put it back to retry, edit or discard the letter.", v.Entity)
	case v.Unknown:
		return "What can be done is unknown while Redis is not responding; see `afterwrite doctor`."
	case len(v.Actions) == 0 && v.State == "retrying":
		return "It was retried: it is resolved when it is persisted, or becomes a dead letter again."
	case len(v.Actions) == 0:
		return "Nothing is to be done: the record is no longer dead at this version; the letter is closed by itself."
	}
	lines := []string{"What can be done:"}
	for _, action := range v.Actions {
		line := fmt.Sprintf("  afterwrite dead %s %d", action, v.Number)
		switch action {
		case "restore":
			line = fmt.Sprintf("  afterwrite dead retry %d --restore    to restore it over the database's row",
				v.Number)
		case "retry":
			line += "    once the reason is gone"
		case "edit":
			line += " --set FIELD=JSON"
		case "discard":
			line += "  to keep the database's state"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func (a *app) deadEditCommand() *cobra.Command {
	var set []string
	var file string
	c := &cobra.Command{
		Use:   "edit NUMBER",
		Short: "Write a dead record again with some fields changed",
		Long: "Writes the record of a dead letter again with some fields changed. The changes are validated\n" +
			"like a write, and the letter keeps what was refused. Where a newer write was faster, it\n" +
			"stands and the edit is refused.",
		Example: "  afterwrite dead edit 17 --set 'email=\"ada@example.com\"' --set age=36\n  afterwrite dead edit 17 --file changes.json",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.deadEdit(c.Context(), args, set, file) },
	}
	c.Flags().StringArrayVar(&set, "set", nil, "`FIELD=JSON` to change; may be repeated")
	c.Flags().StringVar(&file, "file", "", "`FILE` with a JSON object of the fields to change, - for standard input")
	c.SetFlagErrorFunc(cli.Dashed(notALetter))
	return a.WithJSON(c)
}

func (a *app) deadEdit(ctx context.Context, args, set []string, file string) error {
	numbers, err := letterNumbers(args)
	if err != nil {
		return err
	}
	changes, err := a.changes(ctx, set, file)
	if err != nil {
		return err
	}
	return a.Operate(ctx, func(p *cli.Parts, m *operate.Operator) error {
		accepted, err := m.Edit(ctx, numbers[0], changes, a.Actor())
		if err != nil {
			return fmt.Errorf("edit of dead letter %d: %w", numbers[0], err)
		}
		return a.PrintResult(web.AcceptedOf(accepted, web.Form{}), "accepted as version %s of %s %s; the letter is resolved\n",
			accepted.Version, accepted.Entity.Name, accepted.Entity.IDText(accepted.ID))
	})
}

// changes reads the fields of an edit, strictly: no field twice.
func (a *app) changes(ctx context.Context, set []string, file string) (schema.Fields, error) {
	if (len(set) > 0) == (file != "") {
		return nil, cli.Usagef("give --set FIELD=JSON, or --file")
	}
	fields := schema.Fields{}
	for _, s := range set {
		name, value, ok := strings.Cut(s, "=")
		if _, again := fields[name]; !ok || again {
			return nil, cli.Usagef("--set %q is not FIELD=JSON, each field once", s)
		}
		if !jsontext.Value(value).IsValid() {
			return nil, cli.Usagef(`--set %s: %q is not JSON; a text is in quotes: --set '%[1]s="…"'`, name, value)
		}
		fields[name] = json.RawMessage(value)
	}
	if file == "" {
		return fields, nil
	}
	text, err := a.ReadAll(ctx, file)
	if err != nil {
		return nil, err
	}
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	values := map[string]json.RawMessage{}
	if !jsontext.Value(text).IsValid() || json.Unmarshal(text, &values) != nil || len(values) == 0 {
		return nil, cli.Usagef("%s is not a JSON object of fields, each once", file)
	}
	for name, value := range values {
		fields[name] = value
	}
	return fields, nil
}
