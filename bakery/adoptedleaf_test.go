package bakery_test

import (
	"testing"
	"time"
)

// TestAdoptedLeafIsOnlyReported: a leaf that somebody made anew under another handle stays; when that one is deleted it is
// reported, and not put back under the handle that the tree has for it.
func TestAdoptedLeafIsOnlyReported(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(time.Second)
		leaf := handleAt(r, 5)
		r.k.Reset()
		r.meddle("qdisc delete dev eth1 parent 1:5", "qdisc add dev eth1 parent 1:5 handle 300: cake diffserv4")
		r.quiet(time.Second)
		kept := "kept: replaced qdisc 300: at 1:5 on eth1: handle " + leaf + " → 300:"
		r.drifted(kept)
		r.meddle("qdisc delete dev eth1 parent 1:5")
		r.quiet(time.Second)
		open := "open: removed qdisc 300: at 1:5 on eth1"
		r.drifted(kept, open)
		r.wrote()
		// A record about something else changes nothing of that.
		r.must(aCircuit("1:4", "6", 16))
		r.applied()
		r.wrote("class change dev eth1 parent 1:4 classid 1:6 htb rate 16mbit ceil 16mbit burst 1600b cburst 1600b prio 3 quantum 200000 linklayer ethernet")
		r.meddle("class add dev eth1 parent 1:3 classid 1:99 htb rate 1mbit", "class delete dev eth1 classid 1:99") // it is read again
		r.quiet(time.Second)
		r.drifted(kept, open)
		r.wrote()
	}, reporting)
}
