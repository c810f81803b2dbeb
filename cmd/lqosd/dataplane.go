package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kernel"
	"lqosd/bus"
	"lqosd/internal/lqosconf"
	"lqosd/xdp"
)

// dataplaneStatus is the dataplane in LqosdStatus.
type dataplaneStatus struct {
	State string `json:"state"` // "running", or why there is none
	*xdp.Status
}

// openDataplane loads the programs and attaches them. A dataplane that can't be had doesn't stop the daemon: what
// reached the links before is shaped by their default classes. One that another daemon has does: both would undo what
// the other does.
func (d *daemon) openDataplane(ctx context.Context) error {
	switch {
	case d.kernel == nil:
		d.noPlane = "file mode"
		return nil
	case d.settings.Bakery.Dataplane == lqosconf.DataplaneOff:
		d.noPlane = "bakery.dataplane is off"
		return d.leaveDataplane()
	}
	if b := d.settings.Bridge; b != nil && b.UseXDPBridge {
		d.log.Warn("bridge.use_xdp_bridge has no effect: lqosd doesn't forward, a Linux bridge or routes have to")
	}
	p, err := xdp.Open(ctx, planeOptions(d.settings, d.log))
	if errors.Is(err, xdp.ErrInUse) {
		return fmt.Errorf("another daemon shapes in this network namespace: %w", err)
	}
	if err != nil {
		d.log.Error("there is no dataplane: packets take the default classes unless something else steers them", "err", err)
		d.noPlane = err.Error()
		return nil
	}
	d.plane = p
	return nil
}

// leaveDataplane removes what a daemon with a dataplane left: its maps would go on steering as they were then.
func (d *daemon) leaveDataplane() error {
	removed, err := xdp.Detach(planeOptions(d.settings, d.log))
	if len(removed) > 0 {
		d.log.Info("bakery.dataplane is off: what an earlier daemon left was removed", "removed", removed)
	}
	if err != nil {
		return fmt.Errorf("bakery.dataplane is off, and what an earlier daemon left can't be removed: %w", err)
	}
	return nil
}

func planeLayout(c lqosconf.Config) xdp.Layout {
	l := xdp.Layout{}
	l.Internet, l.Network = c.Links()
	if s := c.SingleInterface; s != nil {
		l.InternetVLAN, l.NetworkVLAN = uint16(s.InternetVLAN), uint16(s.NetworkVLAN)
	}
	return l
}

// runDataplane keeps the programs attached until ctx ends, and then lets go of them: they stay attached.
func (d *daemon) runDataplane(ctx context.Context) (ended chan struct{}) {
	ended = make(chan struct{})
	if d.plane == nil {
		close(ended)
		return ended
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := d.plane.Run(ctx); err != nil {
			d.log.Error("the dataplane isn't looked after any more", "err", err)
		}
	})
	running.Go(func() { d.followLayouts(ctx, planeLayout(d.settings.Config)) })
	go func() {
		defer close(ended)
		running.Wait()
	}()
	return ended
}

// followLayouts moves the programs to the links that the configuration names. That may take a card seconds, which
// no command has to wait for.
func (d *daemon) followLayouts(ctx context.Context, at xdp.Layout) {
	for {
		select {
		case l := <-d.layouts:
			if l == at {
				continue
			}
			if err := d.plane.SetLayout(ctx, l); err != nil {
				d.log.Error("the dataplane stays on the links that it has", "err", err)
				continue
			}
			at = l
		case <-ctx.Done():
			return
		}
	}
}

// moveDataplane tells where a configuration wants the dataplane. One goroutine calls it.
func (d *daemon) moveDataplane(c lqosconf.Config) {
	select {
	case <-d.layouts:
	default:
	}
	d.layouts <- planeLayout(c)
}

