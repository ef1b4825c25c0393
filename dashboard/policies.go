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
	"github.com/afterwrite/afterwrite/internal/text"
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
	body.fill(current.Policy)
	proposed := current.Policy
	if form.Has("max_attempts") {
		body.take(form)
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

// fill puts a policy into the form.
func (b *policyBody) fill(p schema.RetryPolicy) {
	b.Timeout = text.Setting(p.Timeout)
	b.Form = []policyInputs{{
		MaxAttempts: strconv.Itoa(p.MaxAttempts), Base: text.Setting(p.Base), Factor: factor(p.Factor),
		Cap:    text.Setting(p.Cap),
		Jitter: string(p.Jitter),
	}}
	for _, k := range schema.Kinds {
		o, in := p.On[k], policyInputs{Kind: k}
		set(&in.MaxAttempts, o.MaxAttempts, strconv.Itoa)
		set(&in.Base, o.Base, text.Setting)
		set(&in.Factor, o.Factor, factor)
		set(&in.Cap, o.Cap, text.Setting)
		set(&in.Jitter, o.Jitter, func(j schema.Jitter) string { return string(j) })
		b.Form = append(b.Form, in)
	}
}

func set[T any](at *string, value *T, text func(T) string) {
	if value != nil {
		*at = text(*value)
	}
}

func factor(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// take puts what was typed into the form.
func (b *policyBody) take(form url.Values) {
	get := func(name string) string { return clip(strings.TrimSpace(form.Get(name)), 40) }
	b.Timeout = get("timeout")
	for i := range b.Form {
		in := &b.Form[i]
		p := in.Prefix()
		in.MaxAttempts, in.Base, in.Factor = get(p+"max_attempts"), get(p+"base"), get(p+"factor")
		in.Cap, in.Jitter = get(p+"cap"), get(p+"jitter")
	}
}

// parse makes a policy of the form. The error names the setting.
func (b *policyBody) parse() (schema.RetryPolicy, error) {
	var p schema.RetryPolicy
	for _, in := range b.Form {
		o, err := in.parse()
		if err != nil {
			return p, err
		}
		switch {
		case in.Kind != "" && o != (schema.RetryOverride{}):
			if p.On == nil {
				p.On = map[schema.Kind]schema.RetryOverride{}
			}
			p.On[in.Kind] = o
		case in.Kind != "":
		case o.MaxAttempts == nil || o.Base == nil || o.Factor == nil || o.Cap == nil || o.Jitter == nil:
			return p, schema.Invalid("policy", "needs every setting; those of a kind alone may be empty")
		default:
			p.MaxAttempts, p.Base, p.Factor, p.Cap, p.Jitter = *o.MaxAttempts, *o.Base, *o.Factor, *o.Cap, *o.Jitter
		}
	}
	timeout, err := optional("timeout", b.Timeout, parseDuration)
	if err != nil || timeout == nil {
		return p, errors.Join(err, missing("timeout", timeout))
	}
	p.Timeout = *timeout
	return p, p.Check()
}

func missing(name string, value *time.Duration) error {
	if value != nil {
		return nil
	}
	return schema.Invalid(name, "must be given")
}

func (in policyInputs) parse() (o schema.RetryOverride, err error) {
	p := in.Prefix()
	var all [5]error
	o.MaxAttempts, all[0] = optional(p+"max_attempts", in.MaxAttempts, parseCount)
	o.Base, all[1] = optional(p+"base", in.Base, parseDuration)
	o.Factor, all[2] = optional(p+"factor", in.Factor, parseFactor)
	o.Cap, all[3] = optional(p+"cap", in.Cap, parseDuration)
	o.Jitter, all[4] = optional(p+"jitter", in.Jitter, func(s string) (schema.Jitter, error) {
		return schema.Jitter(s),
			nil
	})
	for _, err := range all {
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

// optional reads one text of the form; an empty one is nil.
func optional[T any](name, text string, parse func(string) (T, error)) (*T, error) {
	if text == "" {
		return nil, nil
	}
	value, err := parse(text)
	if err != nil {
		return nil, schema.Invalid(name, "%v", err)
	}
	return &value, nil
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, errors.New("must be a whole number")
	}
	return n, nil
}

func parseFactor(s string) (float64, error) {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return 0, errors.New("must be a number such as 2 or 1.5")
	}
	return f, nil
}

func parseDuration(s string) (time.Duration, error) {
	t, err := time.ParseDuration(s)
	if err != nil {
		return 0, errors.New("must be a time with its unit, such as 500ms, 10s or 5m")
	}
	return t, nil
}

// texts lists a policy's settings by the names of the configuration.
func texts(p schema.RetryPolicy) []setting {
	list := []setting{
		{"max_attempts", strconv.Itoa(p.MaxAttempts)}, {"base", text.Setting(p.Base)}, {"factor", factor(p.Factor)},
		{"cap", text.Setting(p.Cap)}, {"jitter", string(p.Jitter)}, {"timeout", text.Setting(p.Timeout)},
	}
	var form policyBody
	form.fill(p)
	for _, in := range form.Form[1:] {
		for _, s := range []setting{
			{"max_attempts", in.MaxAttempts}, {"base", in.Base}, {"factor", in.Factor}, {"cap", in.Cap},
			{"jitter", in.Jitter},
		} {
			list = append(list, setting{in.Prefix() + s.Name, s.Value})
		}
	}
	return list
}

// diff lists the settings that differ.
func diff(from, to schema.RetryPolicy) []change {
	before, after := texts(from), texts(to)
	var list []change
	for i := range before {
		if before[i].Value != after[i].Value {
			list = append(list, change{before[i].Name, blank(before[i].Value), blank(after[i].Value)})
		}
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
