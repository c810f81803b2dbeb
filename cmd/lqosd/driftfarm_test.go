package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bakery"
	"lqosd/bakery/kernel"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/replay/diff"
)

// gatedKernel is the real kernel behind a gate: who meddles closes it, so that no look meets half of what he does. It knows
// which looks are newer than that.
type gatedKernel struct {
	*kernel.Kernel
	gate  sync.RWMutex
	blind func(map[string]tc.Observed) // a control: spoils what is seen
	wrote func()                       // is told of our own changes, by the control

	mu      sync.Mutex
	changed func(link string)
	moment  int                  // counts the times that somebody meddled
	seen    map[string]int       // by link: the moment of the newest look that is over
	ended   map[string]time.Time // when the first look of that moment was over
	looks   int
}

func (k *gatedKernel) Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error) {
	k.gate.RLock()
	defer k.gate.RUnlock()
	k.mu.Lock()
	moment := k.moment
	k.mu.Unlock()
	all, err := k.Kernel.Observe(ctx, links, known)
	if err != nil {
		return all, err
	}
	if k.blind != nil {
		k.blind(all)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looks++
	for _, l := range links {
		if k.seen[l] < moment {
			k.seen[l], k.ended[l] = moment, time.Now()
		}
	}
	return all, nil
}

func (k *gatedKernel) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	k.gate.RLock()
	defer k.gate.RUnlock()
	if k.wrote != nil {
		k.wrote()
	}
	return k.Kernel.Apply(ctx, ops)
}

func (k *gatedKernel) Watch(ctx context.Context, changed func(string)) error {
	k.mu.Lock()
	k.changed = changed
	k.mu.Unlock()
	return k.Kernel.Watch(ctx, changed)
}

// meddle runs what somebody does, between looks, and gives the moment that is over then.
func (k *gatedKernel) meddle(do func() error) (moment int, err error) {
	k.gate.Lock()
	defer k.gate.Unlock()
	err = do()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.moment++
	return k.moment, err
}

// prod makes a link be looked at, as if somebody had changed something.
func (k *gatedKernel) prod(link string) int {
	k.mu.Lock()
	k.moment++
	moment, changed := k.moment, k.changed
	k.mu.Unlock()
	if changed != nil {
		changed(link)
	}
	return moment
}

// looked is when the first look at a link was over that began after a moment.
func (k *gatedKernel) looked(link string, moment int) (time.Time, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended[link], k.seen[link] >= moment
}

// driftFarm is a bakery on links of its own, whose tree and policy change all the time.
type driftFarm struct {
	name  string
	links []string
	grower
	kernel *gatedKernel
	other  *kernel.Kernel // somebody else
	shell  *tcShell
	base   string
	chap   int
	o      bakery.Options
	h      *bakery.Handle
	stop   func()
	socket int // for packets

	deck  []string // of meddlings that are to be tried next
	tally driftTally
}

// farmKinds are the farms of a trial: the links, how many queues each has, and which direction goes where.
var farmKinds = []struct {
	name, down, up string
	queues         int
}{
	{"two links", "v0", "v1", 4},
	{"a stick", "s0", "s0", 8},
	{"tc lines", "l0", "", 4},
}

func newDriftFarm(ctx context.Context, t testing.TB, i int, leafs []func(*grower) string, dice *rand.Rand) *driftFarm {
	t.Helper()
	kind := farmKinds[i]
	f := &driftFarm{name: kind.name, links: slices.Compact([]string{kind.down, kind.up}), base: t.TempDir(),
		grower: grower{Rand: dice, down: kind.down, up: kind.up, leafs: leafs}}
	f.links = slices.DeleteFunc(f.links, func(l string) bool { return l == "" })
	n := fmt.Sprint(kind.queues)
	for _, l := range f.links {
		command(t, "ip", "link", "add", l, "numtxqueues", n, "numrxqueues", n, "type", "veth", "peer", "name", peer(l))
		command(t, "ip", "link", "set", l, "up")
		command(t, "ip", "link", "set", peer(l), "up")
	}
	k, err := kernel.Open()
	if err != nil {
		t.Fatal(err)
	}
	if f.other, err = kernel.Open(); err != nil {
		t.Fatal(err)
	}
	if f.shell, err = startTCShell(ctx); err != nil {
		t.Fatal(err)
	}
	if f.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	f.kernel = &gatedKernel{Kernel: k, seen: map[string]int{}, ended: map[string]time.Time{}}
	t.Cleanup(func() {
		if f.stop != nil {
			f.stop()
		}
		err := errors.Join(f.shell.end(), f.other.Close(), k.Close(), unix.Close(f.socket))
		if err != nil {
			t.Error(err)
		}
		for _, l := range f.links {
			command(t, "ip", "link", "del", l)
		}
	})
	setup := bakery.Setup{DownLink: kind.down, UpLink: kind.up, DownMbps: 1000, UpMbps: 500, SQM: defaultSQM(leafs), Queues: 2}
	if kind.up == "" {
		setup.UpLink = kind.down
	}
	f.o = bakery.Options{Setup: func() (bakery.Setup, error) { return setup, nil }, Now: time.Now, Kernel: f.kernel,
		Settle: time.Millisecond, SettleMax: time.Millisecond, Logger: slog.New(slog.DiscardHandler)}
	return f
}

