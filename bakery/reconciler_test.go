package bakery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

// TestBuildsAtOnce: on an empty kernel nothing waits.
func TestBuildsAtOnce(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.quiet(time.Second) // which begins with a look at the links
		began := time.Now()
		r.must(smallNetwork()...)
		r.applied()
		if took := time.Since(began); took > 0 {
			t.Errorf("building waited %v", took)
		}
		r.inSync()
		if s := r.h.Kernel(); s.Phase != bakery.PhaseInSync || s.Links[1].Classes != 8 || s.DriftTotal != 0 || s.Applied != 7 {
			t.Errorf("status: %+v", s)
		}
		r.k.Reset()
		r.must(aCircuit("1:3", "5", 11), aCircuit("1:4", "7", 1), aLeaf(7, "cake"))
		r.applied()
		r.wrote("class change dev eth1 parent 1:3 classid 1:5 htb rate 11mbit ceil 11mbit burst 1600b cburst 1600b prio 3 quantum 137500 linklayer ethernet",
			"class add dev eth1 parent 1:4 classid 1:7 htb rate 1mbit ceil 1mbit burst 1600b cburst 1600b prio 3 quantum 12500 linklayer ethernet",
			"qdisc add dev eth1 parent 1:7 handle "+handleAt(r, 7)+" cake unlimited diffserv3 triple-isolate nonat nowash egress no-ack-filter split-gso rtt 100ms raw noatm overhead 0 mpu 0 memlimit 0b fwmark 0x0")
	})
}

func handleAt(r *applyRig, minor uint16) string {
	q, _ := r.tree().State().Qdisc("eth1", tc.NewHandle(1, minor))
	return q.Handle.String()
}

// TestRefreshWritesNothing: a client tears everything down and sends it again.
func TestRefreshWritesNothing(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.Reset()
		for _, c := range smallNetwork() {
			r.must(c)
			r.quiet(500 * time.Millisecond)
		}
		r.applied()
		r.wrote()
		r.must(bakery.ClearPriorSettings{})
		r.quiet(900 * time.Millisecond)
		if s := r.h.Kernel(); s.Phase != bakery.PhaseSettling || s.Settles == nil {
			t.Errorf("after a reset: %+v", s)
		}
		r.must(bakery.ExecuteTCCommands{Lines: tc.Script(stateOf(t, smallNetwork()))})
		r.applied()
		r.wrote()
		if s := r.h.Kernel(); s.Settles != nil || s.Phase != bakery.PhaseInSync {
			t.Errorf("after the refresh: %+v", s)
		}
		r.inSync()
	})
}

// stateOf is what commands make.
func stateOf(t *testing.T, commands []bakery.Command) *tc.State {
	r := newRig(t, twoLinks)
	defer r.stop()
	r.must(commands...)
	return r.tree().State()
}

// TestSettle: a reset over a live tree waits for a second of quiet, and no longer than ten.
func TestSettle(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.Reset()
		r.must(bakery.ClearPriorSettings{})
		r.quiet(settle - time.Millisecond)
		r.wrote()
		r.quiet(time.Millisecond)
		r.wrote("qdisc delete dev eth0 root handle 7fff:", "qdisc delete dev eth1 root handle 7fff:")
		r.inSync()

		r.must(smallNetwork()...)
		r.applied()
		r.k.Reset()
		began := time.Now()
		r.must(bakery.MqSetup{})
		for r.k.Counts().Ops == 0 {
			r.must(aSite("3", 100))
			r.quiet(settle / 2)
		}
		if took := time.Since(began); took < settleMax || took > settleMax+settle {
			t.Errorf("a stream that never rests was applied after %v", took)
		}
	})
}

// TestMappingsDontDisturb: address mappings keep no reset waiting.
func TestMappingsDontDisturb(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.must(bakery.ClearPriorSettings{})
		for range 4 {
			r.quiet(settle / 2)
			r.must(bakery.DelIPFlow{Address: "100.64.0.1"})
		}
		r.inSync()
	})
}

