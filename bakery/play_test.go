package bakery_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
)

// stored gives payloads as a log does, from seq from on.
func stored(from eventlog.Seq, payloads [][]byte) iter.Seq2[eventlog.Record, error] {
	return func(yield func(eventlog.Record, error) bool) {
		for i, p := range payloads {
			if !yield(eventlog.Record{Seq: from + eventlog.Seq(i), Data: p}, nil) {
				return
			}
		}
	}
}

// oneByOne folds records as plainly as one can, up to the first that can't be folded.
func oneByOne(tree *bakery.Tree, payloads [][]byte) error {
	for _, p := range payloads {
		r, err := bakery.DecodeRecord(tree.Seq+1, p)
		if err != nil {
			return err
		}
		if err := bakery.Fold(tree, r); err != nil {
			return err
		}
	}
	return nil
}

// genPayloads are records of a log, or what might stand in one: some can't be folded, and the last may be cut off.
func genPayloads(t *rapid.T) [][]byte {
	var list [][]byte
	for _, c := range genCommands(t) {
		if e, ok := c.(bakery.ExecuteTCCommands); ok && rapid.IntRange(0, 3).Draw(t, "more lines") == 0 {
			e.Lines = append(slices.Clone(e.Lines), genLine(t, "eth1", 1, 3))
			if rapid.Bool().Draw(t, "opaque") { // also one that could be parsed
				e.Opaque = append(e.Opaque, len(e.Lines)-1)
			} else if rapid.Bool().Draw(t, "wrong") {
				e.Lines = append(e.Lines, "nonsense")
			}
			c = e
		}
		list = append(list, bakery.AppendRecord(nil, recordOf(bakery.NewTree(), c)))
	}
	if n := len(list); n > 0 && rapid.IntRange(0, 9).Draw(t, "torn") == 0 {
		list[n-1] = list[n-1][:rapid.IntRange(0, len(list[n-1])-1).Draw(t, "bytes")]
	}
	return list
}

// TestPlayIsFold: playing records gives the tree, or the error, that folding them one after the other does.
func TestPlayIsFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if rapid.Bool().Draw(t, "few are remembered") {
			defer bakery.RememberFew(rapid.IntRange(1, 6).Draw(t, "of them"), rapid.IntRange(10, 100).Draw(t, "bytes"))()
		}
		payloads := run(t, genCommands(t)).payloads
		payloads = append(payloads, payloads...) // the same again, as refreshes do
		if rapid.Bool().Draw(t, "anything") {
			payloads = append(payloads, genPayloads(t)...)
		}
		want, got := bakery.NewTree(), bakery.NewTree()
		wantErr := oneByOne(want, payloads)
		last := eventlog.Seq(math.MaxUint64)
		if rapid.Bool().Draw(t, "up to the last") && wantErr == nil {
			last = want.Seq
		}
		err := bakery.Play(context.Background(), got, stored(1, payloads), last)
		if fmt.Sprint(err) != fmt.Sprint(wantErr) {
			t.Fatalf("Play says %v, Fold %v", err, wantErr)
		}
		if !got.Equal(want) {
			t.Fatalf("Play gives another tree than Fold: record %d, %d", got.Seq, want.Seq)
		}
	})
}