// chapter begins anew: an empty log, and links with nothing on them.
func (f *driftFarm) chapter(ctx context.Context) error {
	if f.stop != nil {
		f.stop()
	}
	for _, l := range f.links {
		if _, _, err := f.shell.run("qdisc del dev "+l+" root", "qdisc del dev "+l+" clsact"); err != nil {
			return err
		}
	}
	f.chap++
	dir := fmt.Sprintf("%s/%d", f.base, f.chap)
	f.o.OpenLog = func() (bakery.Log, error) {
		return eventlog.Open(dir, eventlog.Options{Clock: time.Now, NoSync: true}) // no power is cut here
	}
	if f.chap > 1 {
		if err := os.RemoveAll(fmt.Sprintf("%s/%d", f.base, f.chap-1)); err != nil {
			return err
		}
	}
	return f.start(ctx)
}

func (f *driftFarm) start(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	h, err := bakery.Start(ctx, f.o)
	if err != nil {
		cancel()
		return err
	}
	f.h, f.stop = h, sync.OnceFunc(func() { cancel(); <-h.Done() })
	return nil
}

// restart ends the bakery, does something, and starts it with a policy.
func (f *driftFarm) restart(ctx context.Context, policy bakery.DriftPolicy, away func() error) error {
	f.stop()
	if err := away(); err != nil {
		return err
	}
	f.o.Drift = policy
	return f.start(ctx)
}

func nothing() error { return nil }

// until polls the status. What it says is that of the links at a moment, or later.
func (f *driftFarm) until(what string, holds func(*bakery.KernelStatus) bool) (*bakery.KernelStatus, error) {
	for deadline := time.Now().Add(patience); ; {
		s := f.h.Kernel()
		if s != nil && holds(s) {
			return s, nil
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%s: %v passed, the status is %+v", what, patience, s)
		}
		<-time.After(time.Millisecond)
	}
}

// digested waits until a look at the links that began after a moment was compared, and all was done that came of it.
func (f *driftFarm) digested(moment int, links ...string) (*bakery.KernelStatus, error) {
	return f.until("a look at what changed", func(s *bakery.KernelStatus) bool {
		for _, l := range links {
			if ended, ok := f.kernel.looked(l, moment); !ok || s.Read.Before(ended) {
				return false
			}
		}
		return s.Phase == bakery.PhaseInSync || s.Phase == bakery.PhaseDiffers
	})
}

// inSync waits until the kernel has what the records ask for, and nothing is open.
func (f *driftFarm) inSync() (*bakery.KernelStatus, error) {
	stays := func(s *bakery.KernelStatus) bool {
		return f.o.Drift == bakery.DriftReport && s.Phase == bakery.PhaseDiffers && s.DriftOpen > 0
	}
	s, err := f.until("in sync", func(s *bakery.KernelStatus) bool {
		return s.Phase == bakery.PhaseInSync && s.DriftOpen == 0 && s.ProblemsTotal == 0 || stays(s)
	})
	if err == nil && stays(s) {
		err = fmt.Errorf("nobody did anything, and %d are open: %q", s.DriftOpen, s.Drift[len(s.Drift)-1].Text)
	}
	return s, err
}

// submit sends commands, and waits until the kernel has them.
func (f *driftFarm) submit(ctx context.Context, commands ...bakery.Command) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticket, err := f.h.Submit(ctx, bakery.Submission{Commands: commands})
	if err != nil {
		return err
	}
	var last eventlog.Seq
	for i, o := range ticket.Wait() {
		if o.Err != nil {
			return fmt.Errorf("%+v: %w", commands[i], o.Err)
		}
		last = o.Seq
	}
	if err := f.h.WaitApplied(ctx, 0, last); err != nil {
		return err
	}
	_, err = f.inSync()
	return err
}

// plant makes a new tree.
func (f *driftFarm) plant(ctx context.Context) (*plantedTree, error) {
	p := f.grow()
	if err := f.submit(ctx, p.commands...); err != nil {
		return nil, fmt.Errorf("planting: %w", err)
	}
	return p, nil
}

func (f *driftFarm) view() (tcView, error) { return f.shell.view(f.links...) }

// live is what bakery-replay diff --live tells.
func (f *driftFarm) live(ctx context.Context) (diff.Report, error) {
	tree, err := f.h.Tree(ctx)
	if err != nil {
		return diff.Report{}, err
	}
	links, err := f.other.Observe(ctx, tree.Links(), nil)
	return diff.CompareKernel(tree.Seq, tree, diff.Live{Host: f.other.Host(), Links: links}), err
}

// traffic sends packets of several sizes over the links.
func (f *driftFarm) traffic(ctx context.Context) error {
	links, err := f.other.Observe(ctx, f.links, nil)
	if err != nil {
		return err
	}
	for _, l := range links {
		for range 10 {
			frame := append([]byte("\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x08\x00"), strings.Repeat("x", 50+f.IntN(1000))...)
			err := unix.Sendto(f.socket, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.Index, Protocol: 0x0008})
			if err != nil && !errors.Is(err, unix.ENOBUFS) {
				return fmt.Errorf("sending a packet: %w", err)
			}
		}
	}
	return nil
}
