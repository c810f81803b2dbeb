package bakery

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"lqosd/eventlog"
)

// TestOutageSaysNewReasons: another reason is said as well; the same one with another offset isn't.
func TestOutageSaysNewReasons(t *testing.T) {
	var said bytes.Buffer
	o := outage{log: slog.New(slog.NewTextHandler(&said, nil))}
	full, broken := errors.New("no space left on device"), errors.New("input/output error")
	at := time.Unix(1700000000, 0)
	for i, why := range []error{full, full, full, broken, broken, full} {
		err := fmt.Errorf("committing: %w: %w", eventlog.ErrUnknownOutcome, fmt.Errorf("write page %d: %w", i, why))
		o.failed(err, at)
		o.reopened(7)
		o.answered([]Outcome{{Err: err}, {}, {Err: ErrLogUnavailable}, {Err: errors.New("no such parent")}})
	}
	o.over(at.Add(time.Minute))
	o.over(at.Add(time.Hour))
	o.reopened(7)
	o.failed(full, at)
	text := said.String()
	for what, want := range map[string]int{"the event log failed": 4, "no space left": 3, "input/output": 1, "opened again": 2,
		"takes records again\" after=1m0s failures=6 commands_refused=12": 1} {
		if got := strings.Count(text, what); got != want {
			t.Errorf("%q is said %d times, want %d", what, got, want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
