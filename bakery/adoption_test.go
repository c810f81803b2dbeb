package bakery_test

import (
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// builtWith builds commands' tree as somebody else, with the leaves of eth1 under other
// handles, by slot.
func (r *applyRig) builtWith(handles map[string]string, commands ...bakery.Command) {
	r.t.Helper()
	t, ok := r.t.(*testing.T)
	if !ok {
		r.t.Fatal("not a test")
	}
	for _, line := range tc.Script(stateOf(t, commands)) {
		words := strings.Fields(line)
		if words[0] == "qdisc" && words[3] == "eth1" && handles[words[5]] != "" {
			words[7] = handles[words[5]]
		}
		r.meddle(strings.Join(words, " "))
	}
}

// TestAdoptionGivesWayToChosenHandles: a leaf whose handle in the kernel a client chose for
// another one takes its own, and so does a leaf that has this one, and so on.
func TestAdoptionGivesWayToChosenHandles(t *testing.T) {
	network := append(smallNetwork(), aCircuit("1:4", "7", 5), aLeaf(7, "cake diffserv4"), aCircuit("1:4", "8", 5))
	for _, chosen := range []string{"100:", "8001:"} {
		t.Run(chosen, func(t *testing.T) {
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				assigned := map[string]string{}
				for q := range stateOf(t, network).Qdiscs("eth1") {
					assigned[q.Parent.String()] = q.Handle.String()
				}
				r.builtWith(map[string]string{"1:5": chosen, "1:6": assigned["1:5"], "1:7": assigned["1:6"]}, network...)
				r.must(append(network, bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 parent 1:8 handle " + chosen + " cake"}})...)
				r.applied()
				r.inSync()
				q, _ := r.k.State("eth1").QdiscByHandle("eth1", mustHandle(t, chosen))
				if s := r.h.Kernel(); q.Parent != tc.NewHandle(1, 8) || s.Phase != bakery.PhaseInSync {
					t.Errorf("%s is at %v; status %+v", chosen, q.Parent, s)
				}
				r.quiet(2 * time.Second)
				r.k.Reset()
				r.restart()
				r.applied()
				r.wrote()
			})
		})
	}
}

func mustHandle(t *testing.T, text string) tc.Handle {
	t.Helper()
	h, err := tc.ParseHandle(text)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestLeafThatHoldsAQdiscIsNotAdopted: what sits in a qdisc names it, and keeps its handle.
func TestLeafThatHoldsAQdiscIsNotAdopted(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc replace dev eth1 parent 1:5 netem delay 10ms"}})
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 parent " + handleAt(r, 5) + "1 handle 99: pfifo limit 7"}})
		r.applied()
		r.inSync()
		r.meddle("qdisc delete dev eth1 parent 1:5", "qdisc add dev eth1 parent 1:5 handle 8001: netem delay 10ms",
			"qdisc add dev eth1 parent 8001:1 handle 99: pfifo limit 7")
		if s := r.quiet(time.Minute); s.Phase != bakery.PhaseInSync {
			t.Errorf("status: %+v", s)
		}
		r.inSync()
	})
}
