package bakery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

// committed is the small batch, applied.
func (r *steerRig) committed() {
	r.t.Helper()
	r.must(commitOf(r.t, smallBatch()...))
	r.applied()
	r.quiet(2 * time.Second) // the links were read again since somebody watches
	r.d.Reset()
	r.k.Reset()
}

// wroteAlone wants each write since the last call to begin with one of these, and each of them
// to be the beginning of one.
func (r *steerRig) wroteAlone(want ...string) {
	r.t.Helper()
	got := r.k.Writes()
	r.k.Reset()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		r.t.Errorf("writes:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestCommitIsAppliedAtOnce: over whatever is there, with what it unmaps.
func TestCommitIsAppliedAtOnce(t *testing.T) {
	for name, before := range map[string][]bakery.Command{
		"nothing":          nil,
		"a batch":          {commitOf(t, append(smallBatch(), stateCircuit(83, "2:", 7, 1, at("10.0.0.7")))...)},
		"first generation": append(smallNetwork(), mapTo("10.0.0.6", "1:5"), mapTo("10.0.0.9", "1:6")),
		"a reset that settles": append(smallNetwork(), mapTo("10.0.0.6", "1:5"), bakery.ClearPriorSettings{}, bakery.MqSetup{},
			aSite("9", 5)),
	} {
		t.Run(name, func(t *testing.T) {
			inSteering(t, func(t *testing.T, r *steerRig) {
				for _, c := range before {
					r.must(c)
					r.quiet(0)
				}
				r.quiet(100 * time.Millisecond) // nothing has settled
				began := time.Now()
				r.must(commitOf(t, smallBatch()...))
				s := r.quiet(0)
				if took := time.Since(began); took != 0 || s.Phase != bakery.PhaseInSync || s.Applied != r.tree().Seq {
					t.Errorf("after %v: %+v", took, s)
				}
				r.inSync()
				r.steered()
				r.has(five81, six82, six82v6, up(five81), up(six82), up(six82v6))
			})
		})
	}
}

// TestGenerationsChange: a recorded client of the second generation takes over the tree of one of
// the first, and the other way round; the tree and the kernel have what each of them wrote.
func TestGenerationsChange(t *testing.T) {
	for _, c := range goldenCases(t) {
		t.Run(c.Name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := headSetup(t, c)
				k := kerneltest.New(kerneltest.Link{Name: s.DownLink, TxQueues: 64})
				if s.UpLink != s.DownLink {
					k.AddLink(kerneltest.Link{Name: s.UpLink, TxQueues: 64})
				}
				r := newApplyRig(t, s, k)
				for range 2 {
					for i, o := range r.submit(commandsOf(t, c, "trace.jsonl")...) {
						if o.Err != nil {
							t.Fatalf("command %d: %v", i+1, o.Err)
						}
					}
					r.quiet(settleMax)
					checkStateIs(t, r.tree(), c)
					r.inSync()
					r.must(headBatch(t, c).Commit())
					r.applied()
					checkStateIsHead(t, r.tree(), c)
					r.inSync()
				}
				r.restart()
				r.k.Reset()
				r.applied()
				r.wrote()
			})
		})
	}
}

const (
	five81  = "10.0.0.5/32 down → 1:5 cpu 0"
	six82   = "10.0.0.6/32 down → 1:6 cpu 0"
	six82v6 = "fd00:6::/56 down → 1:6 cpu 0"
)

func up(entry string) string { return strings.Replace(entry, "down", "up", 1) }

// TestSameCommitWritesNothing: neither to the kernel nor to the maps, nor after a restart.
func TestSameCommitWritesNothing(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.committed()
		r.must(withIDs(mapTo("10.0.0.6", "1:6"), 7, 8, 0), upload(withIDs(mapTo("10.0.0.6", "1:6"), 7, 8, 0)))
		r.applied()
		r.quiet(time.Minute)
		r.d.Reset()
		r.must(commitOf(t, smallBatch()...))
		r.quiet(time.Minute)
		r.restart()
		r.quiet(time.Minute)
		r.must(commitOf(t, smallBatch()...))
		r.applied()
		r.quiet(time.Minute)
		r.wrote()
		r.steers()
		if s := r.h.Kernel(); s.DriftTotal != 0 || s.Phase != bakery.PhaseInSync {
			t.Errorf("status: %+v", s)
		}
	})
}

