package dashboard

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/afterwrite/afterwrite/dashboard/internal/chart"
	"github.com/afterwrite/afterwrite/dashboard/internal/filter"
	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store/ledger"
)

const maxHistory = 50

// policyRow is an entity in the list of policies.
type policyRow struct {
	Entity string
	Policy ledger.Policy
	Dead   string // when a record is given up
}

func (d *dashboard) policies(w http.ResponseWriter, r *http.Request) {
	all, err := d.Letters.Policies(r.Context(), d.Entities...)
	if err != nil {
		d.broken(w, r, "read retry policies", err)
		return
	}
	list := make([]policyRow, len(all))
	for i, p := range all {
		list[i] = policyRow{p.Entity, p, chart.Draw(p.Policy, "").Sentence}
	}
	d.show(w, r, http.StatusOK, "policies", "Retry policies", list)
}

// policyBody is the page of one entity's retry policy.
type policyBody struct {
	Entity  string
	Current ledger.Policy
	Form    []policyInputs // the policy's own settings, then the overrides by kind
	Timeout string
	Note    string
	Jitters []schema.Jitter
	Kinds   []schema.Kind
	Kind    schema.Kind // of the picture; "" for the policy's own
	Picture chart.Policy
	Changes []change // from what is active
	Effect  *operate.Effect
	Edited  bool // the form is not what is active
	History []version
	Tunes   bool
	Error   string
	At      time.Time
}

// policyInputs are the texts of one row of the form.
type policyInputs struct {
	Kind                                   schema.Kind // "" is the policy's own row
	MaxAttempts, Base, Factor, Cap, Jitter string
}

// Prefix begins the names of the row's inputs.
func (in policyInputs) Prefix() string {
	if in.Kind == "" {
		return ""
	}
	return "on." + string(in.Kind) + "."
}

// version is one entry of the history.
type version struct {
	ledger.Policy
	Changes []change // from the version before
	InForce bool
}

type change struct{ Name, Old, New string }

// policy shows the form. Its values may be in the query: then they are previewed.
func (d *dashboard) policy(w http.ResponseWriter, r *http.Request) {
	body, err := d.policyBody(r, r.URL.Query())
	if err != nil {
		d.broken(w, r, "read a retry policy", err)
		return
	}
	d.show(w, r, http.StatusOK, "policy", "Retry policy of "+body.Entity, body)
}

func (d *dashboard) policyBody(r *http.Request, form url.Values) (*policyBody, error) {
	name := r.PathValue("entity")
	current, err := d.Letters.Policy(r.Context(), name)
	if err != nil {
		return nil, err
	}
	body := &policyBody{
		Entity: name, Current: current, Jitters: []schema.Jitter{schema.JitterFull, schema.JitterEqual,
			schema.JitterNone},
		Kinds: schema.Kinds, Tunes: who(r).May(Admin), At: time.Now(), Note: clip(form.Get("note"), filter.MaxText),
	}
	if kind := schema.Kind(form.Get("kind")); slices.Contains(schema.Kinds, kind) {
		body.Kind = kind
	}
	body.fill(texts(current.Policy))
	proposed := current.Policy
	if form.Has("max_attempts") {
		body.fill(func(name string) string { return clip(strings.TrimSpace(form.Get(name)), 40) })
		if proposed, err = body.parse(); err != nil {
			body.Error, proposed = format.Brief(err), current.Policy
		}
	}
	if body.Changes = diff(current.Policy, proposed); len(body.Changes) > 0 {
		body.Edited = true
		effect, err := d.Letters.Effect(r.Context(), name, proposed)
		if err != nil {
			return nil, err
		}
		body.Effect = &effect
	}
	body.Picture = chart.Draw(proposed, body.Kind)
	history, err := d.Letters.PolicyHistory(r.Context(), name, maxHistory)
	for i, p := range history {
		v := version{Policy: p, InForce: p.Version == current.Version}
		if i+1 < len(history) {
			v.Changes = diff(history[i+1].Policy, p.Policy)
		}
		body.History = append(body.History, v)
	}
	return body, err
}

