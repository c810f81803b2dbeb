package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kernel"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/cli"
	"lqosd/internal/host"
	"lqosd/internal/skeleton"
	"lqosd/xdp"
)

// daemon is what the requests of all connections are answered from.
type daemon struct {
	settings settings
	log      *slog.Logger
	host     host.Host
	started  time.Time
	ending   <-chan struct{} // closed when nothing more is taken
	access   access
	server   *bus.Server
	tc       *tcFile        // nil in apply mode
	kernel   *kernel.Kernel // nil in file mode
	plane    *xdp.Plane     // nil: there is none, and noPlane says why
	noPlane  string
	layouts  chan xdp.Layout // where plane is wanted; capacity 1, the newest replaces one that waits

	bakery     *bakery.Handle // nil: it failed to start, and bakeryErr says why
	bakeryErr  error
	open       func(dir string, o eventlog.Options) (*eventlog.Log, error)
	eventlog   atomic.Pointer[eventlog.Log]
	queueCount atomic.Pointer[queueCount]
	batches    *batches
	copies     atomic.Int32 // of the log, of all connections

	mu        sync.Mutex
	preflight *preflight // the newest BakeryReportPreflight
}

type queueCount struct {
	Queues int    `json:"per_direction"`
	Reason string `json:"reason"`
}

// serve runs the daemon until ctx ends: checks, then the dataplane, then the bakery, then
// the bus.
func serve(ctx context.Context, f serveFlags, log *slog.Logger) error {
	s, err := loadSettings(f, log)
	if err != nil {
		return err
	}
	d := &daemon{settings: s, log: log, host: thisHost(), started: time.Now(), ending: ctx.Done(), layouts: make(chan xdp.Layout, 1), batches: newBatches(),
		open: f.openLog}
	if d.open == nil {
		d.open = eventlog.Open
	}
	listener, err := d.check()
	if err != nil {
		return err
	}
	defer d.closeOutput()
	if err := d.openDataplane(ctx); err != nil {
		return errors.Join(err, listener.Close())
	}

	// The bakery outlives the bus: what was submitted is answered first.
	bakeryCtx, stopBakery := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBakery()
	planeEnded := d.runDataplane(bakeryCtx)
	if err := d.startBakery(bakeryCtx); err != nil {
		stopBakery()
		<-planeEnded
		return errors.Join(err, listener.Close())
	}
	limitMemory()
	d.server = bus.NewServer(busLimits(bus.Options{Accept: d.accept, Log: log}))
	log.Info("serving", "version", version, "mode", s.Bakery.Mode, "socket", s.Bakery.Socket,
		"state_dir", s.Bakery.StateDirectory, "tc_file", s.tcPath, "pid", os.Getpid())
	err = d.serveBus(ctx, listener)
	stopBakery()
	if d.bakery != nil {
		<-d.bakery.Done()
	}
	<-planeEnded
	log.Info("stopped")
	return err
}

// serveBus serves until ctx ends, and keeps the service manager informed.
func (d *daemon) serveBus(ctx context.Context, l net.Listener) error {
	living, end := context.WithCancel(ctx)
	var watchdog sync.WaitGroup
	watchdog.Go(func() { d.live(living) })
	d.notify("READY=1")
	err := d.server.Serve(ctx, l)
	d.notify("STOPPING=1")
	end()
	watchdog.Wait()
	return err
}

