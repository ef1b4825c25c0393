package queue

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// asynqLog passes on asynq's own messages. What asynq logs as information, such as its start, is a debug message here;
// its fatal messages are errors, because asynq does not decide whether the process ends. While Redis is down asynq
// complains at every poll: of messages that begin alike, one per interval is passed on.
type asynqLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // when a message was last passed on, by its beginning
}

const (
	quiet    = 10 * time.Second // between messages that begin alike
	opening  = 24               // bytes that distinguish asynq's messages
	openings = 100              // bound on last
)

func (l *asynqLog) Debug(...any) {}

func (l *asynqLog) Info(args ...any) { l.log.Debug("asynq", "said", fmt.Sprint(args...)) }

func (l *asynqLog) Warn(args ...any) { l.say(l.log.Warn, args) }

func (l *asynqLog) Error(args ...any) { l.say(l.log.Error, args) }

func (l *asynqLog) Fatal(args ...any) { l.say(l.log.Error, args) }

func (l *asynqLog) say(at func(string, ...any), args []any) {
	said := strings.TrimSpace(fmt.Sprint(args...))
	if l.due(said[:min(len(said), opening)], time.Now()) {
		at("asynq", "said", said)
	}
}

// due reports whether a message with that beginning is to be passed on now, and remembers the time.
func (l *asynqLog) due(open string, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.last[open]) < quiet {
		return false
	}
	if l.last == nil || len(l.last) >= openings {
		l.last = make(map[string]time.Time)
	}
	l.last[open] = now
	return true
}
