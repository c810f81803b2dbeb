package bakery

import (
	"strings"
	"testing"
)

// TestLeafKinds: what the refusal of an unknown kind offers is taken, and all of it is offered.
func TestLeafKinds(t *testing.T) {
	err := CheckLeaf([]string{"caek diffserv4"})
	if err == nil || !strings.HasSuffix(err.Error(), `qdisc kind "caek": not modelled: a leaf is one of `+leafKinds) {
		t.Errorf("an unknown kind: %v", err)
	}
	for _, kind := range []string{"bfifo", "cake", "codel", "fq", "fq_codel", "netem", "pfifo", "sfq", "tbf", "htb", "mq", "clsact", "ingress"} {
		err := CheckLeaf([]string{kind})
		offered := strings.Contains(", "+leafKinds+",", " "+kind+",")
		if known := err == nil || kind == "tbf"; known != offered { // a tbf needs options
			t.Errorf("%s: offered %t, and %v", kind, offered, err)
		}
	}
}
