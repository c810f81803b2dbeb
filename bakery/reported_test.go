package bakery_test

import (
	"fmt"
	"testing"
	"time"

	"lqosd/bakery"
)

// inReportMode runs body with a small network that is applied, and drift that is reported
// only.
func inReportMode(t *testing.T, body func(t *testing.T, r *applyRig)) {
	t.Helper()
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(2 * time.Second) // until the cursor is durable
		r.k.Reset()
		body(t, r)
	}, reporting)
}

// calm wants no problem, and the kernel to have what the tree asks for.
func (r *applyRig) calm() {
	r.t.Helper()
	if s := r.quiet(time.Minute); s.ProblemsTotal > 0 {
		r.t.Errorf("problems: %+v", s.Problems)
	}
	r.inSync()
}

// TestReportedLeafStays: another leaf of the same kind isn't mended, whatever it differs in.
func TestReportedLeafStays(t *testing.T) {
	inReportMode(t, func(t *testing.T, r *applyRig) {
		r.meddle("qdisc delete dev eth1 parent 1:5", "qdisc add dev eth1 parent 1:5 cake besteffort")
		r.quiet(time.Minute)
		r.drifted("open: changed qdisc 8001: at 1:5 on eth1: diffserv diffserv4 → besteffort")
		r.wrote()
	})
}

// TestRecordRemovesWhatIsGone: what somebody did before a record asks for it is done.
func TestRecordRemovesWhatIsGone(t *testing.T) {
	inReportMode(t, func(t *testing.T, r *applyRig) {
		r.meddle("class delete dev eth1 classid 1:5")
		r.quiet(time.Second)
		r.must(bakery.ExecuteTCCommands{Lines: []string{"class del dev eth1 classid 1:5"}})
		r.calm()
		r.drifted("gone: removed class 1:5 on eth1, with 1 more in it")
	})
}

// TestRecordAddsWhatIsThere: what somebody added is made what a record asks for.
func TestRecordAddsWhatIsThere(t *testing.T) {
	inReportMode(t, func(t *testing.T, r *applyRig) {
		r.meddle("class add dev eth1 parent 1:3 classid 1:99 htb rate 1mbit")
		r.quiet(time.Second)
		r.must(aCircuit("1:3", "99", 5))
		r.calm()
		r.drifted("gone: added class 1:99 on eth1")
	})
}

// TestRecordChangesWhatIsGone: what somebody removed is made anew when a record asks for
// something else of it, and what was in it stays as it is.
func TestRecordChangesWhatIsGone(t *testing.T) {
	inReportMode(t, func(t *testing.T, r *applyRig) {
		r.meddle("class delete dev eth1 classid 1:5")
		r.quiet(time.Second)
		r.must(aCircuit("1:3", "5", 11))
		for range 50 { // what wakes the applier is no try
			r.must(aSite("4", 100))
			r.quiet(time.Millisecond)
		}
		if s := r.quiet(time.Second); s.ProblemsTotal > 0 {
			t.Errorf("problems: %+v", s.Problems)
		}
		r.differs("removed qdisc " + handleAt(r, 5) + " at 1:5 on eth1")
	})
}

// TestManyDriftsAreCountedOnce: more open drifts than there is room for aren't seen anew
// with every reading.
func TestManyDriftsAreCountedOnce(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		var build, meddle []string
		for i := range 1100 {
			build = append(build, fmt.Sprintf("class add dev eth1 parent 1:3 classid 1:%x htb rate 1mbit", 0x100+i))
			meddle = append(meddle, fmt.Sprintf("class change dev eth1 parent 1:3 classid 1:%x htb rate 2mbit", 0x100+i))
		}
		r.must(bakery.ExecuteTCCommands{Lines: build})
		r.applied()
		r.meddle(meddle...)
		r.quiet(2 * time.Second)
		s := r.quiet(time.Hour)
		if s.DriftTotal != 1100 || s.DriftOpen != 1100 || len(s.Drift) != 200 {
			t.Errorf("total %d, open %d, listed %d", s.DriftTotal, s.DriftOpen, len(s.Drift))
		}
	}, reporting)
}

// TestReportedLostAck: what was done though the answer was lost is no problem, and no drift.
func TestReportedLostAck(t *testing.T) {
	inReportMode(t, func(t *testing.T, r *applyRig) {
		for _, c := range []bakery.Command{aCircuit("1:3", "9", 5), aCircuit("1:3", "9", 6),
			bakery.ExecuteTCCommands{Lines: []string{"class del dev eth1 classid 1:9"}}} {
			r.k.LoseAcks(ofClass(1, 9), 1)
			r.must(c)
			r.calm()
			r.drifted()
		}
	})
}

// TestReportedBesideAMissingLink: drift stays reported after a restart, though another link
// isn't there.
func TestReportedBesideAMissingLink(t *testing.T) {
	inReportMode(t, func(t *testing.T, r *applyRig) {
		r.k.RemoveLink("eth0")
		r.quiet(2 * time.Second)
		r.meddle(ninth)
		r.quiet(2 * time.Second)
		r.restart()
		r.quiet(time.Second)
		r.drifted("open: changed class 1:5 on eth1: rate 10mbit → 9mbit")
		r.wrote()
	})
}

// TestReportedBesideAFailure: drift stays reported after a restart, though something else
// on its link has failed; that is tried again.
func TestReportedBesideAFailure(t *testing.T) {
	const open = "open: changed class 1:5 on eth1: rate 10mbit → 9mbit"
	inReportMode(t, func(t *testing.T, r *applyRig) {
		r.k.FailWhen(ofClass(2, 0x33), outOfLuck, -1)
		r.must(bakery.ExecuteTCCommands{Lines: []string{"class add dev eth1 parent 2:1 classid 2:33 htb rate 1mbit",
			"qdisc add dev eth1 parent 2:33 cake"}})
		r.quiet(time.Second)
		r.meddle(ninth)
		r.quiet(2 * time.Second)
		r.k.Reset()
		r.restart()
		s := r.quiet(time.Minute)
		r.drifted(open)
		if s.ProblemsTotal != 2 || s.Problems[0].Object != "class 2:33" || !r.wroteAbout("classid 2:33") || r.wroteAbout("classid 1:5") {
			t.Errorf("problems %+v, writes %q", s.Problems, r.k.Writes())
		}
		r.k.Heal()
		s = r.quiet(30 * time.Second)
		r.drifted(open)
		if s.ProblemsTotal > 0 || !r.hasClass(2, 0x33) || !r.has("eth1", mustHandle(t, "2:33")) {
			t.Errorf("status after healing: %+v", s)
		}
	})
}
