package bakery_test

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

func prefixOf(address string) netip.Prefix {
	a := netip.MustParseAddr(address)
	return netip.PrefixFrom(a, a.BitLen())
}

const (
	five = "10.0.0.5/32 down → 1:5 cpu 0"
	six  = "10.0.0.6/32 down → 1:6 cpu 0"
)

// TestSteersAtOnce: an address is steered when its class is there, with nothing that waits,
// and mappings alone make nobody read the links.
func TestSteersAtOnce(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.quiet(time.Second)
		r.d.Reset()
		began := time.Now()
		r.must(append(smallNetwork(), mapTo("10.0.0.5", "1:5"))...)
		r.quiet(0)
		r.steers("set " + five)
		reads := r.k.Counts().Observes
		r.must(mapTo("10.0.0.6", "1:6"))
		r.quiet(0) // nobody waits for it
		r.steers("set " + six)
		r.applied()
		if n := r.k.Counts().Observes; n != reads {
			t.Errorf("the links were read %d times for a mapping", n-reads)
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
		s := r.h.Kernel().Steering
		if want := (bakery.SteeringStatus{Entries: 2, Waiting: 2, Writes: 2, Reads: 2}); *s != want {
			t.Errorf("status: %+v, want %+v", *s, want)
		}
		// The upload waits for its class.
		r.must(circuit("eth0", "1:1", "5", 8, 5))
		r.quiet(0)
		r.steers("set 10.0.0.5/32 up → 1:5 cpu 0")
		r.steered()
	})
}

func TestNoDataplane(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(append(smallNetwork(), mapTo("10.0.0.5", "1:5"))...)
		r.applied()
		if s := r.h.Kernel(); s.Steering != nil {
			t.Errorf("status: %+v", s.Steering)
		}
	})
}

// TestSameMappingsAgain: who clears all mappings and sends them again writes nothing.
func TestSameMappingsAgain(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.must(bakery.ClearIPFlow{})
		for _, m := range []bakery.Command{mapTo("10.0.0.6", "1:6"), mapTo("10.0.0.5", "1:5")} {
			r.quiet(settle - time.Millisecond)
			r.must(m)
		}
		r.applied()
		r.quiet(time.Minute)
		r.steers()
		r.has(five, six)
	})
}

// TestRemovedMapping stays until the commands were quiet, and until then its record isn't
// applied.
func TestRemovedMapping(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.quiet(300 * time.Millisecond) // the dataplane isn't read at the same time
		r.must(bakery.DelIPFlow{Address: "10.0.0.5"})
		began := time.Now()
		s := r.quiet(settle - time.Millisecond)
		if s.Applied != 9 || s.Phase != bakery.PhaseSettling || s.Settles == nil || !s.Settles.Equal(began.Add(settle)) {
			t.Errorf("status: %+v", s)
		}
		r.steers()
		r.quiet(time.Millisecond)
		r.steers("drop " + five)
		if s := r.h.Kernel(); s.Applied != 10 || s.Phase != bakery.PhaseInSync || s.Settles != nil {
			t.Errorf("status: %+v", s)
		}
		r.must(bakery.ClearIPFlow{})
		began = time.Now()
		r.applied()
		if took := time.Since(began); took != settle {
			t.Errorf("applied after %v", took)
		}
		r.steers("drop " + six)
	})
}

// TestRemovedMappingWithoutClass doesn't wait for anything.
func TestRemovedMappingWithoutClass(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.must(bakery.DelIPFlow{Address: "10.0.0.5"})
		r.k.RemoveLink("eth1")
		r.quiet(100 * time.Millisecond)
		r.steers("drop "+five, "drop "+six)
	})
}

// TestMappedToWhatIsRefused: an address doesn't stay in the class that it had.
func TestMappedToWhatIsRefused(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.k.FailWhen(ofClass(1, 9), outOfLuck, -1)
		r.must(aCircuit("1:3", "9", 1), mapTo("10.0.0.5", "1:9"))
		r.quiet(0)
		r.steers("drop " + five)
		r.k.Heal()
		r.quiet(time.Minute)
		r.steers("set 10.0.0.5/32 down → 1:9 cpu 0")
	})
}