// TestRestart: a kernel that is as it was gets no write, whether or not the cursor says so.
func TestRestart(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.Reset()
		r.restart()
		r.applied()
		r.wrote()
		r.stop()
		r.k.Reboot()
		r.start()
		r.applied()
		r.inSync()
		if s := r.h.Kernel(); s.DriftTotal != 0 {
			t.Errorf("a rebooted kernel has not drifted: %v", r.drift())
		}
	})
}

// TestDriftWhileAway: what changed while nobody watched is drift, what records asked for
// is not.
func TestDriftWhileAway(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(2 * time.Second) // until the cursor is durable
		r.stop()
		r.meddle("class change dev eth1 classid 1:5 htb rate 1mbit prio 3 quantum 125000")
		r.k.Reset()
		r.start()
		r.applied()
		r.inSync()
		r.drifted("repaired: changed class 1:5 on eth1: rate 10mbit → 1mbit, ceil 10mbit → 1mbit")
		r.wrote("class change dev eth1 parent 1:3 classid 1:5 htb rate 10mbit ceil 10mbit burst 1600b cburst 1600b prio 3 quantum 125000 linklayer ethernet")
	})
}

// TestCrashWhileBuilding kills the bakery after every op of a build.
func TestCrashWhileBuilding(t *testing.T) {
	for n := 0; ; n++ {
		done := false
		inApplyMode(t, func(t *testing.T, r *applyRig) {
			ctx, cancel := context.WithCancel(context.Background())
			ops := 0
			r.k.Before(func(tc.Op) {
				if ops++; ops == n+1 {
					cancel()
				}
			})
			r.stop()
			h, err := bakery.Start(ctx, r.o)
			if err != nil {
				t.Fatal(err)
			}
			ticket, err := h.Submit(context.Background(), bakery.Submission{Commands: smallNetwork()})
			if err != nil {
				t.Fatal(err)
			}
			ticket.Wait()
			<-time.After(time.Minute) // also of one that first gives others a moment
			synctest.Wait()
			done = ops <= n
			cancel()
			<-h.Done()
			r.k.Before(nil)
			r.start()
			r.applied()
			r.inSync()
			if s := r.h.Kernel(); s.DriftTotal != 0 {
				t.Errorf("killed after %d ops: what is not built yet has not drifted: %v", n, r.drift())
			}
		})
		if done || t.Failed() {
			if n < 20 {
				t.Errorf("the build had %d ops", n)
			}
			return
		}
	}
}

// TestRefusedOp: what the kernel refuses is named, tried again, and stops nothing else.
func TestRefusedOp(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.FailWhen(func(op tc.Op) bool { return op.Class != nil && op.Class.ID == tc.NewHandle(1, 3) },
			kerneltest.Errno{Number: 22, Text: "out of luck", Kind: tc.ErrInvalid}, -1)
		r.must(smallNetwork()...)
		err := r.h.WaitApplied(t.Context(), 0, 7)
		if err == nil || !strings.Contains(err.Error(), "out of luck") || !strings.Contains(err.Error(), "class 1:3") {
			t.Fatalf("waiting for what the kernel refuses: %v", err)
		}
		if err := r.h.WaitApplied(t.Context(), 5, 7); err != nil {
			t.Errorf("waiting for what it does not refuse: %v", err)
		}
		s := r.quiet(0)
		if s.Phase != bakery.PhaseDiffers || s.ProblemsTotal != 3 {
			t.Fatalf("status: %+v", s)
		}
		p := s.Problems[0]
		if p.Seq != 2 || p.Object != "class 1:3" || p.Name != "site 7" || p.Tried < 2 || !strings.Contains(p.Op, "class add dev eth1") {
			t.Errorf("problem: %+v", p)
		}
		r.differs(strings.TrimSpace(`
removed class 1:3 on eth1
removed class 1:5 on eth1
removed qdisc ` + handleAt(r, 5) + ` at 1:5 on eth1`))
		if n := r.quiet(time.Hour).Problems[0].Tried; n < 115 || n > 135 {
			t.Errorf("it was tried %d times in an hour, want one every 30 s", n)
		}
		r.k.Heal()
		r.quiet(30 * time.Second)
		r.inSync()
		if s := r.h.Kernel(); s.ProblemsTotal != 0 || s.Phase != bakery.PhaseInSync || s.DriftTotal != 0 {
			t.Errorf("status after healing: %+v", s)
		}
	})
}

