package xdp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Options say how to open a Plane.
type Options struct {
	Layout Layout
	BPFFS  string // where a bpffs is, or a folder to mount one on; "" finds one that lasts
	Mode   Mode   // of XDP
	// Redirect says whether packets are handed to the CPUs of their classes.
	Redirect Redirect
	Filters  Filters      // for kernels without TCX; nil there means no egress
	Logger   *slog.Logger // nil is silent
}

// Filters attaches programs to egress where the kernel has no TCX (before 6.6): with a clsact
// qdisc and a cls_bpf filter with direct action. Package kernel does it.
type Filters interface {
	// AttachEgress puts the program, a descriptor, in our filter on a link, at once where there is
	// one already, and makes clsact if it is missing.
	AttachEgress(link string, program int, name string) error
	// DetachEgress removes our filter, and clsact if nothing else is in it. Nothing there is no error.
	DetachEgress(link, name string) error
	// Egress is the id of the program in our filter on a link, if it is there.
	Egress(link, name string) (program uint32, there bool, err error)
}

// Plane steers the packets of this network namespace. Its methods may be called from any
// goroutine.
type Plane struct {
	options        Options
	directory      *directory
	objects        objects
	folder         string // of maps, in directory; and in it that of programs
	programsFolder string
	seams          seams
	wrote          atomic.Uint64        // entries of maps
	absent         map[uint64]time.Time // circuits that no steer has, since when; sweep's alone

	using  sync.RWMutex // for what follows: who uses descriptors reads
	closed bool

	steers   atomic.Int64 // how many there were when they were last read; -1 if they weren't
	steering sync.Mutex   // for the content of prefixes and settings
	room     int          // about how many prefixes there are, at least
	lengths  lengths      // of prefixes, that the programs are told of

	attaching sync.Mutex // for what follows
	layout    Layout
	cpus      CPUStatus
	links     map[string]link.Link // that are pinned, by the names of their pins
	attached  map[string]*attached // by link
	noTCX     bool
	moved     bool   // links went out of the layout that may have something of ours yet
	kept      string // why they have, when that was last tried
	unpinned  string // why pins are missing, when that was last tried
}

// seams are what tests change.
type seams struct {
	spec    func() (*ebpf.CollectionSpec, error)
	version int
	moved   map[string]int
	noTCX   bool
	cards   bool // veths count as cards
	lookUp  func(string) (device, error)
	step    func(string) error // is told what Open or Steer has just done; an error stops Open there, as a crash would
}

func defaultSeams() seams {
	return seams{spec: loadBpf, version: layoutVersion, moved: moved, lookUp: lookUp, step: func(string) error { return nil }}
}

// Open takes over what is pinned, or makes it, and attaches the programs to the links of the
// layout that are there. Where the kernel refuses to attach it is no error: Status says it and Run tries again.
// Open stops at no moment what is attached; whatever moment it is killed at, the next one
// completes it.
func Open(ctx context.Context, o Options) (*Plane, error) { return open(ctx, o, defaultSeams()) }

func open(ctx context.Context, o Options, s seams) (*Plane, error) {
	if err := errors.Join(ctx.Err(), o.Layout.check()); err != nil {
		return nil, fmt.Errorf("opening the dataplane: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	p := &Plane{
		options: o, seams: s, layout: o.Layout, noTCX: s.noTCX,
		links: map[string]link.Link{}, attached: map[string]*attached{}, absent: map[uint64]time.Time{},
	}
	p.steers.Store(-1)
	if err := p.open(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("opening the dataplane: %w", err), p.Close())
	}
	return p, nil
}

func (p *Plane) open(ctx context.Context) error {
	_ = rlimit.RemoveMemlock() // for kernels before 5.11; where it is refused, making maps will be
	b, err := newBlueprint(p.seams)
	if err != nil {
		return err
	}
	if p.directory, err = openDirectory(search{explicit: p.options.BPFFS, mount: true}); err != nil {
		return err
	}
	if p.directory.fs.brief != "" {
		p.options.Logger.Warn("programs may not outlive this process", "reason", p.directory.fs.brief)
	}
	p.folder, p.programsFolder = b.maps, b.programs
	p.directory.removeDead(p.options.Logger)
	if p.objects.maps, err = p.directory.openMaps(ctx, b, p.seams.step); err != nil {
		return permission(err)
	}
	if err := p.takeOver(); err != nil {
		return err
	}
	if err := p.seams.step("maps"); err != nil {
		return err
	}
	if p.objects.programs, err = p.directory.openPrograms(b, p.objects.maps, p.seams.step); err != nil {
		return err
	}
	if err := p.seams.step("programs"); err != nil {
		return err
	}
	p.removeOrphans(p.layout)
	if err := p.settle(p.layout); err != nil {
		return err
	}
	if err := p.directory.removeOthers(b); err != nil {
		return err
	}
	return p.seams.step("others removed")
}

// settle tells the programs of a layout, and attaches them.
func (p *Plane) settle(l Layout) error {
	if err := p.configure(l); err != nil {
		return err
	}
	if err := p.seams.step("settings"); err != nil {
		return err
	}
	if err := p.noteLayout(l); err != nil {
		return err
	}
	if err := p.seams.step("layout"); err != nil {
		return err
	}
	p.attaching.Lock()
	defer p.attaching.Unlock()
	p.layout = l
	if err := p.keep(); err != nil {
		return err
	}
	return p.seams.step("attached")
}

// SetLayout moves the programs to other links or VLANs.
func (p *Plane) SetLayout(ctx context.Context, l Layout) error {
	if err := errors.Join(ctx.Err(), l.check()); err != nil {
		return fmt.Errorf("changing the layout: %w", err)
	}
	err := p.during(func() error {
		p.steering.Lock()
		defer p.steering.Unlock()
		return p.settle(l)
	})
	if err != nil {
		return fmt.Errorf("changing the layout: %w", err)
	}
	return nil
}

// during does something unless p is closed, which isn't closed meanwhile. It isn't for use inside of itself.
func (p *Plane) during(do func() error) error {
	p.using.RLock()
	defer p.using.RUnlock()
	if p.closed {
		return fmt.Errorf("the dataplane: %w", os.ErrClosed)
	}
	return do()
}

// Close closes descriptors, when the calls have returned that use them. All stays pinned and attached. Later calls are
// os.ErrClosed, and so is a Run that goes on.
func (p *Plane) Close() error {
	p.using.Lock()
	defer p.using.Unlock()
	if p.closed {
		return nil
	}
	p.closed = true
	errs := []error{p.objects.Close()}
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	if p.directory != nil {
		errs = append(errs, p.directory.Close())
	}
	return errors.Join(errs...)
}