// TestPlayStops: at the record that was asked for, when what it reads fails, and when its context ends.
func TestPlayStops(t *testing.T) {
	var payloads [][]byte
	for range 3000 {
		payloads = append(payloads, bakery.AppendRecord(nil, recordOf(bakery.NewTree(), bakery.ClearIPFlow{})))
	}
	tree := bakery.NewTree()
	touched := eventlog.Seq(0)
	err := bakery.Play(t.Context(), tree, func(yield func(eventlog.Record, error) bool) {
		for r, err := range stored(1, payloads) {
			if touched = r.Seq; !yield(r, err) {
				return
			}
		}
	}, 700)
	if err != nil || tree.Seq != 700 || touched != 700 {
		t.Errorf("up to 700: %v, at %d, read up to %d", err, tree.Seq, touched)
	}
	broken := errors.New("unreadable")
	err = bakery.Play(t.Context(), tree, func(yield func(eventlog.Record, error) bool) {
		for r, err := range stored(701, payloads[:10]) {
			if !yield(r, err) {
				return
			}
		}
		yield(eventlog.Record{}, broken)
	}, math.MaxUint64)
	if !errors.Is(err, broken) || tree.Seq != 710 {
		t.Errorf("after 10 records that can be read: %v, at %d", err, tree.Seq)
	}
	if err = bakery.Play(t.Context(), tree, stored(2000, payloads), math.MaxUint64); err == nil || tree.Seq != 710 {
		t.Errorf("over a gap: %v, at %d", err, tree.Seq)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err = bakery.Play(ctx, tree, stored(711, payloads), math.MaxUint64); !errors.Is(err, context.Canceled) {
		t.Errorf("without time: %v", err)
	}
}

// TestPlayRemembers: lines and leaves that come again are folded as if they were new, also more than Play remembers.
func TestPlayRemembers(t *testing.T) {
	h := history{tree: bakery.NewTree()}
	add := func(c bakery.Command) {
		r := recordOf(h.tree, c)
		if err := bakery.Fold(h.tree, r); err != nil {
			t.Fatal(err)
		}
		h.payloads = append(h.payloads, bakery.AppendRecord(nil, r))
	}
	add(bakery.MqSetup{R2Q: 10,
		Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake"}},
		Up:   bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake"}}})
	add(circuit("eth1", "1:", "5", 5, 10))
	var many []string
	for i := range 70_000 {
		many = append(many, fmt.Sprintf("class change dev eth1 classid 1:5 htb rate %dkbit", i+10))
	}
	add(lines(many...))
	for i := range 1500 {
		add(leaf("eth1", 1, 5, "pfifo", "limit", fmt.Sprint(i+1)))
	}
	add(lines(many[:10]...))
	add(bakery.ExecuteTCCommands{Lines: []string{many[0], many[1]}, Opaque: []int{1}}) // as a parser saw it that knew less
	got := bakery.NewTree()
	if err := bakery.Play(t.Context(), got, stored(1, h.payloads), math.MaxUint64); err != nil {
		t.Fatal(err)
	}
	if !got.Equal(h.tree) {
		t.Error("the tree is another one")
	}
}

// TestPlayMakesAnew: what a command made before isn't what it makes where its leaf has another handle, is gone, or has been named.
func TestPlayMakesAnew(t *testing.T) {
	h := history{tree: bakery.NewTree()}
	add := func(c bakery.Command) {
		r := recordOf(h.tree, c)
		if err := bakery.Fold(h.tree, r); err != nil {
			t.Fatal(err)
		}
		h.payloads = append(h.payloads, bakery.AppendRecord(nil, r))
	}
	setup := bakery.MqSetup{R2Q: 10,
		Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake"}},
		Up:   bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 2, CapacityMbps: 1000, SQM: []string{"cake"}}}
	refresh := func() {
		add(circuit("eth1", "1:", "5", 5, 10))
		add(leaf("eth1", 1, 5, "cake"))
		add(lines("qdisc replace dev eth1 parent 1:5 cake"))
		add(lines("class replace dev eth1 parent 1: classid 1:5 htb rate 9mbit", "class replace dev eth1 parent 1: classid 1:6 htb rate 1kbit"))
		add(leaf("eth1", 1, 5, "cake"))
	}
	want := map[int]string{} // by the number of records
	again := func() {
		refresh()
		want[len(h.payloads)] = h.tree.Hash()
	}
	add(setup)
	again()
	for _, handle := range []string{"9001", "9002"} { // which the leaf then keeps
		add(lines("qdisc replace dev eth1 parent 1:5 handle " + handle + ": pfifo"))
		again()
	}
	add(bakery.ClearPriorSettings{})
	add(setup)
	again()
	for n, hash := range want {
		got := bakery.NewTree()
		if err := bakery.Play(t.Context(), got, stored(1, h.payloads[:n]), math.MaxUint64); err != nil {
			t.Fatal(err)
		}
		if got.Hash() != hash {
			t.Errorf("after %d records the tree is another one", n)
		}
	}
}

// TestLeafIsNoted: a class's note tells which record set its leaf, also after the class was set again.
func TestLeafIsNoted(t *testing.T) {
	tree := bakery.NewTree()
	for _, step := range []struct {
		c    bakery.Command
		want eventlog.Seq
	}{
		{bakery.MqSetup{R2Q: 10,
			Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: []string{"cake"}},
			Up:   bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: []string{"cake"}}}, 0},
		{circuit("eth1", "1:", "5", 5, 10), 0},
		{leaf("eth1", 1, 5, "cake"), 3},
		{circuit("eth1", "1:", "5", 5, 20), 3},
		{lines("class replace dev eth1 parent 1: classid 1:5 htb rate 9mbit"), 3},
		{lines("qdisc replace dev eth1 parent 1:5 pfifo"), 6},
	} {
		if err := bakery.Fold(tree, recordOf(tree, step.c)); err != nil {
			t.Fatal(err)
		}
		if n, _ := tree.Note("eth1", tc.NewHandle(1, 5)); n.LeafSeq != step.want {
			t.Errorf("after record %d it is %d, want %d", tree.Seq, n.LeafSeq, step.want)
		}
	}
}
