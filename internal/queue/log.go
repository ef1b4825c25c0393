package queue

import (
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// asynqLog passes asynq's own messages on. What is an event to asynq, such as its
// start, is a detail here; its fatal messages are errors, because whether to end the
// process is not its decision. While Redis is away asynq complains at every poll: a
// message of one opening is passed on once in a while only.
type asynqLog struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time // by opening of the message: when it was passed on
}

const (
	quiet    = 10 * time.Second // between messages of one opening
	opening  = 24               // bytes that tell asynq's messages apart
	openings = 100              // bound of last
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

// due reports whether a message of that opening may be passed on, and takes note.
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
