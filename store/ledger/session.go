package ledger

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/afterwrite/afterwrite/store/internal/kit"
)

// sessionRow is a row of afterwrite_sessions.
type sessionRow struct {
	Token     string `gorm:"primaryKey"`
	Data      []byte
	ExpiresAt time.Time
}

// Sessions keeps the log-ins of the dashboard, as an scs.CtxStore. Tokens must reach it hashed.
type Sessions struct{ ledger *Ledger }

// Sessions returns the store of the dashboard's log-ins.
func (l *Ledger) Sessions() Sessions { return Sessions{l} }

// FindCtx returns the data of a session that has not expired.
func (s Sessions) FindCtx(ctx context.Context, token string) ([]byte, bool, error) {
	var rows []sessionRow
	err := s.ledger.db.Read(ctx).Table("afterwrite_sessions").Where("token = ? AND expires_at > ?", token,
		kit.Instant(time.Now())).Limit(1).Find(&rows).Error
	if err != nil {
		return nil, false, s.ledger.db.Unavailable("find a session", err)
	}
	if len(rows) == 0 {
		return nil, false, nil
	}
	return rows[0].Data, true, nil
}

// CommitCtx writes a session, and deletes those that have expired.
func (s Sessions) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	row := sessionRow{Token: token, Data: data, ExpiresAt: kit.Instant(expiry)}
	return s.ledger.db.Change(ctx, "keep a session", func(db *gorm.DB) error {
		err := db.Exec("DELETE FROM afterwrite_sessions WHERE expires_at <= ?", kit.Instant(time.Now())).Error
		if err != nil {
			return err
		}
		return db.Table("afterwrite_sessions").Clauses(clause.OnConflict{
			Columns:   []clause.Column{{Name: "token"}},
			DoUpdates: clause.AssignmentColumns([]string{"data", "expires_at"}),
		}).Create(&row).Error
	})
}

// DeleteCtx ends a session. Ending a session that does not exist is not an error.
func (s Sessions) DeleteCtx(ctx context.Context, token string) error {
	return s.ledger.db.Change(ctx, "end a session", func(db *gorm.DB) error {
		return db.Exec("DELETE FROM afterwrite_sessions WHERE token = ?", token).Error
	})
}

// Find is FindCtx without a context.
func (s Sessions) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is CommitCtx without a context.
func (s Sessions) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is DeleteCtx without a context.
func (s Sessions) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
