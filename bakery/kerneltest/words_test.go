package kerneltest

import (
	"errors"
	"syscall"
	"testing"

	"lqosd/bakery/tc"
)

// words are the numbers and texts with which Linux 6.18 refuses lines on small and deep.
var words = []struct {
	line   string
	number syscall.Errno
	text   string
}{
	{"qdisc add dev v0 root handle 7fff: mq", syscall.EEXIST, "Exclusivity flag on, cannot modify."},
	{"qdisc add dev v0 parent 1:2 handle 8003: pfifo", syscall.EEXIST, "NLM_F_REPLACE needed to override."},
	{"qdisc add dev v0 ingress", syscall.EEXIST, "Exclusivity flag on, cannot modify."},
	{"qdisc add dev v0 parent 1:5 handle 8001: pfifo", syscall.EINVAL, "Cannot move an existing qdisc to a different parent."},
	{"qdisc replace dev v0 parent 1:2 handle 8001: bfifo", syscall.EINVAL, "Invalid qdisc name: must match existing qdisc."},
	{"qdisc replace dev v0 ingress", syscall.EINVAL, "Invalid qdisc name: must match existing qdisc."},
	{"qdisc change dev v0 parent 7fff:1 htb default 3", syscall.EINVAL, "Change operation not supported by specified qdisc."},
	{"qdisc change dev v0 parent 1:5 pfifo limit 5", syscall.ENOENT, "Qdisc not found. To create specify NLM_F_CREATE flag."},
	{"qdisc change dev v0 handle 99: pfifo limit 3", syscall.ENOENT, "Specified qdisc not found."},
	{"qdisc add dev v0 parent 1:3 handle 8003: pfifo", syscall.EINVAL, "Invalid argument"},
	{"qdisc add dev v0 parent 7fff:5 handle 5: htb", syscall.ENOENT, "Specified class not found."},
	{"qdisc add dev v0 parent 9:1 handle 5: htb", syscall.ENOENT, "Failed to find specified qdisc."},
	{"qdisc add dev v0 parent ffff:9 handle 9: pfifo", syscall.EOPNOTSUPP, "Cannot add children to ingress/clsact qdisc."},
	{"qdisc add dev v0 parent 8001:1 handle 9: pfifo", syscall.EOPNOTSUPP, "Parent qdisc is not classful."},
	{"qdisc add dev v0 parent 7fff:3 handle 3: mq", syscall.EOPNOTSUPP, "Operation not supported"},
	{"qdisc add dev v0 parent 7fff:3 handle 3: htb offload", syscall.EOPNOTSUPP, "HTB must be the root qdisc to use offload."},
	{"qdisc replace dev v0 root handle 3: htb offload", syscall.EOPNOTSUPP, "hw-tc-offload ethtool feature flag must be on."},
	{"qdisc delete dev v0 parent 9:1", syscall.ENOENT, "Failed to find qdisc with specified classid."},
	{"qdisc delete dev v0 parent 1:99", syscall.ENOENT, "Specified class not found."},
	{"qdisc delete dev v0 parent 1:5", syscall.ENOENT, "Cannot delete qdisc with handle of zero."},
	{"qdisc delete dev v0 parent 1:5 handle 9:", syscall.EINVAL, "Invalid handle."},
	{"qdisc delete dev v0 parent 1:2 handle 9:", syscall.EINVAL, "Invalid handle."},
	{"qdisc delete dev v0 parent 1:3 handle 9:", syscall.ENOENT, "Cannot find specified qdisc on specified device."},
	{"qdisc delete dev v0 parent 1:2 handle 8001: bfifo", syscall.EINVAL, "Invalid qdisc name: must match existing qdisc."},
	{"qdisc delete dev v1 clsact", syscall.ENOENT, "Cannot find specified qdisc on specified device."},
	{"class add dev v0 parent 1:1 classid 1:2 htb rate 1mbit", syscall.EEXIST, "File exists"},
	{"class add dev v0 parent 9: classid 9:1 htb rate 1mbit", syscall.ENOENT, "No such file or directory"},
	{"class change dev v0 classid 1:99 htb rate 1mbit", syscall.ENOENT, "No such file or directory"},
	{"class delete dev v0 classid 1:1", syscall.EBUSY, "HTB class in use."},
	{"class add dev v0 parent 1: classid 1:99 htb rate 4bit", syscall.EINVAL, "Invalid argument"},
	{"class add dev v0 parent 8001: classid 8001:1 htb rate 1mbit", syscall.EINVAL, "Invalid argument"},
	{"class add dev v0 parent 2:8 classid 2:9 htb rate 1mbit", syscall.EINVAL, "sch_htb: tree is too deep."},
	{"class add dev v0 parent 7fff: classid 7fff:9 htb rate 1mbit", syscall.EOPNOTSUPP, "Operation not supported"},
	{"class add dev v0 parent ffff: classid ffff:9 htb rate 1mbit", syscall.EOPNOTSUPP, "Operation not supported"},
	{"class delete dev v0 classid 7fff:9", syscall.ENOENT, "No such file or directory"},
	{"class add dev nolink parent 1: classid 1:1 htb rate 1mbit", syscall.ENODEV, "No such device"},
}

