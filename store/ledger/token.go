package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/afterwrite/afterwrite/internal/token"
	"github.com/afterwrite/afterwrite/schema"
	"github.com/afterwrite/afterwrite/store"
	"github.com/afterwrite/afterwrite/store/internal/database"
	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// tokenRow is a row of afterwrite_tokens.
type tokenRow struct {
	Number     int64 `gorm:"->;column:number"`
	Name       string
	Hash       string
	Scopes     string
	CreatedAt  time.Time
	CreatedBy  string
	ExpiresAt  *time.Time
	LastUsedAt *time.Time
	RevokedAt  *time.Time
	RevokedBy  string
}

func (r tokenRow) token() (token.Token, error) {
	t := token.Token{
		Number: r.Number, Name: r.Name, CreatedAt: r.CreatedAt.UTC(), CreatedBy: r.CreatedBy,
		ExpiresAt: timeOrZero(r.ExpiresAt), UsedAt: timeOrZero(r.LastUsedAt),
		RevokedAt: timeOrZero(r.RevokedAt), RevokedBy: r.RevokedBy,
	}
	n, err := hex.Decode(t.Hash[:], []byte(r.Hash))
	if err == nil && n != len(t.Hash) {
		err = errors.New("the hash is too short")
	}
	if err == nil {
		t.Scopes, err = token.ParseScopes(strings.Fields(r.Scopes)...)
	}
	if err != nil {
		return token.Token{}, fmt.Errorf("token %q: %w", r.Name, err)
	}
	return t, nil
}

// LivingTokens returns the tokens that are not revoked, by name, including expired ones. They are at most
// [token.MaxTokens], or a few more if several processes create tokens at the same moment. A row that cannot be decoded,
// for example one of a newer version of the program, is left out: it grants nothing, and does not affect the others.
func (l *Ledger) LivingTokens(ctx context.Context) ([]token.Token, error) {
	rows, err := l.tokenRows(l.db.Read(ctx).Where("revoked_at IS NULL").Order("name"))
	tokens := make([]token.Token, 0, len(rows))
	for _, r := range rows {
		if t, err := r.token(); err == nil {
			tokens = append(tokens, t)
		}
	}
	return tokens, err
}

// Tokens returns living and revoked tokens, the newest first, at most store.MaxListLimit. It fails on a row that cannot
// be decoded, and names it.
func (l *Ledger) Tokens(ctx context.Context) ([]token.Token, error) {
	rows, err := l.tokenRows(l.db.Read(ctx).Order("number DESC").Limit(store.MaxListLimit))
	if err != nil {
		return nil, err
	}
	tokens := make([]token.Token, len(rows))
	for i, r := range rows {
		if tokens[i], err = r.token(); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

func (l *Ledger) tokenRows(query *gorm.DB) ([]tokenRow, error) {
	defer l.db.Metrics.Time("tokens")()
	var rows []tokenRow
	if err := query.Table("afterwrite_tokens").Find(&rows).Error; err != nil {
		return nil, l.db.Unavailable("read tokens", err)
	}
	return rows, nil
}

// NewToken stores a token and audits it. It uses name, hash, scopes and expiry of t. It fails with [token.ErrNameTaken]
// if a living token that has not expired has the name, and with [token.ErrTooMany] beyond [token.MaxTokens].
func (l *Ledger) NewToken(ctx context.Context, t token.Token, by Actor) error {
	now := kit.Instant(time.Now())
	row := tokenRow{
		Name: t.Name, Hash: hex.EncodeToString(t.Hash[:]), Scopes: t.Scopes.String(), CreatedAt: now,
		CreatedBy: by.Name,
	}
	if !t.ExpiresAt.IsZero() {
		at := kit.Instant(t.ExpiresAt)
		row.ExpiresAt = &at
	}
	return l.db.Change(ctx, "make the token "+t.Name, func(db *gorm.DB) error { return l.insertToken(db, row, by) })
}

func (l *Ledger) insertToken(db *gorm.DB, row tokenRow, by Actor) error {
	err := db.Exec(`UPDATE afterwrite_tokens SET revoked_at = expires_at, revoked_by = 'expiry'
		WHERE name = ? AND revoked_at IS NULL AND expires_at <= ?`, row.Name, row.CreatedAt).Error
	if err != nil {
		return err
	}
	var living int
	err = db.Raw("SELECT count(*) FROM afterwrite_tokens WHERE revoked_at IS NULL").Scan(&living).Error
	if err != nil {
		return err
	}
	if living >= token.MaxTokens {
		return &database.OwnError{Err: token.ErrTooMany}
	}
	err = db.Table("afterwrite_tokens").Create(&row).Error
	if r, ok := l.db.Dialect.Classify(err); ok && r.Kind == schema.KindUnique {
		return &database.OwnError{Err: token.ErrNameTaken}
	}
	if err != nil {
		return err
	}
	return insertAudit(db, AuditEntry{Actor: by, Action: "token.new",
		Detail: map[string]any{"name": row.Name, "scopes": row.Scopes, "expires_at": row.ExpiresAt}})
}

// RevokeToken revokes the living token of that name and audits it, or fails with [token.ErrNoSuchName].
func (l *Ledger) RevokeToken(ctx context.Context, name string, by Actor) error {
	return l.db.Change(ctx, "revoke the token "+name, func(db *gorm.DB) error {
		done := db.Exec("UPDATE afterwrite_tokens SET revoked_at = ?, revoked_by = ? WHERE name = ? AND revoked_at IS NULL",
			kit.Instant(time.Now()), by.Name, name)
		if done.Error != nil {
			return done.Error
		}
		if done.RowsAffected == 0 {
			return &database.OwnError{Err: token.ErrNoSuchName}
		}
		return insertAudit(db, AuditEntry{Actor: by, Action: "token.revoke", Detail: map[string]any{"name": name}})
	})
}

// TokensUsed records that tokens were used at a time. Each is written at most once a minute, however many processes
// record it.
func (l *Ledger) TokensUsed(ctx context.Context, numbers []int64, at time.Time) error {
	at = kit.Instant(at)
	return l.db.Change(ctx, fmt.Sprintf("note the use of %d tokens", len(numbers)), func(db *gorm.DB) error {
		return db.Exec(`UPDATE afterwrite_tokens SET last_used_at = ?
			WHERE number IN ? AND (last_used_at IS NULL OR last_used_at <= ?)`, at, numbers, at.Add(-time.Minute)).Error
	})
}
