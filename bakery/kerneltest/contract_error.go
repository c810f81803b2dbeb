package kerneltest

import (
	"errors"
	"slices"
	"strings"

	"lqosd/bakery/tc"
)

// small is a tree on which every refusal can be shown. Class 1:5 has no leaf.
const small = `
qdisc add dev a root handle 7fff: mq
qdisc add dev a parent 7fff:1 handle 1: htb default 2
qdisc add dev a parent 7fff:2 handle 2: htb default 2
class add dev a parent 1: classid 1:1 htb rate 100mbit quantum 2000
class add dev a parent 1:1 classid 1:2 htb rate 10mbit quantum 2000
class add dev a parent 1:1 classid 1:3 htb rate 10mbit quantum 2000
class add dev a parent 1:3 classid 1:4 htb rate 10mbit quantum 2000
class add dev a parent 1:1 classid 1:5 htb rate 10mbit quantum 2000
qdisc add dev a parent 1:2 handle 8001: pfifo limit 100
qdisc add dev a parent 1:4 handle 8002: bfifo limit 5k
qdisc add dev a clsact
`

// deep has as many classes below each other as there can be.
const deep = `
class add dev a parent 2: classid 2:1 htb rate 1mbit quantum 2000
class add dev a parent 2:1 classid 2:2 htb rate 1mbit quantum 2000
class add dev a parent 2:2 classid 2:3 htb rate 1mbit quantum 2000
class add dev a parent 2:3 classid 2:4 htb rate 1mbit quantum 2000
class add dev a parent 2:4 classid 2:5 htb rate 1mbit quantum 2000
class add dev a parent 2:5 classid 2:6 htb rate 1mbit quantum 2000
class add dev a parent 2:6 classid 2:7 htb rate 1mbit quantum 2000
class add dev a parent 2:7 classid 2:8 htb rate 1mbit quantum 2000
`

// missing are the two errors that ENOENT can be: nobody decides by which.
var missing = []error{tc.ErrNotFound, tc.ErrNoParent}