// fill puts the texts of settings into the form.
func (b *policyBody) fill(text func(name string) string) {
	b.Timeout, b.Form = text("timeout"), nil
	for _, kind := range append([]schema.Kind{""}, schema.Kinds...) {
		in := policyInputs{Kind: kind}
		p := in.Prefix()
		in.MaxAttempts, in.Base, in.Factor = text(p+"max_attempts"), text(p+"base"), text(p+"factor")
		in.Cap, in.Jitter = text(p+"cap"), text(p+"jitter")
		b.Form = append(b.Form, in)
	}
}

// texts returns the texts of a policy's settings by the names of the configuration, "" for one that a kind lacks.
func texts(p schema.RetryPolicy) func(name string) string {
	by := map[string]string{}
	for _, s := range operate.Settings(p) {
		by[s.Name] = s.Value
	}
	return func(name string) string { return by[name] }
}

// parse makes a policy of the form. The error names the setting.
func (b *policyBody) parse() (schema.RetryPolicy, error) {
	var all operate.PolicyChange
	for _, in := range b.Form {
		p := in.Prefix()
		all = append(all, operate.Setting{Name: p + "max_attempts", Value: in.MaxAttempts},
			operate.Setting{Name: p + "base", Value: in.Base}, operate.Setting{Name: p + "factor", Value: in.Factor},
			operate.Setting{Name: p + "cap", Value: in.Cap}, operate.Setting{Name: p + "jitter", Value: in.Jitter})
	}
	all = append(all, operate.Setting{Name: "timeout", Value: b.Timeout})
	return all.Apply(schema.RetryPolicy{})
}

// diff lists the settings that differ.
func diff(from, to schema.RetryPolicy) (list []change) {
	for _, d := range operate.Differences(from, to) {
		list = append(list, change{d.Name, blank(d.From), blank(d.To)})
	}
	return list
}

func blank(s string) string {
	if s == "" {
		return "as the policy"
	}
	return s
}

func (d *dashboard) setPolicy(w http.ResponseWriter, r *http.Request) {
	body, err := d.policyBody(r, r.PostForm)
	if err != nil {
		d.broken(w, r, "set a retry policy", err)
		return
	}
	if body.Error != "" {
		d.refusePolicy(w, r, http.StatusUnprocessableEntity, body, body.Error)
		return
	}
	if !body.Edited {
		redirect(w, r, "policies/"+body.Entity+"?said=same")
		return
	}
	seen, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	if err != nil {
		d.fail(w, r, http.StatusBadRequest, "The version that was looked at is missing.")
		return
	}
	if d.production() && r.PostFormValue("typed") != body.Entity {
		d.refusePolicy(w, r, http.StatusUnprocessableEntity, body, fmt.Sprintf("Type %q to confirm.", body.Entity))
		return
	}
	proposed, err := body.parse()
	if err == nil {
		_, err = d.Letters.ReplacePolicy(r.Context(), body.Entity, proposed, seen, who(r).actor(), body.Note)
	}
	d.policySet(w, r, body, err)
}

func (d *dashboard) policySet(w http.ResponseWriter, r *http.Request, body *policyBody, err error) {
	switch {
	case errors.Is(err, ledger.ErrPolicyChanged):
		d.refusePolicy(w, r, http.StatusConflict, body,
			"Another user has changed the policy meanwhile. What is active now is below; your values are in the form.")
	case err != nil:
		d.broken(w, r, "set a retry policy", err)
	default:
		redirect(w, r, "policies/"+body.Entity+"?said=policy")
	}
}

func (d *dashboard) refusePolicy(w http.ResponseWriter, r *http.Request, status int, body *policyBody, why string) {
	body.Error = why
	d.show(w, r, status, "policy", "Retry policy of "+body.Entity, body)
}

func (d *dashboard) rollback(w http.ResponseWriter, r *http.Request) {
	body, err := d.policyBody(r, nil)
	if err != nil {
		d.broken(w, r, "roll a retry policy back", err)
		return
	}
	to, err := strconv.ParseInt(r.PostFormValue("version"), 10, 64)
	seen, seenErr := strconv.ParseInt(r.PostFormValue("seen"), 10, 64)
	if err != nil || seenErr != nil || to < 0 || seen < 0 {
		d.fail(w, r, http.StatusBadRequest, "The version to go back to is missing, or the one that was looked at.")
		return
	}
	_, err = d.Letters.Rollback(r.Context(), body.Entity, to, seen, who(r).actor())
	d.policySet(w, r, body, err)
}