// check makes sure of everything that can be known before anything is changed, and
// takes the socket: a second daemon ends here.
func (d *daemon) check() (net.Listener, error) {
	s := d.settings
	if err := d.openKernel(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(s.Bakery.StateDirectory, 0o755); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	c, why := skeleton.Of(s.Config, d.host)
	d.queueCount.Store(&queueCount{c.Queues, why})
	d.access = newAccess(s.Bakery.SocketGroup, s.Bakery.ReadGroup)
	d.warnOfGroups()
	if s.configPath == "" {
		if err := os.MkdirAll(s.LqosDirectory, 0o755); err != nil {
			return nil, fmt.Errorf("tc file: %w", err)
		}
	}
	err := d.checkDirectories()
	if err != nil {
		d.closeOutput()
		return nil, err
	}
	if d.kernel == nil {
		if d.tc, err = openTCFile(s.tcPath); err != nil {
			return nil, err
		}
	}
	listener, err := d.listen()
	if err != nil {
		d.closeOutput()
		return nil, err
	}
	return listener, nil
}

// listen takes the socket that the service manager passes, or makes one.
func (d *daemon) listen() (net.Listener, error) {
	if l, err := passedListener(); l != nil || err != nil {
		return l, err
	}
	b := d.settings.Bakery
	listen := bus.ListenOptions{Group: b.SocketGroup}
	if d.access.hasRead {
		// A file has one group: readers get past the mode, and accept looks at them.
		listen.Mode = 0o666
	}
	return bus.Listen(b.Socket, listen)
}

// closeOutput closes what the mode writes to.
func (d *daemon) closeOutput() {
	if d.tc != nil {
		_ = d.tc.Close()
	}
	if d.kernel != nil {
		_ = d.kernel.Close()
	}
	if d.plane != nil {
		_ = d.plane.Close()
	}
}

// warnOfGroups says which of the configured groups this host doesn't have.
func (d *daemon) warnOfGroups() {
	b := d.settings.Bakery
	if b.SocketGroup != "" && !d.access.hasCmd {
		d.log.Info("there is no such group: only root and this daemon's user may send commands", "socket_group", b.SocketGroup)
	}
	if b.ReadGroup != "" && !d.access.hasRead {
		d.log.Warn("there is no such group: nobody is let in to read alone", "read_group", b.ReadGroup)
	}
}

// startBakery starts the bakery. One that fails is logged, and the daemon goes on
// without it; only a log or a tc file that another daemon has ends this one.
func (d *daemon) startBakery(ctx context.Context) error {
	s := d.settings.Bakery
	collectAsUsual := cli.CollectLess() // while the log is folded
	defer collectAsUsual()
	h, err := bakery.Start(ctx, d.applyOptions(bakery.Options{
		OpenLog: d.openLog,
		Setup:   d.readSetup,
		Now:     time.Now,
		Retain: bakery.Retention{MaxAge: time.Duration(s.RetainDays) * 24 * time.Hour,
			Generations: uint64(s.RetainGenerations)},
		Logger: d.log,
	}))
	var held *eventlog.HeldError
	switch {
	case errors.As(err, &held), errors.Is(err, errTCFileTaken):
		return err
	case err != nil:
		err = d.adviseSalvage(err)
		d.log.Error("the bakery didn't start; commands are refused", "err", err)
		d.bakeryErr = err
	default:
		d.bakery = h
	}
	return nil
}

// adviseSalvage says what to do about a damaged log. Nothing in it was changed.
func (d *daemon) adviseSalvage(err error) error {
	if !errors.Is(err, eventlog.ErrCorrupt) {
		return err
	}
	dir := d.logDir()
	return fmt.Errorf("%w; it is left as it is: bakery-replay salvage %s -o %s.salvaged makes a whole log of what is good; start lqosd again with that in its place", err, dir, dir)
}

func (d *daemon) openLog() (bakery.Log, error) {
	boot, err := d.host.BootID()
	if err != nil {
		d.log.Warn("no boot id", "err", err)
	}
	l, err := d.open(d.logDir(), eventlog.Options{
		Holder:    eventlog.Holder{PID: os.Getpid(), Version: version, Bus: absolute(d.settings.Bakery.Socket), Since: d.started},
		BootID:    boot,
		Clock:     time.Now,
		MustExist: d.eventlog.Load() != nil, // opened again: a log that is gone is no new log
	})
	if err != nil {
		return nil, err
	}
	if d.eventlog.Swap(l) == nil { // the first time: the log is ours, and so are the files
		err := d.removeCopies()
		if d.tc != nil {
			err = errors.Join(err, d.tc.Begin())
		}
		if err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// removeCopies removes the copies of the log that a killed daemon left.
func (d *daemon) removeCopies() error {
	left, err := filepath.Glob(filepath.Join(d.settings.Bakery.StateDirectory, copyPrefix+"*"))
	for _, dir := range left {
		err = errors.Join(err, os.RemoveAll(dir))
	}
	return err
}

func (d *daemon) logDir() string {
	return filepath.Join(absolute(d.settings.Bakery.StateDirectory), "eventlog")
}

// readSetup reads the configuration again: an edited file counts from the next
// MqSetup or batch on that is accepted.
func (d *daemon) readSetup() (bakery.Setup, error) {
	c, err := d.settings.reread()
	if err != nil {
		return bakery.Setup{}, err
	}
	s, why := skeleton.Of(c, d.host)
	if d.kernel != nil {
		s.TxQueues = d.host.MadeTxQueues(s.Links()...)
	}
	s.Adopted = func() {
		d.moveDataplane(c)
		d.queueCount.Store(&queueCount{s.Queues, why})
	}
	return s, nil
}

// accept makes the connection of a peer that may speak.
func (d *daemon) accept(p bus.Peer) (bus.Conn, error) {
	right := d.access.of(p)
	if right == mayNothing {
		return nil, fmt.Errorf("uid %d, gid %d is neither root nor in group %s", p.UID, p.GID, d.settings.Bakery.SocketGroup)
	}
	return &conn{d: d, peer: p, right: right}, nil
}
