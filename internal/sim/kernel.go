package sim

import (
	"context"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

// kernel is the Fake as one life of the daemon has it: it takes time, and nothing reaches it
// when that life is over.
type kernel struct {
	*kerneltest.Fake
	w *world
	l *life
}

func (k *kernel) wait(ctx context.Context) error {
	time.Sleep(time.Duration(20_000 + k.l.kernelRNG.IntN(400_000)))
	if k.l.dead.Load() {
		return errPower
	}
	return ctx.Err()
}

// Observe implements bakery.Kernel.
func (k *kernel) Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error) {
	if err := k.wait(ctx); err != nil {
		return nil, err
	}
	return k.Fake.Observe(ctx, links, known)
}

// Apply implements bakery.Kernel.
func (k *kernel) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	if k.wait(ctx) != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(ctx)
		cancel()
	}
	k.Fake.Before(func(op tc.Op) { k.w.before(ctx, k.l, op.Line()) })
	defer k.Fake.Before(nil)
	results := k.Fake.Apply(ctx, ops)
	for i, r := range results {
		k.w.trace.add("kernel", "%s%s", mark(r.Err), ops[i].Line())
	}
	return results
}

// Watch implements bakery.Kernel. It begins a moment after the daemon, never before.
func (k *kernel) Watch(ctx context.Context, changed func(link string)) error {
	time.Sleep(3 * time.Microsecond)
	return k.Fake.Watch(ctx, changed)
}

// Execute implements bakery.Kernel.
func (k *kernel) Execute(ctx context.Context, line string) error {
	if err := k.wait(ctx); err != nil {
		return err
	}
	k.w.trace.add("kernel", "execute %s", line)
	return k.Fake.Execute(ctx, line)
}

func mark(err error) string {
	if err != nil {
		return "✗ "
	}
	return ""
}

// plane is the Dataplane as one life of the daemon has it.
type plane struct {
	d *kerneltest.Dataplane
	w *world
	l *life
}

func (p *plane) wait(ctx context.Context) error {
	time.Sleep(time.Duration(10_000 + p.l.kernelRNG.IntN(200_000)))
	if p.l.dead.Load() {
		return errPower
	}
	return ctx.Err()
}

// Steers implements bakery.Dataplane.
func (p *plane) Steers(ctx context.Context) ([]tc.Steer, error) {
	if err := p.wait(ctx); err != nil {
		return nil, err
	}
	return p.d.Steers(ctx)
}

// Steer implements bakery.Dataplane.
func (p *plane) Steer(ctx context.Context, set, drop []tc.Steer) error {
	if err := p.wait(ctx); err != nil {
		return err
	}
	p.d.Before(func(s tc.Steer) { p.w.before(ctx, p.l, "steer "+s.String()) })
	defer p.d.Before(nil)
	err := p.d.Steer(ctx, set, drop)
	p.w.trace.add("plane", "%sset %v, drop %v", mark(err), set, drop)
	return err
}

var _ bakery.Kernel = (*kernel)(nil)

// before is called ahead of everything that is written to kernel and dataplane. The daemon
// may end there, or somebody else may be faster.
func (w *world) before(ctx context.Context, l *life, what string) {
	w.planMu.Lock()
	w.dieIn--
	w.meddleIn--
	die, meddle, line := w.dieIn == 0, w.meddleIn == 0, w.meddleLine
	w.planMu.Unlock()
	if meddle {
		err := w.k.Meddle(line)
		w.trace.add("kernel", "%ssomebody, ahead of %s: %s", mark(err), what, line)
	}
	if die && ctx.Err() == nil {
		w.trace.add("kernel", "the daemon ends ahead of %s", what)
		l.die("")
		<-ctx.Done()
	}
}
