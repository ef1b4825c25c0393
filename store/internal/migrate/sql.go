package migrate

import (
	"context"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// SQL returns what Run would send now, one statement or comment each, in
// their order and without semicolons, for teams that change their databases by themselves. It
// changes nothing.
func (m *Migration) SQL(ctx context.Context, want Wanted) ([]string, error) {
	steps, err := m.plan(ctx, want)
	if err != nil {
		return nil, err
	}
	var all []string
	for _, st := range steps {
		comment := "-- " + st.line
		if st.alone {
			comment += ", outside of a transaction"
		}
		all = append(all, comment)
		if st.run == nil {
			continue
		}
		sent := &statementLog{Interface: logger.Discard}
		if err := st.run(m.DB.Reading.ORM.Session(&gorm.Session{NewDB: true, DryRun: true, Context: ctx,
			Logger: sent})); err != nil {
			return nil, fmt.Errorf("%s: %w", st.line, err)
		}
		all = append(all, sent.statements...)
	}
	return all, nil
}

// statementLog keeps the statements that gorm would have sent.
type statementLog struct {
	logger.Interface
	statements []string
}

// LogMode keeps the log.
func (l *statementLog) LogMode(logger.LogLevel) logger.Interface { return l }

// Trace is told of each statement.
func (l *statementLog) Trace(_ context.Context, _ time.Time, statement func() (string, int64), _ error) {
	text, _ := statement()
	l.statements = append(l.statements, strings.TrimSpace(text))
}
