package cli

import (
	"io"
	"os"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"
)

// Bar shows progress on a terminal, and nothing elsewhere.
type Bar struct {
	p *mpb.Progress
	b *mpb.Bar
}

// NewBar begins a bar for total things; what names them.
func NewBar(w io.Writer, total int, what string) Bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return Bar{}
	}
	p := mpb.New(mpb.WithOutput(f), mpb.WithWidth(40))
	return Bar{p, p.AddBar(int64(total), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.CountersNoUnit("%d / %d "+what+" ")),
		mpb.AppendDecorators(decor.Percentage()))}
}

// Add counts n more.
func (b Bar) Add(n int) {
	if b.b != nil {
		b.b.IncrBy(n)
	}
}

// End takes the bar away.
func (b Bar) End() {
	if b.b != nil {
		b.b.Abort(true)
		b.p.Wait()
	}
}