// TestCommitUnmapsAtOnce: what a batch leaves out doesn't linger, though its class stays.
func TestCommitUnmapsAtOnce(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.committed()
		r.quiet(300 * time.Millisecond)
		less := smallBatch()
		less[3].Circuit.Addresses = "10.0.0.6"
		r.must(commitOf(t, less...))
		r.quiet(0)
		r.steers("drop "+six82v6, "drop "+up(six82v6))
		r.wrote()
		r.must(commitOf(t, less[:3]...)) // and its class goes, too
		r.quiet(0)
		r.steers("drop "+up(six82), "drop "+six82)
		r.inSync()
		r.must(bakery.DelIPFlow{Address: "10.0.0.5"}) // a client's own, which may be the first of many
		r.quiet(settle - time.Millisecond)
		r.steers()
		r.quiet(time.Millisecond)
		r.steers("drop "+five81, "drop "+up(five81))
	})
}

// TestClearAfterCommitWaits: a reset of the first generation over a batch settles.
func TestClearAfterCommitWaits(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.committed()
		r.must(bakery.ClearPriorSettings{})
		s := r.quiet(settle - time.Millisecond)
		if s.Phase != bakery.PhaseSettling {
			t.Errorf("status: %+v", s)
		}
		r.wrote()
		r.quiet(time.Millisecond)
		r.wrote("qdisc delete dev eth0 root handle 7fff:", "qdisc delete dev eth1 root handle 7fff:")
		r.must(commitOf(t, smallBatch()...))
		r.quiet(0)
		r.inSync()
		r.must(bakery.MqSetup{}, aSite("3", 1))
		r.k.Reset()
		r.quiet(settle - time.Millisecond)
		r.wrote()
		r.restart() // the log begins with a Commit, and ends with an MqSetup
		r.quiet(settle / 2)
		r.wrote()
	})
}

// TestCommitTouchesOnly: a difference between two batches is all that the kernel gets.
func TestCommitTouchesOnly(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(o *bakery.Setup, m []bakery.Member) []bakery.Member
		want []string
	}{
		"default SQM": {func(s *bakery.Setup, m []bakery.Member) []bakery.Member {
			s.SQM = []string{"cake besteffort"}
			return m
		}, leafWrites("qdisc change dev %s parent %s handle ", "eth0 1:2", "eth0 2:2", "eth1 1:2", "eth1 2:2", "eth0 1:5", "eth0 1:6", "eth1 1:5", "eth1 1:6")},
		"capacity": {func(s *bakery.Setup, m []bakery.Member) []bakery.Member {
			s.UpMbps = 400 // the smaller one: r2q stays
			return m
		}, leafWrites("class change dev %s parent %s htb rate ", "eth0 1: classid 1:1", "eth0 1:1 classid 1:2", "eth0 2: classid 2:1", "eth0 2:1 classid 2:2")},
		"rate of a site": {func(_ *bakery.Setup, m []bakery.Member) []bakery.Member {
			m[0].Site.DownMax = 90
			return m
		}, []string{"class change dev eth1 parent 1: classid 1:3 htb rate 100mbit ceil 90mbit"}},
		"moved circuit": {func(_ *bakery.Setup, m []bakery.Member) []bakery.Member {
			m[2].Circuit.Parent = handle("1:4")
			return m
		}, []string{"class delete dev eth1 classid 1:5", "class add dev eth1 parent 1:4 classid 1:5", "qdisc add dev eth1 parent 1:5 handle "}},
		"new site": {func(_ *bakery.Setup, m []bakery.Member) []bakery.Member {
			return append(m, stateSite(73, "2:", 3, 7))
		}, []string{"class add dev eth0 parent 2: classid 2:3 htb rate 7mbit", "class add dev eth1 parent 2: classid 2:3 htb rate 7mbit"}},
		"another order": {func(_ *bakery.Setup, m []bakery.Member) []bakery.Member {
			slices.Reverse(m)
			return m
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := twoLinks
			inSteering(t, func(t *testing.T, r *steerRig) {
				r.committed()
				members := tt.edit(&s, smallBatch())
				r.must(commitOf(t, members...))
				r.quiet(0)
				r.wroteAlone(tt.want...)
				r.inSync()
				r.steered()
			}, func(o *bakery.Options) { o.Setup = func() (bakery.Setup, error) { return s, nil } })
		})
	}
}