// TestRemovedMappingInAStream goes after ten seconds, however many commands come.
func TestRemovedMappingInAStream(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.must(bakery.DelIPFlow{Address: "10.0.0.5"})
		began := time.Now()
		for len(r.d.Writes()) == 0 {
			r.quiet(settle / 2)
			if time.Since(began) < settleMax {
				r.must(mapTo("10.0.0.6", "1:6"))
			} else {
				r.must(aSite("9", 10))
			}
		}
		if took := time.Since(began); took != settleMax {
			t.Errorf("dropped after %v", took)
		}
		r.steers("drop " + five)
	})
}

// TestChangedMapping: what is mapped elsewhere is steered there at once.
func TestChangedMapping(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.must(bakery.ClearIPFlow{}, mapTo("10.0.0.5", "1:6"))
		r.quiet(0)
		r.steers("set 10.0.0.5/32 down → 1:6 cpu 0")
		r.quiet(settle)
		r.steers("drop " + six)
	})
}

// TestDeletedClass: an address leaves its class before that goes.
func TestDeletedClass(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		deleted := false
		r.k.Before(func(op tc.Op) {
			if op.Verb == tc.Delete && op.Class != nil {
				deleted = true
				r.has(six)
			}
		})
		r.must(lines("class del dev eth1 classid 1:5"))
		r.applied()
		r.steers("drop " + five)
		if s := r.h.Kernel(); !deleted || s.Steering.Waiting != 3 {
			t.Errorf("deleted: %v, status: %+v", deleted, s.Steering)
		}
		r.steered()
	})
}

// TestRebuiltClass: an address waits in the default class while its own is built anew,
// alone or with all that it sits in.
func TestRebuiltClass(t *testing.T) {
	both := []string{"drop " + five, "drop " + six, "set " + five, "set " + six}
	for name, c := range map[string]struct {
		command bakery.Command
		want    []string
	}{
		"a move":           {aCircuit("1:4", "5", 10), []string{"drop " + five, "set " + five}},
		"a move of a site": {bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:4", ClassID: "3", RateMbps: 50, CeilMbps: 50, SiteHash: 7, R2Q: 10}, []string{"drop " + five, "set " + five}},
		"an htb": {lines("qdisc del dev eth1 parent 7fff:1", "qdisc add dev eth1 parent 7fff:1 handle 1: htb default 3",
			"class add dev eth1 parent 1: classid 1:5 htb rate 1mbit", "class add dev eth1 parent 1: classid 1:6 htb rate 1mbit"), both},
		"a root": {lines("qdisc del dev eth1 root", "qdisc add dev eth1 root handle 1: htb default 3",
			"class add dev eth1 parent 1: classid 1:5 htb rate 1mbit", "class add dev eth1 parent 1: classid 1:6 htb rate 1mbit"), both},
		"a rate":         {aCircuit("1:3", "5", 11), nil},
		"a leaf":         {aLeaf(5, "fq_codel"), nil},
		"another's move": {bakery.AddCircuitHTBClass{Link: "eth1", Parent: "2:1", ClassID: "5", RateMbps: 1, CeilMbps: 1, R2Q: 10}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inSteering(t, func(t *testing.T, r *steerRig) {
				r.mapped()
				r.must(c.command)
				r.applied()
				r.steers(c.want...)
				r.steered()
				r.inSync()
			})
		})
	}
}

// TestClassInALeaf: with a class goes what is in the htb in it, and what points there.
func TestClassInALeaf(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.must(lines("qdisc replace dev eth1 parent 1:6 handle 20: htb", "class add dev eth1 parent 20: classid 20:1 htb rate 1mbit"),
			mapTo("10.0.0.7", "20:1"))
		r.applied()
		r.steers("set 10.0.0.7/32 down → 20:1 cpu 0")
		r.must(lines("class del dev eth1 classid 1:6"))
		r.applied()
		r.steers("drop "+six, "drop 10.0.0.7/32 down → 20:1 cpu 0")
	})
}

// TestMovedAddress: from a class that goes to one that comes, past the default class.
func TestMovedAddress(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.must(lines("class del dev eth1 classid 1:5"), aCircuit("1:3", "9", 10), mapTo("10.0.0.5", "1:9"))
		r.applied()
		r.steers("drop "+five, "set 10.0.0.5/32 down → 1:9 cpu 0")
	})
}

