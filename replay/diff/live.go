package diff

import (
	"fmt"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// Live is what a kernel has: whoever can reach one reads it for CompareKernel.
type Live struct {
	Host  tc.Host
	Links map[string]tc.Observed // a link that isn't there is missing
	// Dataplane is what steers packets to the classes; nil where that isn't known, and then
	// mappings aren't compared.
	Dataplane *LiveSteers
	// Unsteered says that there is no dataplane, where one is expected.
	Unsteered bool
}

// CompareKernel tells what has to happen to a kernel so that it has what the Tree after
// record at asks for. Leaf handles that no client chose aren't compared, nor what the
// kernel has on other links and on queues that the Tree leaves alone, and a clsact or ingress qdisc, or the root of a link on which
// the Tree has nothing, isn't ours.
func CompareKernel(at eventlog.Seq, t *bakery.Tree, live Live) Report {
	r := Report{From: "kernel", To: fmt.Sprintf("record %d", at), Live: true, Differences: []Difference{}, trees: []*bakery.Tree{t}}
	name := NameOf(t, t)
	kernel := map[string]*tc.State{} // by link
	host := live.Host
	host.Links = map[string]tc.LinkInfo{}
	for link, o := range live.Links {
		host.Links[link] = o.LinkInfo
	}
	for _, link := range t.Links() {
		wanted := tc.Canonical(t.State().Only(link), host)
		o, there := live.Links[link]
		if !there && t.State().QdiscCount(link) == 0 {
			continue // the Tree had something on it once
		}
		if !there {
			r.add(Difference{Object: "link", Link: link, ID: link, To: "link " + link})
			o.State = &tc.State{}
		}
		has := bakery.Scope(link, o.State, wanted)
		kernel[link] = has
		for _, c := range tc.Diff(has, bakery.KeepQueues(link, wanted, has)) {
			if !onlyLeafHandle(c, t.State()) || t.HandleMatters(*c.To.Qdisc) {
				r.add(newDifference(c, name))
			}
		}
	}
	switch n := t.MappingCount(); {
	case live.Dataplane != nil:
		r.steers(t, live)
	case live.Unsteered && n > 0:
		r.add(Difference{Object: "mapping", ID: "all", To: fmt.Sprintf("%d address mappings, where nothing of lqosd steers", n)})
	}
	r.place(newView(kernel, t), treeView(t, t))
	return r
}
