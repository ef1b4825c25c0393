package bench

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/afterwrite/afterwrite/internal/plan"
)

// PlanSections are the sections that [Report.Plan] takes its rates from.
func PlanSections() []string { return []string{"accept", "http", "rows", "drain"} }

// PlanCallers is the number of callers of the accept section that [Report.Plan] takes its rates from.
const PlanCallers = some

// Plan returns what `afterwrite plan` computes with: the medians of the turns. Those of an incomplete report fail their
// check.
func (r Report) Plan(database string) plan.Rates {
	m := r.Machine
	median := func(section, name string) float64 {
		for _, f := range r.Figures {
			if f.Section == section && f.Name == name {
				return Median(f.of(wayLibrary))
			}
		}
		return 0
	}
	return plan.Rates{
		Machine: strings.Join([]string{fmt.Sprintf("%s, %d processors", cmp.Or(m.CPU, m.System), m.CPUs),
			"Redis " + m.Redis, m.Database}, ", "),
		Database: database,
		Accept:   median("accept", fmt.Sprintf("CPU of Redis a write, callers: %d", PlanCallers)),
		Flush:    median("drain", "CPU of Redis a row"),
		Rows:     median("rows", besideTasks),
		Puts:     median("http", "PUT"),
	}
}