// TestResetSteersNothing while it settles, and drops what it takes away.
func TestResetSteersNothing(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.must(bakery.MqSetup{}, aSite("3", 100), aCircuit("1:3", "5", 10), mapTo("10.0.0.9", "1:5"), bakery.DelIPFlow{Address: "10.0.0.5"})
		r.d.Meddle(nil, []tc.Steer{steerOf("10.0.0.6", "1:6", false)})
		r.quiet(settle - time.Millisecond)
		r.steers()
		r.quiet(time.Millisecond)
		r.steers("set 10.0.0.9/32 down → 1:5 cpu 0", "drop "+five)
		r.must(bakery.ClearPriorSettings{})
		r.applied()
		r.steers("drop 10.0.0.9/32 down → 1:5 cpu 0")
		if s := r.h.Kernel().Steering; s.Entries != 0 || s.Waiting != 4 {
			t.Errorf("status: %+v", s)
		}
		// Roles are those of the configuration: the tree has none any more.
		r.must(smallNetwork()...)
		r.applied()
		r.steers("set "+six, "set 10.0.0.9/32 down → 1:5 cpu 0")
	})
}

// TestGoldenRefreshSteersNothing plays what clients send, twice: the second time nothing is
// written, neither to the kernel nor to the dataplane.
func TestGoldenRefreshSteersNothing(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			commands := map[string][]bakery.Command{}
			for _, file := range []string{"trace.jsonl", "ip.jsonl"} {
				commands[file] = commandsOf(t, c, file)
			}
			inSteeringOf(t, setupOf(t, c), func(t *testing.T, r *steerRig) {
				for round := range 2 {
					r.must(commands["trace.jsonl"]...)
					r.quiet(3 * settle / 4)
					r.must(commands["ip.jsonl"]...)
					r.applied()
					r.quiet(2 * settle)
					r.steered()
					n, mapped, s := len(r.d.Writes()), r.tree().MappingCount(), r.h.Kernel()
					if round == 0 && n < mapped || round == 1 && n+r.k.Counts().Ops > 0 || s.Phase != bakery.PhaseInSync {
						t.Errorf("round %d, of %d mappings: %d entries and %d ops were written; status: %+v", round, mapped, n, r.k.Counts().Ops, s)
					}
					r.d.Reset()
					r.k.Reset()
				}
			})
		})
	}
}

// TestRestartSteersNothing: who finds what he wants writes nothing; what was removed
// meanwhile goes when it has been quiet since the start.
func TestRestartSteersNothing(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.stop()
		r.k.FailObserve(outOfLuck, 5) // the classes aren't known for a while
		r.start()
		r.applied()
		r.quiet(time.Minute)
		r.steers()
		r.wrote()
		r.has(five, six)

		r.must(bakery.DelIPFlow{Address: "10.0.0.5"})
		r.stop()
		r.start()
		began := time.Now()
		r.quiet(settle - time.Millisecond)
		r.steers()
		r.applied()
		if took := time.Since(began); took != settle {
			t.Errorf("applied after %v", took)
		}
		r.steers("drop " + five)
		if s := r.h.Kernel(); s.DriftTotal != 0 {
			t.Errorf("drift: %v", r.drift())
		}
	})
}

// TestStickSteers: each direction of a stick has its own mappings.
func TestStickSteers(t *testing.T) {
	inSteeringOf(t, stick, func(t *testing.T, r *steerRig) {
		r.must(bakery.MqSetup{}, circuit("eth1", "1:1", "5", 8, 5), circuit("eth1", "3:1", "5", 8, 5),
			mapTo("10.0.0.5", "1:5"), upload(mapTo("10.0.0.5", "3:5")), mapTo("10.0.0.6", "1:5"))
		r.applied()
		r.has(five, "10.0.0.6/32 down → 1:5 cpu 0", "10.0.0.5/32 up → 3:5 cpu 0")
		r.must(lines("class del dev eth1 classid 3:5"))
		r.applied()
		r.has(five, "10.0.0.6/32 down → 1:5 cpu 0")
	})
}

// TestLinkThatGoes takes its addresses along, and brings them back.
func TestLinkThatGoes(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.k.RemoveLink("eth1")
		r.quiet(100 * time.Millisecond)
		r.steers("drop "+five, "drop "+six)
		r.k.AddLink(kerneltest.Link{Name: "eth1"})
		r.quiet(time.Second)
		r.steers("set "+five, "set "+six)
	})
}

// TestLinkThatCantBeRead counts as it was read last.
func TestLinkThatCantBeRead(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.k.FailObserve(outOfLuck, -1)
		r.k.Overrun()
		r.quiet(time.Second)
		r.must(mapTo("10.0.0.7", "1:6"))
		r.quiet(0)
		r.steers("set 10.0.0.7/32 down → 1:6 cpu 0")
		r.k.Heal()
		r.quiet(time.Second)
		r.steers()
	})
}

