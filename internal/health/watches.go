package health

import (
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/text"
	"github.com/afterwrite/afterwrite/store/survey"
)

// notesLate is how long a change by another program may wait for a worker.
const notesLate = 10 * time.Second

// watches judges the triggers that note what other programs write, and whether the notes are
// followed.
func (d *Deep) watches(f *findings) {
	if d.WatchesErr != nil {
		f.add("watches", Warning, d.WatchesErr, "see the error", "The watched tables cannot be examined.")
	}
	for _, w := range d.Watches {
		check := WatchCheck(w)
		for _, bad := range []struct {
			names []string
			what  string
		}{{w.Missing, "missing"}, {w.Disabled, "disabled"}, {w.Older, "of an older definition"}} {
			if n := int64(len(bad.names)); n > 0 {
				which := text.Plural(n, "the trigger", text.Number(n)+" triggers")
				f.add(check, Warning, nil, "run `afterwrite migrate`, or stop watching with `afterwrite migrate --unwatch="+
					w.Entity+"`", "%s: %s of %s %s %s (%s): what other programs write is not noticed as it should be.", w.Entity,
					which, w.Table, text.Plural(n, "is", "are"), bad.what, strings.Join(bad.names, ", "))
			}
		}
		if age := time.Since(w.Oldest); w.Waiting > 0 && age > notesLate {
			f.add(check, Warning, nil, "start a worker that has the entity, or see the log of the one that leads",
				"%s: changes of %s %s by other programs wait, the oldest for %s.", w.Entity, Waiting(w),
				text.Plural(w.Waiting, "record", "records"), text.Duration(age))
		}
	}
}

// WatchCheck is the name of the check of a watched table.
func WatchCheck(w survey.Watch) string { return "watch of " + w.Entity }

// Waiting is how many changes wait, as far as they are counted.
func Waiting(w survey.Watch) string {
	if w.Waiting > survey.MaxWaiting {
		return "more than " + text.Number(survey.MaxWaiting)
	}
	return text.Number(w.Waiting)
}
