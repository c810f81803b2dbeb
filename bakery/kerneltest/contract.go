package kerneltest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"

	"github.com/google/go-cmp/cmp"
)

// Subject is a kernel that a test can also treat as somebody else does. Only what mq, htb,
// tbf, pfifo, bfifo, clsact and ingress do is asked of it.
type Subject interface {
	bakery.Kernel
	// Meddle does tc lines as tc(8) does them.
	Meddle(lines ...string) error
	// AddLink makes a link, RemoveLink takes one away.
	AddLink(Link)
	RemoveLink(name string)
}

// Contract checks what bakery.Kernel promises, and that the kernel is what the rest of the
// program takes it for. newSubject makes a kernel that has these links with nothing on
// them; it is called once for each subtest, which run one after the other. Links are called
// v0 to v2; the MTU is 1500, the queue length 1000.
func Contract(t *testing.T, newSubject func(t *testing.T, links ...Link) Subject) {
	tests := []struct {
		name  string
		links []Link
		run   func(*bench)
	}{
		{"Empty", oneLink, testEmpty},
		{"RoundTrip", oneLink, testRoundTrip},
		{"SeveralLinks", twoLinks, testSeveralLinks},
		{"Identity", oneLink, testIdentity},
		{"Cancelled", oneLink, testCancelled},
		{"NoLink", oneLink, testNoLink},
		{"LinkReturns", oneLink, testLinkReturns},
		{"NotTried", oneLink, testNotTried},
		{"OneOfAThousand", oneLink, testOneOfAThousand},
		{"Errors", []Link{{Name: "v0"}, {Name: "v1", TxQueues: 1}}, testErrors},
		{"Quirks", oneLink, testQuirks},
		{"Warnings", oneLink, testWarnings},
		{"Plans", oneLink, testPlans},
		{"Execute", oneLink, testExecute},
		{"Watch", twoLinks, testWatch},
		{"WatchLinks", twoLinks, testWatchLinks},
		{"Random", oneLink, testRandom},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.run(&bench{T: t, Subject: newSubject(t, tt.links...)})
		})
	}
}

var (
	oneLink  = []Link{{Name: "v0"}}
	twoLinks = []Link{{Name: "v0"}, {Name: "v1"}}
)

// bench is a Subject under test. Its methods fail the test when they can't do what they
// are called.
type bench struct {
	*testing.T
	Subject
}

// run is a subtest with the same Subject.
func (b *bench) run(name string, f func(*bench)) {
	b.T.Run(name, func(t *testing.T) { f(&bench{T: t, Subject: b.Subject}) })
}

// parse reads tc lines; empty ones are left out.
func (b *bench) parse(script string) []tc.Op {
	b.Helper()
	var ops []tc.Op
	for _, line := range lines(script) {
		op, err := tc.ParseLine(line)
		if err != nil {
			b.Fatal(err)
		}
		ops = append(ops, op)
	}
	return ops
}

func lines(script string) []string {
	return slices.DeleteFunc(strings.Split(script, "\n"), func(l string) bool { return strings.TrimSpace(l) == "" })
}

// try applies a script.
func (b *bench) try(script string) []tc.Result {
	b.Helper()
	return b.apply(b.parse(script))
}

func (b *bench) apply(ops []tc.Op) []tc.Result {
	b.Helper()
	results := b.Apply(b.Context(), ops)
	if len(results) != len(ops) {
		b.Fatalf("%d results for %d ops", len(results), len(ops))
	}
	return results
}

// must applies what has to go well.
func (b *bench) must(script string) {
	b.Helper()
	b.mustApply(b.parse(script))
}

func (b *bench) mustApply(ops []tc.Op) {
	b.Helper()
	for i, r := range b.apply(ops) {
		if r.Err != nil {
			b.Fatalf("%s: %v", ops[i].Line(), r.Err)
		}
	}
}

// meddle does a script as somebody else.
func (b *bench) meddle(script string) {
	b.Helper()
	if err := b.Meddle(lines(script)...); err != nil {
		b.Fatal(err)
	}
}

// clear leaves nothing on link v0.
func (b *bench) clear() {
	b.Helper()
	b.mustApply(tc.Plan(b.observe().State, new(tc.State)))
}

// observe reads link v0, and makes sure that what is read is in the kernel's form.
func (b *bench) observe() tc.Observed {
	b.Helper()
	const link = "v0"
	all, err := b.Observe(b.Context(), []string{link}, nil)
	if err != nil {
		b.Fatal(err)
	}
	o, there := all[link]
	if !there || len(all) != 1 {
		b.Fatalf("Observe of %s tells of %d links", link, len(all))
	}
	for _, name := range o.State.Links() {
		if name != link {
			b.Errorf("the state of %s has %s", link, name)
		}
	}
	if d := tc.Diff(o.State, tc.Canonical(o.State, b.host(o))); len(d) != 0 {
		b.Errorf("what is observed isn't canonical: %v", d)
	}
	return o
}

// host is the Host with what was observed of link v0; the other links have the defaults.
func (b *bench) host(o tc.Observed) tc.Host {
	h := b.Host()
	h.Links = map[string]tc.LinkInfo{"v0": o.LinkInfo}
	return h
}

// wanted is the State that a script describes, in the kernel's form.
func (b *bench) wanted(script string) *tc.State {
	b.Helper()
	s, bad, err := tc.ParseScript(strings.NewReader(script))
	if err != nil || len(bad) != 0 {
		b.Fatal(err, bad)
	}
	return tc.Canonical(s, b.host(tc.Observed{LinkInfo: tc.LinkInfo{MTU: 1500, TxQueueLen: 1000}}))
}

// want makes sure that link v0 has what a script describes.
func (b *bench) want(script string) {
	b.Helper()
	b.wantState(b.observe().State, b.wanted(script))
}

func (b *bench) wantState(got, want *tc.State) {
	b.Helper()
	if d := tc.Diff(got, want); len(d) != 0 {
		b.Errorf("%d differences from what is wanted: %v\n%s", len(d), d[:min(len(d), 5)],
			cmp.Diff(tc.Script(want), tc.Script(got)))
	}
	if ops := tc.Plan(got, want); len(ops) != 0 {
		b.Errorf("there is still something to do: %s", ops[0].Line())
	}
}

// class is a class of link v0, which has to be there.
func (b *bench) class(id string) tc.Class {
	b.Helper()
	h, err := tc.ParseHandle(id)
	if err != nil {
		b.Fatal(err)
	}
	c, there := b.observe().State.Class("v0", h)
	if !there {
		b.Fatalf("class %s isn't there", id)
	}
	return c
}

// ended is a context that has ended.
func ended(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}
