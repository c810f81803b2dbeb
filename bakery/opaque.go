package bakery

import (
	"cmp"
	"slices"
	"strings"

	"lqosd/eventlog"
)

// OpaqueLine is a tc line that no part of this program models: kept, rendered and
// run word for word, never compared.
type OpaqueLine struct {
	Seq  eventlog.Seq `json:"seq"`
	Line int          `json:"line"`           // its place in the record, from 0
	Link string       `json:"link,omitempty"` // "" when the line names none
	Text string       `json:"text"`
}

// Opaque gives the opaque lines in the order in which they were sent; one that was
// sent again stands where it was sent last.
func (t *Tree) Opaque() []OpaqueLine {
	return slices.SortedFunc(slices.Values(t.opaque.Values()), func(a, b OpaqueLine) int {
		return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Line, b.Line))
	})
}

// dropOpaque drops the opaque lines of a link whose root went.
func (t *Tree) dropOpaque(link string) {
	for _, o := range t.opaque.Values() {
		if o.Link == link {
			t.opaque.Delete(o.Text)
		}
	}
}

// linkOf finds the link of a line that isn't parsed: the word after "dev".
func linkOf(text string) string {
	words := strings.Fields(text)
	if i := slices.Index(words, "dev"); i >= 0 && i+1 < len(words) {
		return words[i+1]
	}
	return ""
}

// foreignKinds are the kinds of qdiscs and classes that tc(8) of iproute2 6.1 and later
// has and we don't model. Any other word in their place is a typing error.
var foreignKinds = []string{"atm", "blackhole", "cake_mq", "cbq", "cbs", "choke", "drr", "dsmark", "dualpi2", "etf", "ets",
	"fq_pie", "gred", "hfsc", "hhf", "mqprio", "multiq", "noqueue", "pfifo_fast", "pfifo_head_drop", "pie", "plug", "prio", "qfq",
	"red", "sfb", "skbprio", "taprio", "teql0"}

// foreignObjects are the objects of tc(8) that we don't model; its other words (monitor,
// exec) change nothing that belongs to a tree.
var foreignObjects = []string{"filter", "chain", "actions"}

// changesObject reports a line that changes one of foreignObjects.
func changesObject(words []string) bool {
	verbs := []string{"add", "change", "replace", "delete"}
	begins := func(word string, list []string) bool {
		return slices.ContainsFunc(list, func(w string) bool { return strings.HasPrefix(w, word) })
	}
	return len(words) > 1 && begins(words[0], foreignObjects) && begins(words[1], verbs)
}

// isOpaque tells a line that tc(8) may understand though we don't from one that
// nobody does.
func isOpaque(text string) bool {
	words := strings.Fields(text)
	if !strings.HasPrefix("qdisc", words[0]) && !strings.HasPrefix("class", words[0]) {
		return changesObject(words)
	}
	return slices.ContainsFunc(words, func(w string) bool { return slices.Contains(foreignKinds, w) })
}
