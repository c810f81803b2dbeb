package cli

import (
	"io"
	"os"
	"sync"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// BarAfter is how long something takes before it gets a bar. Tests have less patience.
var BarAfter = time.Second

// Bar shows progress on a terminal of what takes longer than BarAfter, and nothing elsewhere. Any goroutine may use it.
type Bar struct {
	file *os.File // nil: no terminal
	what string

	mu          sync.Mutex
	begun       time.Time
	rested      time.Time // when all was done; zero: something is going on
	done, total int64
	ended       bool
	p           *mpb.Progress // nil: nothing is shown
	b           *mpb.Bar
}

// NewBar begins a bar for total things; what names them.
func NewBar(w io.Writer, total int, what string) *Bar {
	f, ok := File(w)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		f = nil
	}
	return &Bar{file: f, what: what, begun: time.Now(), total: int64(total)}
}

// Add counts n more.
func (b *Bar) Add(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done += int64(n)
	b.show()
}

// Set says how many are done, of how many. When all are, the bar goes away, and comes back when what begins then takes long.
func (b *Bar) Set(done, total uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if done >= total {
		b.hide()
		b.rested = time.Now()
		return
	}
	if !b.rested.IsZero() && time.Since(b.rested) > BarAfter/2 { // this is another thing, not its next part
		b.begun = time.Now()
	}
	b.rested = time.Time{}
	b.done, b.total = int64(done), int64(total)
	b.show()
}

// show draws, if it is time.
func (b *Bar) show() {
	if b.file == nil || b.ended || time.Since(b.begun) < BarAfter {
		return
	}
	if b.p == nil {
		b.p = mpb.New(mpb.WithOutput(b.file), mpb.WithWidth(40))
		b.b = b.p.AddBar(0, // its end is told, not counted
			mpb.PrependDecorators(decor.CountersNoUnit("%d / %d "+b.what+" ")),
			mpb.AppendDecorators(decor.Percentage()))
	}
	b.b.SetTotal(b.total, false)
	b.b.SetCurrent(b.done)
}

func (b *Bar) hide() {
	if b.p != nil {
		b.b.Abort(true)
		b.p.Wait()
		b.p, b.b = nil, nil
	}
}

// End takes the bar away for good.
func (b *Bar) End() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hide()
	b.ended = true
}

// besideBar is stderr: what is written there takes the bar away for a moment, or they would overwrite each other.
type besideBar struct {
	io.Writer
	bar *Bar
}

// Write writes where no bar is.
func (w besideBar) Write(p []byte) (int, error) {
	w.bar.mu.Lock()
	defer w.bar.mu.Unlock()
	w.bar.hide()
	return w.Writer.Write(p)
}