// TestOpThatNobodyKnowsOf: while it isn't known whether a class was deleted, nothing points
// there.
func TestOpThatNobodyKnowsOf(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.k.LoseAcks(func(op tc.Op) bool { return op.Verb == tc.Delete }, 1)
		r.k.Before(func(tc.Op) { r.k.FailObserve(outOfLuck, 5) })
		r.must(lines("class del dev eth1 classid 1:5"))
		r.quiet(50 * time.Millisecond)
		r.must(mapTo("10.0.0.7", "1:6"))
		r.quiet(0)
		r.steers("drop " + five)
		r.k.Before(nil)
		r.quiet(5 * time.Second)
		r.steers("set 10.0.0.7/32 down → 1:6 cpu 0")
		r.inSync()
	})
}

// TestClassThatCantGo keeps its addresses.
func TestClassThatCantGo(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.k.FailWhen(func(op tc.Op) bool { return op.Verb == tc.Delete }, outOfLuck, -1)
		r.must(lines("class del dev eth1 classid 1:5"))
		r.quiet(50 * time.Millisecond)
		r.steers("drop "+five, "set "+five)
		r.k.Heal()
		r.quiet(time.Minute)
		r.has(six)
	})
}

// TestSteersAreRead every second, unless reading takes long.
func TestSteersAreRead(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.quiet(time.Minute)
		n := r.d.Counts().Reads
		if n < 58 || n > 60 {
			t.Errorf("read %d times in a minute", n)
		}
		if s := r.h.Kernel(); s.Steering.Reads < uint64(n+1) || s.Steering.Reads > uint64(n+2) || r.k.Counts().Observes > 2 {
			t.Errorf("status: %+v, the links were read %d times", s.Steering, r.k.Counts().Observes)
		}
	})
	slow := &slowDataplane{takes: 250 * time.Millisecond}
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.mapped()
		r.quiet(time.Second)
		r.d.Reset()
		r.quiet(time.Minute)
		if n := r.d.Counts().Reads; n != 11 && n != 12 {
			t.Errorf("read %d times in a minute though it takes 250 ms", n)
		}
	}, slow.on)
}

// TestPanicOfTheDataplane: a mistake in it is shown, and stops nothing for long.
func TestPanicOfTheDataplane(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.must(smallNetwork()...)
		r.applied()
		writes := 0
		r.d.Before(func(tc.Steer) {
			if writes++; writes == 2 {
				panic("a mistake")
			}
		})
		r.must(mapTo("10.0.0.5", "1:5"), mapTo("10.0.0.6", "1:6"))
		s := r.quiet(time.Second)
		if s.ProblemsTotal != 1 || !strings.Contains(s.Problems[0].Error, "a mistake") {
			t.Fatalf("status: %+v", s)
		}
		s = r.quiet(30 * time.Second)
		r.steered()
		if s.Phase != bakery.PhaseInSync || s.ProblemsTotal > 0 || s.DriftTotal > 0 {
			t.Errorf("status later: %+v", s)
		}
	})
}

// TestOtherRoles: the configuration says which link has which direction, at the start and at
// every MqSetup.
func TestOtherRoles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := twoLinks
		r := newSteerRig(t, s, func(o *bakery.Options) { o.Setup = func() (bakery.Setup, error) { return s, nil } })
		r.mapped()
		s.DownLink, s.UpLink = s.UpLink, s.DownLink
		r.must(smallNetwork()...)
		r.applied()
		r.has("10.0.0.5/32 up → 1:5 cpu 0", "10.0.0.6/32 up → 1:6 cpu 0")
		r.must(bakery.ClearPriorSettings{}, lines(tc.Script(stateOf(t, smallNetwork()))...))
		r.applied()
		r.restart()
		r.applied()
		r.has("10.0.0.5/32 up → 1:5 cpu 0", "10.0.0.6/32 up → 1:6 cpu 0")
	})
}

// TestEmptyLogLeavesEntries: of a log without a record nothing that steers is anybody's; with the first record it is ours.
func TestEmptyLogLeavesEntries(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		left := tc.Steer{Prefix: netip.MustParsePrefix("10.0.0.9/32"), Class: tc.NewHandle(1, 9)}
		r.d.Meddle([]tc.Steer{left}, nil)
		r.quiet(time.Minute)
		r.has(left.String())
		r.must(smallNetwork()...)
		r.quiet(time.Minute)
		r.has()
	})
}
