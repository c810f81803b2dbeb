package kerneltest

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"lqosd/bakery/tc"
)

// How much testRandom tries.
const randomRuns, randomApplies = 40, 25

// testRandom does the same random ops to the Subject and to a Fake: both answer the same,
// and have the same then. Of the Fake itself it makes sure that it is deterministic. The
// seed of a run that fails is in its name.
func testRandom(b *bench) {
	for seed := range uint64(randomRuns) {
		b.run(fmt.Sprintf("seed-%d", seed), func(b *bench) {
			b.clear()
			model := New(oneLink...)
			g := gen{rand.New(rand.NewPCG(seed, 0))}
			if seed%2 == 0 { // from something else than nothing
				b.must(small)
				model.Apply(b.Context(), b.parse(small))
			}
			for range randomApplies {
				ops := g.ops(1 + g.IntN(6))
				want := model.Apply(b.Context(), ops)
				b.sameResults(ops, b.apply(ops), want)
				b.wantState(b.observe().State, model.State("v0"))
				if b.Failed() {
					b.Fatalf("the Fake had done:\n%s", model.Writes())
				}
			}
		})
	}
}

// sameResults makes sure that two kernels said the same.
func (b *bench) sameResults(ops []tc.Op, got, want []tc.Result) {
	b.Helper()
	for i := range ops {
		if (got[i].Err == nil) != (want[i].Err == nil) || got[i].Warning != want[i].Warning ||
			errors.Is(got[i].Err, tc.ErrNotTried) != errors.Is(want[i].Err, tc.ErrNotTried) {
			b.Errorf("%s: %v, warning %q; the Fake says %v, %q", ops[i].Line(),
				got[i].Err, got[i].Warning, want[i].Err, want[i].Warning)
		}
	}
}

// gen makes random ops that often fit together: few names, few places. Handles are always
// given, for the kernel's choice depends on what it chose before.
type gen struct{ *rand.Rand }

func (g gen) ops(n int) []tc.Op {
	ops := make([]tc.Op, n)
	for i := range ops {
		if g.IntN(3) > 0 {
			ops[i] = g.classOp()
		} else {
			ops[i] = g.qdiscOp()
		}
	}
	return ops
}

func (g gen) verb() tc.Verb {
	return []tc.Verb{tc.Add, tc.Add, tc.Add, tc.Replace, tc.Replace, tc.Change, tc.Delete}[g.IntN(7)]
}

func (g gen) classOp() tc.Op {
	major := uint16(1 + g.IntN(3))
	c := &tc.Class{Link: "v0", ID: tc.NewHandle(major, uint16(1+g.IntN(6)))}
	switch g.IntN(6) {
	case 0:
	case 1:
		c.Parent = tc.Root
	case 2:
		c.Parent = tc.NewHandle(major, 0)
	default:
		c.Parent = tc.NewHandle(major, uint16(1+g.IntN(6)))
	}
	c.HTB.Rate = []tc.Rate{8000, 1e6, 3333333, 10e6, 2e9}[g.IntN(5)]
	if g.IntN(2) == 0 {
		c.HTB.Ceil = c.HTB.Rate * 2
		c.HTB.Quantum = uint32(1000 + g.IntN(5))
		c.HTB.Prio = uint32(g.IntN(9))
	}
	return tc.Op{Verb: g.verb(), Class: c}
}

func (g gen) qdiscOp() tc.Op {
	q := &tc.Qdisc{Link: "v0", Handle: tc.NewHandle(uint16(1+g.IntN(3)), 0)}
	verb := g.verb()
	switch g.IntN(10) {
	case 0:
		q.Parent, q.Handle, q.Options = tc.Root, tc.NewHandle(0x7fff, 0), tc.MQ{}
	case 1:
		q.Parent, q.Handle, q.Options = tc.Ingress, 0, []tc.Options{tc.Clsact{}, tc.IngressQdisc{}}[g.IntN(2)]
	case 2, 3:
		q.Parent, q.Options = tc.Root, tc.HTB{Default: uint32(g.IntN(2))}
	case 4, 5:
		q.Parent, q.Options = tc.NewHandle(0x7fff, uint16(1+g.IntN(5))), tc.HTB{}
	default:
		q.Parent, q.Options = tc.NewHandle(uint16(1+g.IntN(3)), uint16(1+g.IntN(6))), g.leaf()
		q.Handle = tc.NewHandle(uint16(0x11+g.IntN(4)), 0)
		if g.IntN(5) == 0 {
			q.Parent = tc.NewHandle(uint16(0x11+g.IntN(4)), 1)
		}
	}
	if verb == tc.Delete {
		q.Options = nil
		if g.IntN(2) == 0 && q.Parent != tc.Ingress {
			q.Handle = 0
		}
	}
	return tc.Op{Verb: verb, Qdisc: q}
}

func (g gen) leaf() tc.Options {
	limit := tc.Some(uint32(2000 + g.IntN(5)))
	switch g.IntN(4) {
	case 0:
		return tc.Pfifo{Limit: limit}
	case 1:
		return tc.Bfifo{Limit: limit}
	case 2:
		return tc.Tbf{Rate: 1e6, Burst: 10000, Limit: 20000 + uint32(g.IntN(3))}
	}
	return tc.Pfifo{}
}
