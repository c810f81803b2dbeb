package bus

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLoggerKeepsLinesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := logger{log: slog.New(slog.NewTextHandler(&out, nil))}
		for range 100 {
			l.warn("refused")
		}
		if got := strings.Count(out.String(), "\n"); got != linesPerSecond {
			t.Errorf("%d lines in a second, want %d", got, linesPerSecond)
		}
		pass(time.Second)
		l.warn("refused")
		if !strings.Contains(out.String(), "suppressed=95") {
			t.Errorf("the last line does not say what was kept back: %s", out.String())
		}
	})
}