// TestLostAcks: what may or may not have been done is looked at.
func TestLostAcks(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.LoseAcks(func(op tc.Op) bool { return op.Class != nil }, 5)
		r.must(smallNetwork()...)
		r.applied()
		r.inSync()
		if n := r.k.Counts().Ops; n > 40 {
			t.Errorf("%d ops", n)
		}
	})
}

// TestInterruptedReads: links that can't be read are read later.
func TestInterruptedReads(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.FailObserve(errors.New("dump interrupted"), 3)
		r.must(smallNetwork()...)
		r.quiet(50 * time.Millisecond)
		if s := r.h.Kernel(); s.ProblemsTotal != 1 || !strings.Contains(s.Problems[0].Error, "dump interrupted") {
			t.Errorf("status: %+v", s)
		}
		r.applied()
		r.inSync()
	})
}

// TestMoves: what is asked for is what is there, however it got there.
func TestMoves(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		for name, commands := range map[string][]bakery.Command{
			"a circuit under another site":       {aCircuit("1:4", "5", 10)},
			"a site with children under another": {bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:4", ClassID: "3", RateMbps: 50, CeilMbps: 50, SiteHash: 7, R2Q: 10}},
			"back":                               {aSite("3", 100), aCircuit("1:3", "5", 10)},
		} {
			r.must(commands...)
			r.applied()
			r.inSync()
			for _, w := range r.k.Writes() {
				if strings.HasPrefix(w, "class replace") {
					t.Errorf("%s: %s", name, w)
				}
			}
		}
		// To another queue: 1:6 goes, 2:6 comes.
		r.must(bakery.ExecuteTCCommands{Lines: []string{"class del dev eth1 classid 1:6", "class add dev eth1 parent 2:1 classid 2:6 htb rate 20mbit",
			"qdisc add dev eth1 parent 2:6 cake"}})
		r.applied()
		r.inSync()
	})
}

// TestTakeover: a tree that somebody else built, with handles of the kernel's choice, is
// taken over as it is.
func TestTakeover(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		for _, line := range tc.Script(stateOf(t, smallNetwork())) {
			words := strings.Fields(line)
			if words[0] == "qdisc" && strings.Contains(line, " cake") {
				line = strings.Replace(line, " handle "+words[7], "", 1)
			}
			r.meddle(line)
		}
		r.k.Reset()
		r.must(smallNetwork()...)
		r.applied()
		r.wrote()
		r.must(aCircuit("1:3", "7", 1), aLeaf(7, "cake"), aLeaf(5, "fq_codel"))
		r.applied()
		if s := r.h.Kernel(); s.ProblemsTotal > 0 || s.DriftTotal > 0 {
			t.Errorf("status: %+v", s)
		}
		if n := r.k.Counts().Ops; n != 3 && n != 4 {
			t.Errorf("a new circuit and a leaf of another kind took %v", r.k.Writes())
		}
	})
}