// leafWrites fills links and places into a form.
func leafWrites(form string, places ...string) []string {
	var list []string
	for _, p := range places {
		link, at, _ := strings.Cut(p, " ")
		list = append(list, fmt.Sprintf(form, link, at))
	}
	return list
}

// TestSpeedIsAppliedInPlace: a site's speed is one change in each direction.
func TestSpeedIsAppliedInPlace(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.committed()
		r.must(speed(71, 20, 40, 5, 10))
		r.quiet(0)
		r.wroteAlone("class change dev eth0 parent 1: classid 1:3 htb rate 5mbit ceil 10mbit", "class change dev eth1 parent 1: classid 1:3 htb rate 20mbit ceil 40mbit")
		r.must(commitOf(t, smallBatch()...))
		r.quiet(0)
		r.wroteAlone("class change dev eth0 parent 1: classid 1:3 htb rate 100mbit", "class change dev eth1 parent 1: classid 1:3 htb rate 100mbit")
		r.steers()
	})
}

// TestCrashInACommit: who is killed between two writes of a batch finishes it, calls nothing of
// it drift, and never leaves an address without its class.
func TestCrashInACommit(t *testing.T) {
	next := append(smallBatch()[:3], stateCircuit(83, "1:4", 7, 1, at("10.0.0.6")))
	next[2].Circuit.Parent = handle("1:4")
	for n, done := 1, false; !done; n++ {
		t.Run(fmt.Sprintf("ahead of write %d", n), func(t *testing.T) {
			inSteering(t, func(t *testing.T, r *steerRig) {
				r.committed()
				done = r.killAheadOf(n, commitOf(t, next...))
				r.start()
				s := r.quiet(time.Minute)
				r.inSync()
				r.steered()
				if s.DriftTotal != 0 || s.Phase != bakery.PhaseInSync {
					t.Errorf("status: %+v", s)
				}
			})
		})
		if n > 60 {
			t.Fatal("a small batch takes more than 60 writes")
		}
	}
}

// TestCommitOfRefusedClass: an address of a circuit that the kernel refuses goes nowhere else.
func TestCommitOfRefusedClass(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.committed()
		r.k.FailWhen(func(op tc.Op) bool { return op.Class != nil && op.Class.ID == tc.NewHandle(1, 9) }, outOfLuck, -1)
		r.must(commitOf(t, stateSite(71, "1:", 3, 100), stateCircuit(81, "1:3", 9, 10, at("10.0.0.5"))))
		r.quiet(0)
		r.has()
		r.k.Heal()
		r.quiet(time.Minute)
		r.has("10.0.0.5/32 down → 1:9 cpu 0", "10.0.0.5/32 up → 1:9 cpu 0")
		synctest.Wait()
		r.inSync()
	})
}

// TestPhaseWhileApplying: the status says so before the first op is done.
func TestPhaseWhileApplying(t *testing.T) {
	inSteering(t, func(t *testing.T, r *steerRig) {
		r.committed()
		phases := map[bakery.Phase]int{}
		r.k.Before(func(tc.Op) { phases[r.h.Kernel().Phase]++ })
		r.must(commitOf(t, append(smallBatch(), stateCircuit(83, "2:", 7, 1))...))
		r.applied()
		r.k.Before(nil)
		if len(phases) != 1 || phases[bakery.PhaseApplying] == 0 {
			t.Errorf("phases at the ops: %v", phases)
		}
	})
}

// TestOtherLinkAfterRename: a link that went away, and that nobody asks for any more, is in nobody's way.
func TestOtherLinkAfterRename(t *testing.T) {
	down := "eth1"
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(commitOf(t, smallBatch()...))
		r.applied()
		r.k.RemoveLink("eth1")
		r.k.AddLink(kerneltest.Link{Name: "lan0"})
		r.quiet(time.Second)
		down = "lan0"
		r.must(commitOf(t, smallBatch()...))
		r.applied()
		if s := r.quiet(time.Minute); s.Phase != bakery.PhaseInSync || s.ProblemsTotal > 0 {
			t.Errorf("status: %+v", s)
		}
	}, func(o *bakery.Options) {
		o.Setup = func() (bakery.Setup, error) {
			s := twoLinks
			s.DownLink = down
			return s, nil
		}
	})
}
