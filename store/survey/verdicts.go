package survey

import (
	"context"
	"fmt"
	"strings"

	"github.com/afterwrite/afterwrite/store/catalog"
)

// Verdict says how one column of an entity's table holds its field. A Verdict without a
// Column is about the whole row.
type Verdict struct {
	Entity string
	Table  string
	catalog.Verdict
}

// String is the verdict as a line of a report.
func (v Verdict) String() string {
	if v.Column == "" {
		return strings.TrimSuffix(fmt.Sprintf("%s: rows %s: %s; %s", v.Table, v.Hold, v.Why, v.Fix), "; ")
	}
	return v.Table + "." + v.Verdict.String()
}

// Verdicts returns one for the key and each field of every entity, in the configuration's
// order. A table or column that a migration would make is exact.
func (s *Survey) Verdicts(ctx context.Context) ([]Verdict, error) {
	var all []Verdict
	for _, t := range s.in.Tables {
		at, err := s.in.DB.Catalog(ctx, t.Name)
		if err != nil {
			return nil, err
		}
		for _, v := range t.Verdicts(at, s.in.DB.Dialect) {
			all = append(all, Verdict{t.Entity.Name, t.Name, v})
		}
	}
	return all, nil
}

// VerdictLines are a report of verdicts: for each table a line with its exact columns, and
// one for each other column.
func VerdictLines(verdicts []Verdict) []string {
	var lines []string
	for len(verdicts) > 0 {
		n := 1
		for n < len(verdicts) && verdicts[n].Entity == verdicts[0].Entity {
			n++
		}
		lines = append(lines, tableLines(verdicts[:n])...)
		verdicts = verdicts[n:]
	}
	return lines
}

func tableLines(verdicts []Verdict) []string {
	var exact, lines []string
	for _, v := range verdicts {
		if v.Hold == catalog.Exact {
			exact = append(exact, v.Column)
		} else {
			lines = append(lines, v.String())
		}
	}
	if len(exact) > 0 {
		lines = append([]string{verdicts[0].Table + ": exact: " + strings.Join(exact, ", ")}, lines...)
	}
	return lines
}