func TestWords(t *testing.T) {
	f := New(Link{Name: "v0"}, Link{Name: "v1"})
	b := &bench{T: t, Subject: f}
	b.must(small + deep)
	for _, tt := range words {
		checkRefusal(t, f, b.parse(tt.line)[0], Errno{Number: tt.number, Text: tt.text})
	}
	v0 := func(q tc.Qdisc) *tc.Qdisc { q.Link = "v0"; return &q }
	checkRefusal(t, f, tc.Op{Verb: tc.Delete, Qdisc: v0(tc.Qdisc{Handle: tc.NewHandle(1, 0)})},
		Errno{Number: syscall.EINVAL, Text: "Classid cannot be zero."})
	checkRefusal(t, f, tc.Op{Verb: tc.Add, Qdisc: v0(tc.Qdisc{Parent: tc.Root, Handle: tc.NewHandle(9, 0), Options: tc.Pfifo{}})},
		Errno{Number: syscall.EEXIST, Text: "NLM_F_REPLACE needed to override."})
	checkRefusal(t, f, tc.Op{Verb: tc.Add, Class: &tc.Class{Link: "v0", ID: tc.NewHandle(1, 9), Parent: tc.NewHandle(2, 1), HTB: tc.HTBClass{Rate: 1e6}}},
		Errno{Number: syscall.EINVAL, Text: "Invalid argument"})
	b.want(small + deep)
	apply(t, f, "qdisc delete dev v0 clsact")
	checkRefusal(t, f, b.parse("qdisc delete dev v0 clsact")[0], Errno{Number: syscall.EINVAL, Text: "Invalid handle."})
	checkRefusal(t, f, tc.Op{Verb: tc.Add, Qdisc: v0(tc.Qdisc{Parent: tc.Ingress, Options: tc.Pfifo{}})},
		Errno{Number: syscall.EINVAL, Text: "Specified parent ID is reserved for ingress and clsact Qdiscs."})
}

func checkRefusal(t *testing.T, f *Fake, op tc.Op, want Errno) {
	t.Helper()
	r := f.Apply(t.Context(), []tc.Op{op})[0]
	var got Errno
	if !errors.As(r.Err, &got) || got.Number != want.Number || got.Text != want.Text {
		t.Errorf("%s: %v, want %s %q", op.Line(), r.Err, want.Number, want.Text)
	}
	if want.Number == syscall.ENOENT && !errors.Is(r.Err, tc.ErrNotFound) {
		t.Errorf("%s: %v wasn't found", op.Line(), r.Err)
	}
}
