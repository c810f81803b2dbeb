package bakery_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// shift is a change of a network, and the one that takes it back.
type shift struct {
	name        string
	there, back []bakery.Command
}

// shiftNetwork has a site in a site, and a circuit in each of two.
func shiftNetwork() []bakery.Command {
	return []bakery.Command{bakery.MqSetup{}, aSite("3", 100), aSite("4", 100), siteIn("1:3", "7", 50), aCircuit("1:7", "5", 10),
		aLeaf(5, "cake diffserv4"), aCircuit("1:4", "6", 20), aLeaf(6, "cake diffserv4")}
}

func siteIn(parent, minor string, mbps float64) bakery.Command {
	return bakery.AddStructuralHTBClass{Link: "eth1", Parent: parent, ClassID: minor, RateMbps: mbps, CeilMbps: mbps, SiteHash: 9, R2Q: 10}
}

// shifts are the kinds of changes that there are.
func shifts() []shift {
	whole := shiftNetwork()
	wholeAgain := slices.Clone(whole)
	wholeAgain[1], wholeAgain[4] = aSite("3", 70), aCircuit("1:7", "5", 11)
	htb := func(words string, rest ...bakery.Command) []bakery.Command {
		return append([]bakery.Command{lines("qdisc del dev eth1 parent 7fff:1", "qdisc add dev eth1 parent 7fff:1 handle 1: htb default 2"+words,
			"class add dev eth1 parent 1: classid 1:1 htb rate 1000mbit", "class add dev eth1 parent 1:1 classid 1:2 htb rate 500mbit")}, rest...)
	}
	return []shift{
		{"rates", []bakery.Command{aSite("3", 90), aCircuit("1:7", "5", 15), aCircuit("1:4", "6", 25)},
			[]bakery.Command{aSite("3", 100), aCircuit("1:7", "5", 10), aCircuit("1:4", "6", 20)}},
		{"a leaf", []bakery.Command{aLeaf(5, "fq_codel")}, []bakery.Command{aLeaf(5, "cake diffserv4")}},
		{"a move", []bakery.Command{siteIn("1:4", "7", 50)}, []bakery.Command{siteIn("1:3", "7", 50)}},
		{"an addition", []bakery.Command{siteIn("1:4", "8", 30), aCircuit("1:8", "9", 5), aLeaf(9, "cake diffserv4"), aCircuit("1:8", "a", 5)},
			[]bakery.Command{lines("class del dev eth1 classid 1:9", "class del dev eth1 classid 1:a", "class del dev eth1 classid 1:8")}},
		{"a deletion", []bakery.Command{lines("class del dev eth1 classid 1:5", "class del dev eth1 classid 1:7", "class del dev eth1 classid 1:3")}, whole[1:]},
		{"a refresh", wholeAgain, whole},
		{"an htb built anew", htb(" r2q 20", whole[1:]...), htb("", whole[1:]...)},
		{"everything", []bakery.Command{bakery.ClearPriorSettings{}}, whole},
	}
}

// shiftRig is a bakery whose network shifts back and forth.
type shiftRig struct {
	*steerRig
	k         *stubborn
	believer  *believer
	shift     shift
	away      bool                    // the next shift is back
	needed    map[bool]int            // ops without a fault
	related   map[bool]map[string]int // by object: ops that may have to be made again when one of it fails
	built     int                     // most ops that it takes to build a link from nothing
	believing bool                    // the dataplane is not looked at
}

// inShift runs body with a network, and the ops that its shift takes without a fault.
func inShift(t *testing.T, s shift, body func(*shiftRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &shiftRig{k: &stubborn{}, shift: s, needed: map[bool]int{}, related: map[bool]map[string]int{}}
		r.steerRig = newSteerRig(t, twoLinks, r.k.on, func(o *bakery.Options) {
			r.believer = &believer{stubborn: r.k, believed: map[string]*tc.State{}}
			o.Kernel = r.believer
		})
		r.must(shiftNetwork()...)
		r.must(mapTo("10.0.0.5", "1:5"), mapTo("10.0.0.6", "1:6"))
		r.applied()
		for range 2 {
			r.learn()
		}
		if body(r); !r.believing {
			r.neverBroken()
		}
	})
}

// do makes the next shift, and waits until all is in order and stays so, or two minutes.
func (r *shiftRig) do(ends ...func()) {
	commands := r.shift.there
	if r.away {
		commands = r.shift.back
	}
	r.away = !r.away
	r.must(commands...)
	const step = 3 * time.Second
	long := 2 * time.Minute
	if r.believing { // it never is
		long = 5 * step
	}
	for waited := time.Duration(0); waited < long; waited += step {
		if waited == time.Minute {
			for _, end := range ends {
				end()
			}
			ends = nil
		}
		if s := r.quiet(step); len(ends) == 0 && s.Phase == bakery.PhaseInSync && r.difference() == "" {
			break
		}
	}
	r.quiet(31 * time.Second) // until the links were read once more
}

// restartWritesNothing wants the next bakery to find all in order.
func (r *shiftRig) restartWritesNothing() {
	r.quiet(2 * time.Second) // until the cursor is durable
	r.restart()
	r.k.Reset()
	s := r.quiet(5 * time.Second)
	if w := r.k.Writes(); len(w) > 0 || s.Phase != bakery.PhaseInSync || s.DriftTotal > 0 {
		r.t.Errorf("%s: a restart wrote %q, %s, drift %+v", r.shift.name, w, s.Phase, s.Drift)
	}
}

