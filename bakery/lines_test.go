package bakery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

const aFilter = "filter add dev eth1 parent 1: protocol ip u32 match u32 0 0 flowid 1:5"

// TestLinesThatChangeNothingAreRefused: of the lines that aren't modelled those are taken
// that change something.
func TestLinesThatChangeNothingAreRefused(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(smallNetwork()...)
	for _, line := range []string{"monitor", "exec bpf import /sys/fs/bpf/x", "filter show dev eth1", "filter", "chain list dev eth1",
		"actions ls action gact", "qdisc show dev eth1"} {
		if out := r.submit(bakery.ExecuteTCCommands{Lines: []string{line}}); out[0].Err == nil {
			t.Errorf("%s is accepted", line)
		}
	}
	for _, line := range []string{aFilter, "filter del dev eth1 parent 1:", "f r dev eth1 parent 1: matchall", "chain add dev eth1 parent 1: chain 1",
		"actions add action gact drop"} {
		if out := r.submit(bakery.ExecuteTCCommands{Lines: []string{line}}); out[0].Err != nil {
			t.Error(out[0].Err)
		}
	}
}

// TestOldLinesThatChangeNothingDoNotRun: a log may hold lines that wouldn't be accepted
// today. They are named, and nothing else waits for them.
func TestOldLinesThatChangeNothingDoNotRun(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.stop()
		log, err := openLog(r.dir)
		if err != nil {
			t.Fatal(err)
		}
		record := bakery.Record{Time: time.Now(), Command: opaque("monitor")}
		p, err := log.Enqueue(eventlog.Tx{Records: [][]byte{bakery.AppendRecord(nil, record)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		r.start()
		s := r.quiet(time.Minute)
		if ran := r.k.Executed(); len(ran) > 0 {
			t.Errorf("ran %q", ran)
		}
		if s.ProblemsTotal != 1 || s.Problems[0].Op != "monitor" || s.Problems[0].Seq != 8 {
			t.Errorf("problems: %+v", s.Problems)
		}
		if err := r.newest(aSite("9", 10)); err != nil || !r.hasClass(1, 9) {
			t.Errorf("a later record: %v", err)
		}
	})
}

// TestLineThatHangsIsEnded: a tc(8) that doesn't end has 10 seconds, and later records are
// applied.
func TestLineThatHangsIsEnded(t *testing.T) {
	k := &stubborn{execute: func(ctx context.Context, _ string) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Hour):
			return errors.New("it ran for an hour")
		}
	}}
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		began := time.Now()
		r.must(bakery.ExecuteTCCommands{Lines: []string{aFilter}})
		r.quiet(time.Second)
		if err := r.newest(aSite("9", 10)); err != nil || !r.hasClass(1, 9) {
			t.Errorf("a later record: %v", err)
		}
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("the line was ended after %v", took)
		}
		if s := r.quiet(time.Minute); s.ProblemsTotal != 1 || s.Problems[0].Seq != 8 || !strings.Contains(s.Problems[0].Error, "deadline") {
			t.Errorf("problems: %+v", s.Problems)
		}
	}, k.on)
}

// TestQdiscOfALineStays: a qdisc of a kind that isn't modelled is the line's business.
func TestQdiscOfALineStays(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.must(aCircuit("1:4", "7", 1))
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 parent 1:7 handle 77: sfb"}})
		r.applied()
		for range 3 {
			if s := r.quiet(time.Minute); !r.has("eth1", tc.NewHandle(1, 7)) || s.Phase != bakery.PhaseInSync || len(r.k.Executed()) != 1 {
				t.Fatalf("ran %q, drift %q, status %+v", r.k.Executed(), r.drift(), s)
			}
		}
	})
}

// TestLineOnAnEmptyLinkRuns: a line needs nothing else of ours on its link.
func TestLineOnAnEmptyLinkRuns(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc add dev eth1 root handle 1: prio"}})
		r.applied()
		if ran := r.k.Executed(); len(ran) != 1 {
			t.Errorf("ran %q", ran)
		}
	})
}

// TestLineRunsAgainWithItsHTB: the filters of an HTB go with it, also below an mq that
// stays.
func TestLineRunsAgainWithItsHTB(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.must(bakery.ExecuteTCCommands{Lines: []string{aFilter}})
		r.applied()
		r.meddle("qdisc delete dev eth1 parent 7fff:1")
		r.quiet(time.Minute)
		r.inSync()
		if ran := r.k.Executed(); len(ran) != 2 {
			t.Errorf("ran %q", ran)
		}
	})
}

// TestLineDoesNotRunAgainWithALeaf: no filter of an HTB goes with a leaf of another kind, and one that is added again would be there twice.
func TestLineDoesNotRunAgainWithALeaf(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.must(aCircuit("1:4", "7", 1), bakery.ExecuteTCCommands{Lines: []string{aFilter, "qdisc add dev eth1 parent 1:7 pfifo"}})
		r.applied()
		r.must(bakery.ExecuteTCCommands{Lines: []string{"qdisc replace dev eth1 parent 1:7 bfifo limit 10000"}})
		r.applied()
		if q, ok := r.k.State("eth1").Qdisc("eth1", tc.NewHandle(1, 7)); !ok || q.Options.Kind() != "bfifo" {
			t.Errorf("the leaf is %+v", q)
		}
		if ran := r.k.Executed(); len(ran) != 1 {
			t.Errorf("ran %q", ran)
		}
	})
}

// TestManyLinesRunOnce: the cursor remembers more lines than it has room for.
func TestManyLinesRunOnce(t *testing.T) {
	var many []string
	for i := range 4000 {
		many = append(many, fmt.Sprintf("filter add dev eth1 parent 1: protocol ip u32 match u32 %d 0 flowid 1:5", i))
	}
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.must(bakery.ExecuteTCCommands{Lines: many})
		r.applied()
		r.quiet(time.Minute)
		if n := len(r.k.Executed()); n != len(many) {
			t.Errorf("%d runs", n)
		}
		r.restart()
		r.applied()
		r.quiet(time.Minute)
		if n := len(r.k.Executed()); n != len(many) {
			t.Errorf("%d runs after a restart", n)
		}
	})
}
