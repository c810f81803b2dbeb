package bakery

import "lqosd/bakery/tc"

// KeepQueues is wanted with a qdisc on every queue of its mq that nobody asks for and that
// has one. The kernel doesn't put its default back when such a qdisc is deleted: it leaves
// noop there, which drops every packet (qdisc_graft and mq_graft in sch_mq.c). So what
// others put on an unused queue stays, and an htb, which is ours from a time with more
// queues, makes way for a pfifo.
func KeepQueues(link string, wanted, has *tc.State) *tc.State {
	root, ok := wanted.Qdisc(link, tc.Root)
	if !ok || root.Options != tc.Options(tc.MQ{}) {
		return wanted
	}
	kept := wanted
	for q := range has.Qdiscs(link) {
		if _, asked := wanted.Qdisc(link, q.Parent); asked || q.Parent.Major() != root.Handle.Major() || q.Parent.Minor() == 0 {
			continue
		}
		if kept == wanted {
			kept = wanted.Clone()
		}
		if _, htb := q.Options.(tc.HTB); htb {
			q = tc.Qdisc{Link: link, Parent: q.Parent, Options: tc.Pfifo{Limit: tc.Some[uint32](1000)}}
		}
		if q.Handle == 0 || kept.HandleInUse(link, q.Handle.Major()) {
			q.Handle = freeHandle(link, kept, has)
		}
		mustApply(kept, tc.Op{Verb: tc.Add, Qdisc: &q})
	}
	return kept
}

// freeHandle is the highest below the root's that neither has.
func freeHandle(link string, a, b *tc.State) tc.Handle {
	major := uint16(rootMajor - 1)
	for a.HandleInUse(link, major) || b.HandleInUse(link, major) {
		major--
	}
	return tc.NewHandle(major, 0)
}