func (d *daemon) dataplaneStatus(ctx context.Context) dataplaneStatus {
	if d.plane == nil {
		return dataplaneStatus{State: "none: " + d.noPlane}
	}
	s, err := d.plane.Status(ctx)
	if err != nil {
		return dataplaneStatus{"running, but " + err.Error(), &s}
	}
	return dataplaneStatus{"running", &s}
}

// clearHotCache makes the cache of addresses forget.
func clearHotCache(_ context.Context, c *conn, _ bus.Request) bus.Reply {
	if c.right < mayCommand {
		return bus.Failf("uid %d may only read", c.peer.UID)
	}
	if c.d.plane == nil {
		return bus.Ack() // nor is there a cache
	}
	if err := c.d.plane.Forget(); err != nil {
		return bus.Fail(err.Error())
	}
	return bus.Ack()
}

// circuitTraffic is what a circuit sent and got, in LqosdTraffic.
type circuitTraffic struct {
	Circuit uint64      `json:"circuit"` // circuit_id of its mappings, or else the circuit_hash of its class
	Name    string      `json:"name"`    // of the class; "" where nobody gave one
	Class   string      `json:"class"`   // that the download takes; "" if no address is mapped any more
	Down    trafficFlow `json:"down"`
	Up      trafficFlow `json:"up"`
}

// trafficFlow is one direction, as it was handed to the classes.
type trafficFlow struct {
	Packets uint64     `json:"packets"`
	Bytes   uint64     `json:"bytes"` // on the wire, without preamble and FCS
	Seen    *time.Time `json:"last_seen"`
}

// circuitsTraffic answers LqosdTraffic.
func circuitsTraffic(ctx context.Context, c *conn, _ bus.Request) bus.Reply {
	if c.d.plane == nil {
		return bus.Fail("there is no dataplane: " + c.d.noPlane)
	}
	t, err := c.tree(ctx)
	if err != nil {
		return bus.Fail(err.Error())
	}
	counted, err := c.d.plane.Traffic(ctx)
	if err != nil {
		return bus.Fail(err.Error())
	}
	circuits := circuitsOf(t)
	list := make([]circuitTraffic, 0, len(counted))
	for _, f := range counted {
		e := circuits[f.Circuit]
		e.Circuit, e.Down, e.Up = f.Circuit, flowOf(f.Down), flowOf(f.Up)
		list = append(list, e)
	}
	return bus.Reply{Name: "LqosdTraffic", Value: list}
}

// circuitsOf names the circuits that have an address.
func circuitsOf(t *bakery.Tree) map[uint64]circuitTraffic {
	circuits := map[uint64]circuitTraffic{}
	links := t.Links()
	for m := range t.Mappings {
		if _, known := circuits[m.Circuit]; known && m.Upload {
			continue
		}
		e := circuitTraffic{Class: m.Handle.String()}
		for _, link := range links {
			if n, ok := t.Note(link, m.Handle); ok && e.Name == "" {
				e.Name = n.Name(m.Handle)
			}
		}
		circuits[m.Circuit] = e
	}
	return circuits
}

func flowOf(f xdp.Flow) trafficFlow {
	r := trafficFlow{Packets: f.Packets, Bytes: f.Bytes}
	if !f.Seen.IsZero() {
		r.Seen = &f.Seen
	}
	return r
}

// planeOptions are those of serve and detach.
func planeOptions(s settings, log *slog.Logger) xdp.Options {
	return xdp.Options{
		Layout: planeLayout(s.Config), BPFFS: s.Bakery.BPFFS, Filters: kernel.EgressFilters{}, Logger: log,
		Mode: planeModes[s.Bakery.Dataplane], Redirect: planeRedirects[s.Bakery.CPURedirect],
	}
}

var (
	planeModes     = map[string]xdp.Mode{lqosconf.DataplaneNative: xdp.Native, lqosconf.DataplaneGeneric: xdp.Generic}
	planeRedirects = map[string]xdp.Redirect{lqosconf.RedirectAlways: xdp.RedirectAlways, lqosconf.RedirectNever: xdp.RedirectNever}
)
