package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/internal/golden"
	"lqosd/internal/testenv"
)

// TestTrialShutdown cuts ext4 off from its disk while a client plays a network to a daemon that has its log there, mounts it
// again, and starts the next daemon: every acknowledged command is there, and what is beyond is a prefix of what was sent.
func TestTrialShutdown(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) { // whose mounts no other process takes along
		testenv.Need(t, testenv.Ext4, testenv.Strace)
		shutdowns(t)
		shutdownsWithoutSync(t)
	})
}

func shutdowns(t *testing.T) {
	v := newCutVictim(t)
	cuts := testenv.Tries(50, 500)
	for range cuts {
		if err := v.cut(t); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("figure: ext4 cut off | %d cuts, %d with requests on the way, %d before the daemon served; %d records, %d unknown outcomes | 0 faults",
		cuts, v.flying, v.early, v.checked, v.unknown)
	if v.flying < cuts/2 {
		t.Errorf("only %d of %d cuts met requests on the way", v.flying, cuts)
	}
	v.finish(t, v.trace)
}

// shutdownsWithoutSync is the control: a daemon whose fsync does nothing must lose something.
func shutdownsWithoutSync(t *testing.T) {
	v := newCutVictim(t)
	v.under = []string{"strace", "-f", "-qq", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync,fdatasync", "-e", "inject=fsync,fdatasync:retval=0"}
	for i := range 40 {
		if err := v.cut(t); err != nil {
			t.Logf("figure: ext4 cut off, control: fsync does nothing | %d cuts | found out", i+1)
			t.Log(err)
			return
		}
	}
	t.Error("without fsync nothing was lost")
}

// cutWindows are how many requests a client may have on the way.
var cutWindows = []int{8, 64, 512}

// cutVictim is a victim whose log is on a disk of its own.
type cutVictim struct {
	*victim
	trace   []golden.Request
	ids     []string
	disk    *testenv.Ext4Disk
	under   []string // a program that the daemon runs under
	at      int      // in the trace
	unknown int
}

func newCutVictim(t testing.TB) *cutVictim {
	requests := trace(t, "n1000", "trace.jsonl")
	v := &cutVictim{victim: &victim{dice: testenv.Dice(t), model: bakery.NewTree()}, trace: requests,
		ids: identities(t, requests), disk: testenv.NewExt4(t, 64)}
	v.inPlace(t, "n1000")
	if err := os.Symlink(v.disk.Dir, filepath.Join(v.dir, "state")); err != nil {
		t.Fatal(err)
	}
	return v
}

// cut lives one life and cuts the power at the end of it.
func (v *cutVictim) cut(t testing.TB) error {
	l, refused := v.liveUntilCut(t)
	if err := errors.Join(v.disk.Unmount(), v.disk.Mount()); err != nil {
		t.Fatal(err)
	}
	ids, err := v.look()
	if err == nil {
		err = l.check(ids)
	}
	if err != nil {
		return err
	}
	inLog := len(ids)
	if inLog > refused {
		return fmt.Errorf("request %d of this life is in the log, and was refused", refused+1)
	}
	if v.at += inLog; v.at == len(v.trace) {
		v.at = 0
	}
	return nil
}

// liveUntilCut plays requests to a daemon until the disk is cut off and the daemon dead. refused is how many requests were
// sent before the first that was answered with Fail.
func (v *cutVictim) liveUntilCut(t testing.TB) (l life, refused int) {
	size := []int{1, 1, 7, 100}[v.dice.IntN(4)]
	p := play{v: v, size: size, window: cutWindows[v.dice.IntN(len(cutWindows))], flush: v.dice.IntN(3) == 0,
		acks: v.dice.IntN(400), delay: time.Duration(v.dice.IntN(3000)) * time.Microsecond, cutDone: make(chan error, 1)}
	d := v.startUnder(t, v.under...)
	defer d.kill()
	early := v.dice.IntN(10) == 0
	if early {
		p.cutAfter(time.Duration(v.dice.IntN(30)) * time.Millisecond)
	}
	if early || !d.waitServing(t) {
		v.early++
		if err := <-p.cutDone; err != nil {
			t.Fatal(err)
		}
		return life{}, 0
	}
	c, err := bus.Dial(t.Context(), v.socket(), bus.DialOptions{Codec: bus.CBOR})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	l, refused = p.run(t, c)
	if err := <-p.cutDone; err != nil {
		t.Fatal(err)
	}
	return l, refused
}

// session is one session on the way.
type session struct {
	future *bus.Future
	n      int
}

// play is a client that plays until the disk is cut off.
type play struct {
	v            *cutVictim
	size, window int
	acks         int // how many to wait for
	delay        time.Duration
	flush        bool
	cutDone      chan error
	cutting      bool
}

func (p *play) cutAfter(delay time.Duration) {
	p.cutting = true
	time.AfterFunc(delay, func() { p.cutDone <- p.v.disk.Cut(p.flush) })
}

func (p *play) run(t testing.TB, c *bus.Client) (l life, refused int) {
	all := calls(p.v.trace[p.v.at:])
	sessions, sent, stop := make(chan session, p.window/min(p.size, p.window)), make(chan int, 1), make(chan struct{})
	go func() {
		defer close(sessions)
		i := 0
		for i < len(all) {
			n := min(p.size, len(all)-i)
			s := session{c.Go(all[i : i+n]...), n}
			i += n
			select {
			case sessions <- s:
			case <-stop: // it is on its way all the same
				sent <- i
				return
			}
		}
		sent <- i
	}()
	refused, seen, good := len(all), 0, true
	for s := range sessions {
		replies, err := s.future.Wait(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range replies {
			if seen++; r.IsAck() {
				if l.acked++; !good {
					t.Errorf("request %d is acknowledged after one that wasn't", seen)
				}
				continue
			}
			if r.Err() != nil && r.Name == "Fail" {
				refused = min(refused, seen-1)
			} else {
				p.v.unknown++
			}
			if good {
				good = false
				close(stop)
			}
		}
		if !p.cutting && (l.acked > p.acks || seen == len(all)) {
			p.cutAfter(p.delay)
		}
	}
	if !good {
		p.v.flying++
	}
	if !p.cutting {
		t.Error("something was refused before the cut")
		p.cutAfter(0)
	}
	n := <-sent
	l.sent = p.v.ids[p.v.at : p.v.at+n]
	return l, refused
}
