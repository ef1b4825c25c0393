package dashboard

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/internal/health"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Losses acknowledges losses of accepted writes, with the operator's reason.
type Losses interface {
	Losses(ctx context.Context, entities []*schema.Entity) ([]ledger.Loss, error)
	Acknowledge(ctx context.Context, losses []ledger.Loss, reason string, by ledger.Actor) (int, error)
}

// lossRow is an unacknowledged loss, as the overview shows it.
type lossRow struct {
	At     time.Time
	Entity string
	Text   string
}

func lossRows(s *snapshot) []lossRow {
	if s.Deep == nil {
		return nil
	}
	var rows []lossRow
	for _, l := range s.Deep.Losses {
		rows = append(rows, lossRow{l.At, l.Entity, health.LossText(l)})
	}
	return rows
}

// maxReason bounds the bytes of a reason.
const maxReason = 2000

// acknowledge marks the losses of an entity that happened until a time as acknowledged: those
// that the operator has seen.
func (d *dashboard) acknowledge(w http.ResponseWriter, r *http.Request) {
	e := d.entityNamed(r.PostFormValue("entity"))
	reason := strings.TrimSpace(r.PostFormValue("reason"))
	seen, err := time.Parse(time.RFC3339Nano, r.PostFormValue("seen"))
	switch {
	case e == nil:
		d.notFound(w, r)
		return
	case err != nil:
		d.fail(w, r, http.StatusBadRequest, "The form is incomplete: open the overview again.")
		return
	case reason == "" || len(reason) > maxReason:
		d.fail(w, r, http.StatusUnprocessableEntity,
			"Nothing was changed: say in up to 2,000 bytes what was done about the loss. The audit keeps it.")
		return
	}
	open, err := d.Losses.Losses(r.Context(), []*schema.Entity{e})
	var known []ledger.Loss
	for _, l := range open {
		if l.Number == 0 || !l.At.After(seen) {
			known = append(known, l)
		}
	}
	marked := 0
	if err == nil {
		marked, err = d.Losses.Acknowledge(r.Context(), known, reason, who(r).actor())
	}
	if err != nil {
		d.broken(w, r, "acknowledge a loss", err)
		return
	}
	d.depths.forget()
	d.Log.InfoContext(r.Context(), "done by an operator", "action", ledger.LossAcknowledged, "entity", e.Name, "user",
		who(r).Name, "losses", marked)
	said := "acknowledged"
	if marked == 0 {
		said = "same"
	}
	redirect(w, r, "?said="+said)
}
