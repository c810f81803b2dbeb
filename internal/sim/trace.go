package sim

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// trace is what happened, in order.
type trace struct {
	mu    sync.Mutex
	began time.Time
	lines []event
	count map[string]int
}

// event is a line of the trace. Those of one moment are in the order of the parts that tell
// them: which of their goroutines ran first means nothing.
type event struct {
	at   time.Duration
	part string
	n    int // of the part
	text string
}

func newTrace() *trace { return &trace{began: time.Now(), count: map[string]int{}} }

func (t *trace) add(part, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count[part]++
	t.lines = append(t.lines, event{time.Since(t.began), part, t.count[part], fmt.Sprintf(format, args...)})
}

// addNth is add for parts whose goroutines are many: n says which one it is.
func (t *trace) addNth(part string, n int, text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, event{time.Since(t.began), part, n, fmt.Sprintf("%d: %s", n, text)})
}

func (t *trace) sorted() []event {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.SortedFunc(slices.Values(t.lines), func(a, b event) int {
		return cmp.Or(cmp.Compare(a.at, b.at), strings.Compare(a.part, b.part), cmp.Compare(a.n, b.n))
	})
}

func (e event) String() string { return fmt.Sprintf("%14.6f %-9s %s", e.at.Seconds(), e.part, e.text) }

// Hash stands for all of the trace.
func (t *trace) hash() string {
	h := sha256.New()
	for _, e := range t.sorted() {
		fmt.Fprintln(h, e)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// tail is its last n lines.
func (t *trace) tail(n int) string {
	lines := t.sorted()
	var b strings.Builder
	for _, e := range lines[max(len(lines)-n, 0):] {
		fmt.Fprintln(&b, e)
	}
	return b.String()
}