// refusals are lines that the kernel refuses on small and deep, and any of the errors that
// it may be.
var refusals = []struct {
	name, line string
	want       []error
}{
	{"root is taken", "qdisc add dev a root handle 7fff: mq", []error{tc.ErrExists}},
	{"root is taken by another", "qdisc add dev a root handle 7ffe: htb", []error{tc.ErrExists}},
	{"leaf is taken", "qdisc add dev a parent 1:2 handle 8001: pfifo", []error{tc.ErrExists}},
	{"leaf is taken by another", "qdisc add dev a parent 1:2 handle 8003: pfifo", []error{tc.ErrExists}},
	{"class is there", "class add dev a parent 1:1 classid 1:2 htb rate 5mbit", []error{tc.ErrExists}},
	{"class is there, below another", "class add dev a parent 1:3 classid 1:2 htb rate 5mbit", []error{tc.ErrExists}},
	{"clsact is there", "qdisc add dev a clsact", []error{tc.ErrExists}},
	{"clsact is in the way", "qdisc add dev a ingress", []error{tc.ErrExists}},
	{"change to another handle", "qdisc change dev a parent 1:2 handle 8003: pfifo limit 5", []error{tc.ErrExists}},

	{"no class to change", "class change dev a parent 1:1 classid 1:99 htb rate 5mbit", missing},
	{"no class to delete", "class delete dev a classid 1:99", missing},
	{"no HTB for a class", "class add dev a parent 9: classid 9:1 htb rate 1mbit", missing},
	{"no leaf to change", "qdisc change dev a parent 1:5 pfifo limit 5", missing},
	{"no leaf to delete", "qdisc delete dev a parent 1:5", missing},
	{"no leaf below a class with children", "qdisc delete dev a parent 1:3", missing},
	{"no class for a qdisc to delete", "qdisc delete dev a parent 1:99", missing},
	{"no qdisc for a qdisc to delete", "qdisc delete dev a parent 9:99", missing},
	{"no class for a leaf", "qdisc add dev a parent 1:99 handle 8003: pfifo", missing},
	{"no qdisc for a leaf", "qdisc add dev a parent 9:1 handle 8003: pfifo", missing},
	{"the HTB is no class", "qdisc add dev a parent 1: handle 8003: pfifo", missing},
	{"no such queue", "qdisc add dev a parent 7fff:5 handle 5: htb", missing},
	{"leaf has another handle", "qdisc delete dev a parent 1:2 handle 8003:", append(missing, tc.ErrInvalid)},
	{"no leaf with the handle", "qdisc delete dev a parent 1:5 handle 8003:", append(missing, tc.ErrInvalid)},

	{"class with children", "class delete dev a classid 1:1", []error{tc.ErrBusy}},

	{"handle is elsewhere, add", "qdisc add dev a parent 1:5 handle 8001: pfifo", []error{tc.ErrInvalid}},
	{"handle is elsewhere, replace", "qdisc replace dev a parent 1:5 handle 8001: pfifo", []error{tc.ErrInvalid}},
	{"handle is elsewhere, change", "qdisc change dev a parent 1:5 handle 8001: pfifo", []error{tc.ErrInvalid}},
	{"handle is below", "qdisc replace dev a root handle 1: htb", []error{tc.ErrInvalid}},
	{"another kind, replace", "qdisc replace dev a parent 1:2 handle 8001: bfifo", []error{tc.ErrInvalid}},
	{"another kind, change", "qdisc change dev a parent 1:2 handle 8001: bfifo", []error{tc.ErrInvalid}},
	{"another kind, clsact", "qdisc replace dev a ingress", []error{tc.ErrInvalid}},
	{"leaf of a class with children", "qdisc add dev a parent 1:3 handle 8003: pfifo", []error{tc.ErrInvalid}},
	{"class of a pfifo", "class add dev a parent 8001: classid 8001:1 htb rate 1mbit", []error{tc.ErrInvalid}},
	{"ninth below each other", "class add dev a parent 2:8 classid 2:9 htb rate 1mbit", []error{tc.ErrInvalid}},
	{"no rate", "class add dev a parent 1:1 classid 1:6 htb rate 4bit", []error{tc.ErrInvalid}},
	{"change to no rate", "class change dev a parent 1:1 classid 1:2 htb rate 4bit", []error{tc.ErrInvalid}},

	{"HTB can't change", "qdisc change dev a parent 7fff:1 handle 1: htb default 3", []error{tc.ErrNotSupported}},
	{"HTB can't change by a replace", "qdisc replace dev a parent 7fff:1 handle 1: htb default 3", []error{tc.ErrNotSupported}},
	{"HTB can't change to what it is", "qdisc replace dev a parent 7fff:1 handle 1: htb default 2", []error{tc.ErrNotSupported}},
	{"mq isn't for a queue", "qdisc add dev a parent 7fff:3 handle 3: mq", []error{tc.ErrNotSupported}},
	{"mq isn't for one queue", "qdisc add dev b root handle 7fff: mq", []error{tc.ErrNotSupported}},
	{"HTB can't offload", "qdisc add dev a parent 7fff:3 handle 3: htb offload", []error{tc.ErrNotSupported}},
	{"pfifo has no classes", "qdisc add dev a parent 8001:1 handle 8003: pfifo", []error{tc.ErrNotSupported}},
	{"mq has no other classes", "class add dev a parent 7fff: classid 7fff:9 htb rate 1mbit", []error{tc.ErrNotSupported}},
	{"mq keeps its classes", "class delete dev a classid 7fff:1", []error{tc.ErrNotSupported}},
	{"mq doesn't change its classes", "class change dev a parent 7fff: classid 7fff:1 htb rate 1mbit", []error{tc.ErrNotSupported}},
	{"mq has its classes", "class add dev a parent 7fff: classid 7fff:1 htb rate 1mbit", []error{tc.ErrExists}},
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