// TestForeignStays: what nobody asked for and isn't in our tree is left alone.
func TestForeignStays(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.AddLink(kerneltest.Link{Name: "eth7"})
		r.meddle("qdisc add dev eth7 root handle 7fff: mq", "qdisc add dev eth1 clsact", "qdisc add dev eth0 root handle 5: htb")
		r.quiet(time.Minute)
		r.wrote()
		r.must(smallNetwork()...)
		r.applied()
		r.must(bakery.ClearPriorSettings{})
		r.applied()
		for link, place := range map[string]tc.Handle{"eth7": tc.Root, "eth1": tc.Ingress} {
			if _, ok := r.k.State(link).Qdisc(link, place); !ok {
				t.Errorf("the qdisc at %v of %s is gone", place, link)
			}
		}
		if _, ok := r.k.State("eth1").Qdisc("eth1", tc.Root); ok {
			t.Error("our own root is still there")
		}
		// One that a record asked for is ours to remove.
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth0 clsact"}})
		r.applied()
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc del dev eth0 clsact"}})
		r.applied()
		if _, ok := r.k.State("eth0").Qdisc("eth0", tc.Ingress); ok {
			t.Error("our own clsact is still there")
		}
	})
}

// TestOpaqueLines: each is run once, again when the root is new, and named when it fails.
func TestOpaqueLines(t *testing.T) {
	const line = "filter add dev eth1 parent 1: protocol ip u32 match u32 0 0 flowid 1:5"
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		var fail atomic.Bool
		fail.Store(true)
		r.k.OnExecute(func(string) error {
			if fail.Load() {
				return errors.New("tc says no")
			}
			return nil
		})
		ran := func(want int) {
			t.Helper()
			if got := r.k.Executed(); len(got) != want || want > 0 && got[0] != line {
				t.Errorf("ran %q, want %d times", got, want)
			}
			r.k.Reset()
		}
		r.must(smallNetwork()...)
		r.must(bakery.ExecuteTCCommands{Lines: []string{line}})
		if err := r.h.WaitApplied(t.Context(), 8, 8); err == nil || !strings.Contains(err.Error(), "tc says no") {
			t.Errorf("a line that fails: %v", err)
		}
		fail.Store(false)
		r.quiet(time.Minute)
		r.k.Reset()
		r.must(smallNetwork()...)
		r.must(bakery.ExecuteTCCommands{Lines: []string{line}})
		r.applied()
		ran(0)
		r.restart()
		r.applied()
		ran(0)
		r.meddle("qdisc delete dev eth1 root")
		r.quiet(time.Second)
		ran(1)
	})
}

// TestLimits: the majors of a link and the minors of an HTB run out before anything is
// written, and the answer has the number.
func TestLimits(t *testing.T) {
	for want, line := range map[string]string{
		"65,535": "class add dev eth1 parent 1:1 classid 1:10000 htb rate 1mbit",
	} {
		r := newRig(t, twoLinks)
		r.must(smallNetwork()...)
		out := r.submit(bakery.ExecuteTCCommands{Lines: []string{line}})
		if out[0].Err == nil || !strings.Contains(out[0].Err.Error(), want) {
			t.Errorf("%s: %v", line, out[0].Err)
		}
	}
	r := newRig(t, twoLinks)
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	add("qdisc replace dev eth1 root handle 7fff: mq")
	add("qdisc add dev eth1 parent 7fff:1 handle 1: htb default 2")
	for minor := 1; minor <= 65533; minor++ {
		add("class add dev eth1 parent 1: classid 1:%x htb rate 1mbit", minor)
	}
	for minor := 1; minor <= 65532; minor++ { // with mq and htb 65,534
		add("qdisc add dev eth1 parent 1:%x pfifo", minor)
	}
	r.must(bakery.ExecuteTCCommands{Lines: lines})
	if n := r.tree().State().QdiscCount("eth1"); n != 65534 {
		t.Fatalf("%d qdiscs", n)
	}
	before := r.tree().Seq
	for _, c := range []bakery.Command{bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 parent 1:fffd pfifo"}},
		bakery.AddCircuitQdisc{Link: "eth1", ParentMajor: 1, ParentMinor: 0xfffd, SQM: []string{"cake"}}} {
		out := r.submit(c)
		if out[0].Err == nil || !strings.Contains(out[0].Err.Error(), "65,534") {
			t.Errorf("one qdisc too many: %v", out[0].Err)
		}
	}
	if r.tree().Seq != before {
		t.Error("what is refused was appended")
	}
}
