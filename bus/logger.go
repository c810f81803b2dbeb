package bus

import (
	"log/slog"
	"sync"
	"time"
)

// logger passes a few lines a second on, and says how many it kept back. A peer can make the server log; it can't make it
// log without end.
type logger struct {
	log *slog.Logger

	mu         sync.Mutex
	second     time.Time // the start of the second being counted
	lines      int       // in that second
	suppressed int       // since the last line that passed
}

// linesPerSecond is how many lines pass.
const linesPerSecond = 5

func (l *logger) warn(msg string, args ...any) {
	if suppressed, ok := l.pass(time.Now()); ok {
		if suppressed > 0 {
			args = append(args, "suppressed", suppressed)
		}
		l.log.Warn(msg, args...)
	}
}

func (l *logger) pass(now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.second) >= time.Second {
		l.second, l.lines = now, 0
	}
	if l.lines == linesPerSecond {
		l.suppressed++
		return 0, false
	}
	l.lines++
	suppressed, l.suppressed = l.suppressed, 0
	return suppressed, true
}
