package kerneltest

import (
	"errors"
	"slices"
	"strings"

	"lqosd/bakery/tc"
)

// small is a tree on which every refusal can be shown. Class 1:5 has no leaf.
const small = `
qdisc add dev v0 root handle 7fff: mq
qdisc add dev v0 parent 7fff:1 handle 1: htb default 2
qdisc add dev v0 parent 7fff:2 handle 2: htb default 2
class add dev v0 parent 1: classid 1:1 htb rate 100mbit quantum 2000
class add dev v0 parent 1:1 classid 1:2 htb rate 10mbit quantum 2000
class add dev v0 parent 1:1 classid 1:3 htb rate 10mbit quantum 2000
class add dev v0 parent 1:3 classid 1:4 htb rate 10mbit quantum 2000
class add dev v0 parent 1:1 classid 1:5 htb rate 10mbit quantum 2000
qdisc add dev v0 parent 1:2 handle 8001: pfifo limit 100
qdisc add dev v0 parent 1:4 handle 8002: bfifo limit 5k
qdisc add dev v0 clsact
`

// deep has as many classes below each other as there can be.
const deep = `
class add dev v0 parent 2: classid 2:1 htb rate 1mbit quantum 2000
class add dev v0 parent 2:1 classid 2:2 htb rate 1mbit quantum 2000
class add dev v0 parent 2:2 classid 2:3 htb rate 1mbit quantum 2000
class add dev v0 parent 2:3 classid 2:4 htb rate 1mbit quantum 2000
class add dev v0 parent 2:4 classid 2:5 htb rate 1mbit quantum 2000
class add dev v0 parent 2:5 classid 2:6 htb rate 1mbit quantum 2000
class add dev v0 parent 2:6 classid 2:7 htb rate 1mbit quantum 2000
class add dev v0 parent 2:7 classid 2:8 htb rate 1mbit quantum 2000
`

// What a refusal can be: what is added and finds nothing has no parent, or was not found;
// EINVAL is not told apart by what the kernel says with it.
var (
	taken     = []error{tc.ErrExists}
	absent    = []error{tc.ErrNotFound}
	orphan    = []error{tc.ErrNoParent}
	wrong     = []error{tc.ErrInvalid}
	lacking   = []error{tc.ErrNotSupported}
	unchanged = []error{tc.ErrNotSupported, tc.ErrInvalid}
)

