package bakery_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// TestDirectQlenIsNoDrift: somebody makes an htb anew, with all that was in it, and another direct_qlen. No line gives one,
// so that nobody would undo it: it isn't drift, and isn't among the fields of what is.
func TestDirectQlenIsNoDrift(t *testing.T) {
	for name, policy := range map[string]bakery.DriftPolicy{"repair": bakery.DriftRepair, "report": bakery.DriftReport} {
		t.Run(name, func(t *testing.T) {
			inApplyMode(t, func(t *testing.T, r *applyRig) {
				r.must(smallNetwork()...)
				r.applied()
				r.k.Reset()
				r.remakeQueue2("default 2 direct_qlen 77")
				s := r.quiet(time.Second)
				r.drifted()
				r.wrote()
				if s.Phase != bakery.PhaseInSync {
					t.Errorf("status: %+v", s)
				}
				r.remakeQueue2("default 7 direct_qlen 78")
				r.quiet(time.Second)
				fate := map[bakery.DriftPolicy]string{bakery.DriftRepair: "repaired", bakery.DriftReport: "open"}[policy]
				r.drifted(fate + ": changed qdisc 2: at 7fff:2 on eth1: default 2 → 7")
			}, func(o *bakery.Options) { o.Drift = policy })
		})
	}
}

// remakeQueue2 makes the htb of the second queue of eth1 anew, with what is in it.
func (r *applyRig) remakeQueue2(options string) {
	r.t.Helper()
	var inside []string
	for _, line := range tc.Script(r.k.State("eth1")) {
		w := strings.Fields(line)
		at := slices.Index(w, "parent")
		if at > 0 && strings.HasPrefix(w[at+1], "2:") {
			inside = append(inside, line)
		}
	}
	r.meddle(append([]string{"qdisc delete dev eth1 parent 7fff:2", "qdisc add dev eth1 parent 7fff:2 handle 2: htb " + options}, inside...)...)
}