// learn makes a shift without a fault, and notes its ops.
func (r *shiftRig) learn() {
	away := r.away
	before := map[string]*tc.State{"eth0": r.k.State("eth0"), "eth1": r.k.State("eth1")}
	r.k.Reset()
	r.do()
	r.inSync()
	var ops []tc.Op
	for _, w := range r.k.Log() {
		ops = append(ops, w.Op)
	}
	r.needed[away] = len(ops)
	chains := make([]map[string]bool, len(ops))
	for i, op := range ops {
		chains[i] = map[string]bool{}
		for _, s := range []*tc.State{before[op.Link()], r.k.State(op.Link())} {
			chain(chains[i], s, op)
		}
	}
	r.related[away] = map[string]int{}
	for _, op := range ops {
		r.related[away][objectOf(op)] = 0
	}
	for o := range r.related[away] {
		for i, op := range ops {
			if chains[i][o] || sits(chains, ops, o, objectOf(op)) {
				r.related[away][o]++
			}
		}
	}
	for link := range before {
		r.built = max(r.built, len(tc.Plan(new(tc.State), before[link])))
	}
}

// chain adds an op's object and all that it sits in.
func chain(to map[string]bool, s *tc.State, op tc.Op) {
	o, ok := objectIn(s, op)
	to[objectOf(op)] = true
	for ok {
		to[objectOf(tc.Op{Class: o.Class, Qdisc: o.Qdisc})] = true
		o, ok = s.Container(op.Link(), o)
	}
}

// objectIn is an op's object as a state has it.
func objectIn(s *tc.State, op tc.Op) (tc.Object, bool) {
	if op.Class != nil {
		c, ok := s.Class(op.Class.Link, op.Class.ID)
		return tc.Object{Class: &c}, ok
	}
	q, ok := s.Qdisc(op.Qdisc.Link, op.Qdisc.Parent)
	return tc.Object{Qdisc: &q}, ok
}

// sits reports whether object o sits in another one.
func sits(chains []map[string]bool, ops []tc.Op, o, in string) bool {
	for i, op := range ops {
		if objectOf(op) == o && chains[i][in] {
			return true
		}
	}
	return false
}

// trial is a fault at a place.
type trial struct {
	fault netlinkFault
	n     int
}

// tryAll lets a fault happen at each op of both directions.
func (r *shiftRig) tryAll(fault netlinkFault) (total tally) {
	done := map[bool]bool{}
	for n := 1; !(done[false] && done[true]); n++ {
		for range 2 {
			away := r.away
			one := r.try(trial{fault, n})
			done[away] = one.fired == 0
			total.add(one)
			if r.t.Failed() {
				return total
			}
		}
	}
	return total
}

// try makes a shift with faults, and wants it to end well.
func (r *shiftRig) try(faults ...trial) tally {
	one := r.attempt(faults...)
	if one.wrong != "" {
		var names []string
		for _, f := range faults {
			names = append(names, fmt.Sprintf("%s at %d", f.fault.name, f.n))
		}
		r.t.Errorf("%s, back %v, %s: %s", r.shift.name, !r.away, strings.Join(names, " and "), one.wrong)
	}
	return one
}

// attempt makes a shift with faults.
func (r *shiftRig) attempt(faults ...trial) tally {
	away, drifted := r.away, r.h.Kernel().DriftTotal
	r.k.Reset()
	var mishaps []*mishap
	var ends []func()
	for _, f := range faults {
		m := f.fault.set(r.steerRig, r.k, f.n)
		if mishaps = append(mishaps, m); m.end != nil {
			ends = append(ends, m.end)
		}
	}
	r.do(ends...)
	one := tally{changes: 1, needed: r.needed[away], allowed: r.needed[away]}
	flaps := false
	for i, m := range mishaps {
		if m.fired {
			one.fired++
		}
		if m.fired && faults[i].fault.link {
			one.allowed += r.built
			flaps = true
		}
	}
	for _, m := range mishaps {
		for _, op := range m.hit {
			one.allowed += r.again(away, op, flaps)
		}
	}
	r.k.Heal()
	r.k.Before(nil)
	r.k.observe = nil
	one.ops = r.k.Counts().Ops
	one.wrong = r.judge(one, flaps, drifted)
	return one
}

// again is how many ops may have to be made once more because one failed.
func (r *shiftRig) again(away bool, op tc.Op, flaps bool) int {
	n, known := r.related[away][objectOf(op)]
	switch {
	case op.Verb == tc.Change:
		return 1 // nothing waits for it
	case !known || flaps: // the link was built anew, or an op was needed for what another fault has done
		return max(n, r.needed[away], r.built)
	}
	return n
}

// judge says what is wrong after a fault.
func (r *shiftRig) judge(one tally, flaps bool, drifted uint64) string {
	s := r.h.Kernel()
	if d := r.difference(); d != "" {
		return "the kernel differs from the tree:\n" + d
	}
	if d := r.unsteered(); d != "" {
		return "the dataplane differs from the mappings:\n" + d
	}
	if one.ops > one.allowed {
		return fmt.Sprintf("%d ops, needed are %d, allowed %d:\n%s", one.ops, one.needed, one.allowed, strings.Join(r.k.Writes(), "\n"))
	}
	if s.ProblemsTotal > 0 || s.Phase != bakery.PhaseInSync || !flaps && s.DriftTotal > drifted {
		return fmt.Sprintf("%s, problems %+v, drift %d, %+v", s.Phase, s.Problems, s.DriftTotal-drifted, s.Drift)
	}
	return ""
}
