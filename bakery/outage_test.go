package bakery_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// journal keeps what the bakery logs.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

// lines are those that hold a text.
func (j *journal) lines(text string) (found []string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.b.String()) {
		if strings.Contains(line, text) {
			found = append(found, line)
		}
	}
	return found
}

// TestOutageIsSaidOnce: while the log is full the daemon's own log doesn't grow with every command; when there is room again it says
// how many it was.
func TestOutageIsSaidOnce(t *testing.T) {
	f, j := newFullLog(t, 128<<10), &journal{}
	f.stop()
	f.o.Logger = slog.New(slog.NewTextHandler(j, nil))
	f.start()
	// A session may still find the room that a larger one didn't.
	outages := 1
	for run := 0; run < 20; run++ {
		if f.minor > 5000 {
			t.Fatal("the log isn't full")
		}
		if f.send(1) && run > 0 {
			run, outages = -1, outages+1
		} else if len(f.unknown) == 0 {
			run = -1
		}
	}
	if failed, opened := len(j.lines("level=ERROR")), len(j.lines("opened again")); failed > outages || opened > outages {
		t.Errorf("%d commands were refused in %d outages: %d lines say that the log failed, %d that it is open again",
			len(f.unknown)+len(f.refused), outages, failed, opened)
	}
	f.limit.Store(0)
	f.comesBack()
	total := 0
	for _, line := range j.lines("takes records again") {
		m := regexp.MustCompile(`commands_refused=(\d+)`).FindStringSubmatch(line)
		if m == nil {
			t.Fatal(line)
		}
		n, err := strconv.Atoi(m[1])
		if err != nil {
			t.Fatal(err)
		}
		total += n
	}
	if want := len(f.unknown) + len(f.refused); total != want || want < 20 {
		t.Errorf("%d commands were refused, the log says %d:\n%s", want, total, fmt.Sprint(j.lines("again")))
	}
}
