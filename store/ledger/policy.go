package ledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// ErrPolicyChanged reports that the policy is not at the version that the caller read: another operator has changed it
// meanwhile.
var ErrPolicyChanged = errors.New("the retry policy was changed meanwhile")

// Policy is one version of an entity's retry policy.
type Policy struct {
	Entity  string
	Version int64 // from 1; 0 is the policy of the configuration
	Policy  schema.RetryPolicy
	Author  string
	Note    string
	SetAt   time.Time
}

// policyRow is a row of afterwrite_policies.
type policyRow struct {
	Entity  string
	Version int64
	Policy  string
	Author  string
	Note    string
	SetAt   time.Time
}

// policyText is a policy as stored, with times in nanoseconds.
type policyText struct {
	MaxAttempts int                                  `json:"max_attempts"`
	Base        time.Duration                        `json:"base"`
	Factor      float64                              `json:"factor"`
	Cap         time.Duration                        `json:"cap"`
	Jitter      schema.Jitter                        `json:"jitter"`
	Timeout     time.Duration                        `json:"timeout"`
	On          map[schema.Kind]schema.RetryOverride `json:"on,omitempty"`
}

func (r policyRow) policy() (Policy, error) {
	var text policyText
	if err := json.Unmarshal([]byte(r.Policy), &text); err != nil {
		return Policy{}, fmt.Errorf("policy %d of %s: %w", r.Version, r.Entity, err)
	}
	return Policy{r.Entity, r.Version, schema.RetryPolicy(text), r.Author, r.Note, r.SetAt.UTC()}, nil
}

// CurrentPolicies returns the active policies by entity. An entity that is absent has the policy of the configuration.
func (l *Ledger) CurrentPolicies(ctx context.Context) (map[string]Policy, error) {
	rows, err := l.policies(l.db.Read(ctx).Where(`version = (SELECT max(version) FROM afterwrite_policies n
		WHERE n.entity = afterwrite_policies.entity)`).Limit(store.MaxListLimit))
	if err != nil {
		return nil, err
	}
	current := make(map[string]Policy, len(rows))
	for _, p := range rows {
		current[p.Entity] = p
	}
	return current, nil
}

// PolicyHistory returns the versions of an entity's policy, the newest first.
func (l *Ledger) PolicyHistory(ctx context.Context, entity string, max int) ([]Policy, error) {
	return l.policies(l.db.Read(ctx).Where("entity = ?", entity).Order("version DESC").Limit(kit.Rows(max)))
}

func (l *Ledger) policies(query *gorm.DB) ([]Policy, error) {
	defer l.db.Metrics.Time("policies")()
	var rows []policyRow
	if err := query.Table("afterwrite_policies").Find(&rows).Error; err != nil {
		return nil, l.db.Unavailable("read retry policies", err)
	}
	policies := make([]Policy, len(rows))
	for i, r := range rows {
		p, err := r.policy()
		if err != nil {
			return nil, err
		}
		policies[i] = p
	}
	return policies, nil
}

// SetPolicy makes p the active policy of an entity, as the version after expected, and audits it. It fails with
// [ErrPolicyChanged] if expected is not the current version (0: no policy was set yet), and with an
// [schema.InvalidError] if the policy is out of bounds.
func (l *Ledger) SetPolicy(ctx context.Context, entity string, expected int64, p schema.RetryPolicy, by Actor,
	note string) (Policy, error) {
	if err := errors.Join(p.Check(), plain("note", note)); err != nil {
		return Policy{}, err
	}
	text, err := json.Marshal(policyText(p))
	if err != nil {
		return Policy{}, fmt.Errorf("set the policy of %s: %w", entity, err)
	}
	row := policyRow{entity, expected + 1, string(text), by.Name, note, kit.Instant(time.Now())}
	err = l.db.Change(ctx, "set the policy of "+entity, func(db *gorm.DB) error { return l.insertPolicy(db, row, by) })
	if err != nil {
		return Policy{}, err
	}
	return row.policy()
}

func (l *Ledger) insertPolicy(db *gorm.DB, row policyRow, by Actor) error {
	var current int64
	err := db.Raw("SELECT coalesce(max(version), 0) FROM afterwrite_policies WHERE entity = ?",
		row.Entity).Scan(&current).Error
	if err != nil {
		return err
	}
	if current != row.Version-1 {
		return &database.OwnError{Err: ErrPolicyChanged}
	}
	err = db.Table("afterwrite_policies").Create(&row).Error
	if r, ok := l.db.Dialect.Classify(err); ok && r.Kind == schema.KindUnique {
		return &database.OwnError{Err: ErrPolicyChanged} // another process set it at the same moment
	}
	if err != nil {
		return err
	}
	detail := map[string]any{"version": row.Version, "note": row.Note, "policy": json.RawMessage(row.Policy)}
	if current > 0 {
		var before string
		err = db.Raw("SELECT policy FROM afterwrite_policies WHERE entity = ? AND version = ?", row.Entity,
			current).Scan(&before).Error
		if err != nil {
			return err
		}
		detail["before"] = json.RawMessage(before)
	}
	return insertAudit(db, AuditEntry{Actor: by, Action: "policy.set", Entity: row.Entity, Detail: detail})
}
