package bakery_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

// stubborn is a fake kernel with hooks for what a Fake can't be told; those that are nil
// leave the Fake alone.
type stubborn struct {
	*kerneltest.Fake
	observe func(links []string) error                            // what an Observe fails with
	skip    func(tc.Op) bool                                      // ops that are answered with success, and not done
	applied func(ops []tc.Op)                                     // called after an Apply
	execute func(ctx context.Context, line string) error          // before an Execute
	watch   func(ctx context.Context, changed func(string)) error // instead of Watch
}

// on makes a bakery use k over its Fake.
func (k *stubborn) on(o *bakery.Options) {
	fake, _ := o.Kernel.(*kerneltest.Fake)
	k.Fake, o.Kernel = fake, k
}

func (k *stubborn) Observe(ctx context.Context, links []string, known map[string]*tc.State) (map[string]tc.Observed, error) {
	if k.observe != nil {
		if err := k.observe(links); err != nil {
			return nil, err
		}
	}
	return k.Fake.Observe(ctx, links, known)
}

func (k *stubborn) Apply(ctx context.Context, ops []tc.Op) []tc.Result {
	results := make([]tc.Result, 0, len(ops))
	if k.skip == nil {
		results = k.Fake.Apply(ctx, ops)
	} else {
		for i, op := range ops {
			if k.skip(op) {
				results = append(results, tc.Result{})
				continue
			}
			results = append(results, k.Fake.Apply(ctx, ops[i:i+1])...)
		}
	}
	if k.applied != nil {
		k.applied(ops)
	}
	return results
}

func (k *stubborn) Execute(ctx context.Context, line string) error {
	if k.execute != nil {
		if err := k.execute(ctx, line); err != nil {
			return err
		}
	}
	return k.Fake.Execute(ctx, line)
}

func (k *stubborn) Watch(ctx context.Context, changed func(string)) error {
	if k.watch != nil {
		return k.watch(ctx, changed)
	}
	return k.Fake.Watch(ctx, changed)
}

// outOfLuck is what a kernel says in these tests when it refuses.
var outOfLuck = kerneltest.Errno{Number: 22, Text: "out of luck", Kind: tc.ErrInvalid}

// ofClass matches the ops of a class.
func ofClass(major, minor uint16) func(tc.Op) bool {
	return func(op tc.Op) bool { return op.Class != nil && op.Class.ID == tc.NewHandle(major, minor) }
}

// clockCalls counts how often the bakery asks for the time: who does nothing doesn't.
func clockCalls(n *atomic.Int64) func(*bakery.Options) {
	return func(o *bakery.Options) { o.Now = func() time.Time { n.Add(1); return time.Now() } }
}

// has reports a qdisc that a link has at a place.
func (r *applyRig) has(link string, place tc.Handle) bool {
	_, ok := r.k.State(link).Qdisc(link, place)
	return ok
}

// hasClass reports a class that eth1 has.
func (r *applyRig) hasClass(major, minor uint16) bool {
	_, ok := r.k.State("eth1").Class("eth1", tc.NewHandle(major, minor))
	return ok
}

// wroteAbout reports a write since the last Reset that has a text in it.
func (r *applyRig) wroteAbout(text string) bool {
	return slices.ContainsFunc(r.k.Writes(), func(w string) bool { return strings.Contains(w, text) })
}

// killAfter starts the bakery, submits commands, and kills it ahead of op n of them.
func (r *applyRig) killAfter(n int, commands ...bakery.Command) {
	r.t.Helper()
	r.stop()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	h, err := bakery.Start(ctx, r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	<-time.After(time.Second) // of the bubble: it has compared
	ops := 0
	r.k.Before(func(tc.Op) {
		if ops++; ops == n {
			cancel()
		}
	})
	ticket, err := h.Submit(context.Background(), bakery.Submission{Commands: commands})
	if err != nil {
		r.t.Fatal(err)
	}
	ticket.Wait()
	<-time.After(100 * time.Millisecond)
	cancel()
	<-h.Done()
	r.k.Before(nil)
}
