package refused

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/internal/operate/web"
	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// listFlags are the flags of dead list.
type listFlags struct {
	deadFilter
	group bool
	csv   bool
	limit int
	after int64
}

func (a *app) deadListCommand() *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List dead letters, or count them by error",
		Long: "Lists dead letters, the newest first: those that wait for an operator, unless --state says\n" +
			"otherwise. With --group it counts them by entity and error. --limit 0 lists all.",
		Example: "  afterwrite dead list --group\n  afterwrite dead list --entity user --since 2h\n  afterwrite dead list --limit 0 --csv > dead.csv",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.deadList(c.Context(), f) },
	}
	f.flags(c)
	flags := c.Flags()
	flags.StringVar(&f.State, "state", "", strings.Join(web.States, ", ")+" (default waiting)")
	flags.BoolVar(&f.group, "group", false, "count by entity and error")
	flags.BoolVar(&f.csv, "csv", false, "print CSV")
	flags.IntVar(&f.limit, "limit", web.DefaultLimit, "letters, or groups, at most; 0 for all")
	flags.Int64Var(&f.after, "after", 0, "go on after the letter of this `NUMBER`")
	return a.WithJSON(c)
}

func (a *app) deadList(ctx context.Context, f listFlags) error {
	if f.csv && a.JSON {
		return cli.Usagef("give --csv or --json, not both")
	}
	if f.limit < 0 {
		return cli.Usagef("--limit must not be negative")
	}
	if f.after < 0 {
		return cli.Usagef("--after must be the number of a dead letter")
	}
	return a.OperateStored(ctx, func(p *cli.Parts, m *operate.Operator) error {
		filter, err := f.selected(ctx, p.Config, m)
		if err != nil {
			return err
		}
		if f.group {
			return a.listGroups(ctx, p, m, filter, f)
		}
		return a.listLetters(ctx, p, m, filter, f)
	})
}

func (a *app) listGroups(ctx context.Context, p *cli.Parts, m *operate.Operator, filter ledger.LetterFilter,
	f listFlags) error {
	limit := f.limit
	if limit == 0 {
		limit = store.MaxListLimit
	}
	groups, err := m.Groups(ctx, filter, limit)
	if err != nil {
		return err
	}
	views := make([]web.Group, len(groups))
	rows := [][]string{{"count", "entity", "kind", "constraint", "first", "last", "message"}}
	for i, g := range groups {
		v := web.GroupOf(g, entityNamed(p.Config, g.Entity))
		views[i] = v
		rows = append(rows, []string{strconv.Itoa(v.Count), v.Entity, string(v.Error.Kind),
			cli.OrDash(v.Error.Constraint), cli.Moment(v.First), cli.Moment(v.Last), v.Error.Message})
	}
	switch {
	case a.JSON:
		return a.PrintJSON(map[string]any{"groups": views})
	case f.csv:
		for i, v := range views {
			rows[i+1][3], rows[i+1][4], rows[i+1][5] = orEmpty(v.Error.Constraint), v.First.Format(time.RFC3339Nano),
				v.Last.Format(time.RFC3339Nano)
		}
		return a.printCSV(rows)
	}
	return cli.Table(a.Out, rows)
}

// letterRow is one letter of a list, in columns.
func letterRow(l web.Letter) []string {
	return []string{strconv.FormatInt(l.Number, 10), l.Entity, string(l.ID), l.Version.String(), l.State,
		string(l.Error.Kind),
		cli.OrDash(l.Error.Constraint), strconv.Itoa(l.Attempts), cli.Moment(l.DiedAt), l.Error.Message}
}

var letterColumns = []string{"number", "entity", "id", "version", "state", "kind", "constraint", "attempts", "died",
	"message"}

// listLetters prints page after page: however many there are, few are in memory.
func (a *app) listLetters(ctx context.Context, p *cli.Parts, m *operate.Operator, filter ledger.LetterFilter,
	f listFlags) error {
	total, err := m.Count(ctx, filter)
	if err != nil {
		return err
	}
	out := a.letterPrinter(f)
	shown, after := 0, f.after
	for f.limit == 0 || shown < f.limit {
		page := 500
		if f.limit > 0 {
			page = min(page, f.limit-shown)
		}
		letters, err := m.List(ctx, filter, after, page)
		if err != nil {
			return err
		}
		if len(letters) == 0 {
			break
		}
		views := make([]web.Letter, len(letters))
		for i, l := range letters {
			views[i] = web.LetterOf(l, entityNamed(p.Config, l.Entity), web.Form{})
		}
		if err := out.page(views); err != nil {
			return err
		}
		shown, after = shown+len(letters), letters[len(letters)-1].Number
		if len(letters) < page {
			break
		}
	}
	if err := out.end(); err != nil {
		return err
	}
	if !f.csv && !a.JSON && total > 0 {
		a.tellShown(shown, total, f.limit, after)
	}
	return nil
}

// tellShown says how many letters were shown, and how to go on where the limit ended them.
func (a *app) tellShown(shown, total, limit int, after int64) {
	fmt.Fprintf(a.Err, "%s of %s shown.", cli.Thousands(shown), cli.Count(total, "dead letter", "dead letters"))
	if shown == limit && shown < total {
		fmt.Fprintf(a.Err, " Go on with --after %d, or see all with --limit 0.", after)
	}
	fmt.Fprintln(a.Err)
}

// letterPrinter prints pages of letters in the form that the flags ask for.
type letterPrinter struct {
	page func([]web.Letter) error
	end  func() error
}

func (a *app) letterPrinter(f listFlags) letterPrinter {
	switch {
	case a.JSON:
		all := []web.Letter{}
		return letterPrinter{func(page []web.Letter) error { all = append(all, page...); return nil },
			func() error { return a.PrintJSON(map[string]any{"letters": all}) }}
	case f.csv:
		w := csv.NewWriter(a.Out)
		_ = w.Write(letterColumns) // the error is Flush's
		return letterPrinter{func(page []web.Letter) error {
			for _, l := range page {
				row := letterRow(l)
				row[2], row[6], row[8] = plain(l.ID), orEmpty(l.Error.Constraint), l.DiedAt.Format(time.RFC3339Nano)
				_ = w.Write(a.TerminalSafe(text.Cells(row))) // the error is Flush's
			}
			w.Flush()
			return w.Error()
		}, func() error { w.Flush(); return w.Error() }}
	}
	rows := [][]string{letterColumns}
	return letterPrinter{func(page []web.Letter) error {
		for _, l := range page {
			rows = append(rows, letterRow(l))
		}
		return nil
	}, func() error { return cli.Table(a.Out, rows) }}
}

func (a *app) printCSV(rows [][]string) error {
	w := csv.NewWriter(a.Out)
	for _, row := range rows {
		_ = w.Write(a.TerminalSafe(text.Cells(row))) // the error is Flush's
	}
	w.Flush()
	return w.Error()
}

// plain is an id as it is, for machines; a table shows it as JSON, which tells where it
// ends.
func plain(id json.RawMessage) string {
	var text string
	if json.Unmarshal(id, &text) != nil {
		return string(id) // a number
	}
	return text
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