// refusals are lines that the kernel refuses on small and deep, and any of the errors that
// it may be.
var refusals = []struct {
	name, line string
	want       []error
}{
	{"root is taken", "qdisc add dev v0 root handle 7fff: mq", taken},
	{"root is taken by another", "qdisc add dev v0 root handle 7ffe: htb", taken},
	{"leaf is taken", "qdisc add dev v0 parent 1:2 handle 8001: pfifo", taken},
	{"leaf is taken by another", "qdisc add dev v0 parent 1:2 handle 8003: pfifo", taken},
	{"class is there", "class add dev v0 parent 1:1 classid 1:2 htb rate 5mbit", taken},
	{"class is there, below another", "class add dev v0 parent 1:3 classid 1:2 htb rate 5mbit", taken},
	{"clsact is there", "qdisc add dev v0 clsact", taken},
	{"clsact is in the way", "qdisc add dev v0 ingress", taken},
	{"change to another handle", "qdisc change dev v0 parent 1:2 handle 8003: pfifo limit 5", taken},

	{"no class to change", "class change dev v0 parent 1:1 classid 1:99 htb rate 5mbit", absent},
	{"no class to delete", "class delete dev v0 classid 1:99", absent},
	{"no HTB for a class", "class add dev v0 parent 9: classid 9:1 htb rate 1mbit", orphan},
	{"no leaf to change", "qdisc change dev v0 parent 1:5 pfifo limit 5", absent},
	{"no leaf to delete", "qdisc delete dev v0 parent 1:5", absent},
	{"no leaf below a class with children", "qdisc delete dev v0 parent 1:3", absent},
	{"no class for a qdisc to delete", "qdisc delete dev v0 parent 1:99", absent},
	{"no qdisc for a qdisc to delete", "qdisc delete dev v0 parent 9:99", absent},
	{"no class for a leaf", "qdisc add dev v0 parent 1:99 handle 8003: pfifo", orphan},
	{"no qdisc for a leaf", "qdisc add dev v0 parent 9:1 handle 8003: pfifo", orphan},
	{"the HTB is no class", "qdisc add dev v0 parent 1: handle 8003: pfifo", orphan},
	{"no such queue", "qdisc add dev v0 parent 7fff:5 handle 5: htb", orphan},
	{"leaf has another handle", "qdisc delete dev v0 parent 1:2 handle 8003:", []error{tc.ErrNotFound, tc.ErrInvalid}},
	{"no leaf with the handle", "qdisc delete dev v0 parent 1:5 handle 8003:", []error{tc.ErrNotFound, tc.ErrInvalid}},

	{"class with children", "class delete dev v0 classid 1:1", []error{tc.ErrBusy}},

	{"handle is elsewhere, add", "qdisc add dev v0 parent 1:5 handle 8001: pfifo", wrong},
	{"handle is elsewhere, replace", "qdisc replace dev v0 parent 1:5 handle 8001: pfifo", wrong},
	{"handle is elsewhere, change", "qdisc change dev v0 parent 1:5 handle 8001: pfifo", wrong},
	{"handle is below", "qdisc replace dev v0 root handle 1: htb", wrong},
	{"another kind, replace", "qdisc replace dev v0 parent 1:2 handle 8001: bfifo", wrong},
	{"another kind, change", "qdisc change dev v0 parent 1:2 handle 8001: bfifo", wrong},
	{"another kind, clsact", "qdisc replace dev v0 ingress", wrong},
	{"leaf of a class with children", "qdisc add dev v0 parent 1:3 handle 8003: pfifo", wrong},
	{"class of a pfifo", "class add dev v0 parent 8001: classid 8001:1 htb rate 1mbit", wrong},
	{"ninth below each other", "class add dev v0 parent 2:8 classid 2:9 htb rate 1mbit", wrong},
	{"no rate", "class add dev v0 parent 1:1 classid 1:6 htb rate 4bit", wrong},
	{"change to no rate", "class change dev v0 parent 1:1 classid 1:2 htb rate 4bit", wrong},

	{"HTB can't change", "qdisc change dev v0 parent 7fff:1 handle 1: htb default 3", unchanged},
	{"HTB can't change by a replace", "qdisc replace dev v0 parent 7fff:1 handle 1: htb default 3", unchanged},
	{"HTB can't change to what it is", "qdisc replace dev v0 parent 7fff:1 handle 1: htb default 2", unchanged},
	{"mq isn't for a queue", "qdisc add dev v0 parent 7fff:3 handle 3: mq", lacking},
	{"mq isn't for one queue", "qdisc add dev v1 root handle 7fff: mq", lacking},
	{"HTB can't offload", "qdisc add dev v0 parent 7fff:3 handle 3: htb offload", lacking},
	{"pfifo has no classes", "qdisc add dev v0 parent 8001:1 handle 8003: pfifo", lacking},
	{"mq has no other classes", "class add dev v0 parent 7fff: classid 7fff:9 htb rate 1mbit", lacking},
	{"mq keeps its classes", "class delete dev v0 classid 7fff:1", lacking},
	{"mq doesn't change its classes", "class change dev v0 parent 7fff: classid 7fff:1 htb rate 1mbit", lacking},
	{"mq has its classes", "class add dev v0 parent 7fff: classid 7fff:1 htb rate 1mbit", taken},
}

// testErrors makes sure that what is refused is refused for the right reason, and changes
// nothing.
func testErrors(b *bench) {
	b.must(small + deep)
	for _, tt := range refusals {
		b.run(strings.ReplaceAll(tt.name, " ", "_"), func(b *bench) {
			r := b.try(tt.line)[0]
			if !slices.ContainsFunc(tt.want, func(kind error) bool { return errors.Is(r.Err, kind) }) {
				b.Errorf("%s: %v, want one of %q", tt.line, r.Err, tt.want)
			}
			if r.Warning != "" {
				b.Errorf("what failed has the warning %q", r.Warning)
			}
			b.want(small + deep)
		})
	}
}
