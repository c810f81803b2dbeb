package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lqosd/internal/golden"
)

// TestSameTree builds every recorded network twice, with tc -batch and with the daemon, and compares what tc(8) shows.
func TestSameTree(t *testing.T) {
	for _, name := range smallCases(t) {
		t.Run(name, func(t *testing.T) {
			inField(t, name, func(f *field) { f.sameTree() })
		})
	}
}

// TestSameTreeOfThousand is TestSameTree of the largest network.
func TestSameTreeOfThousand(t *testing.T) {
	inField(t, thousand, func(f *field) { f.sameTree() })
}

// TestSameTreeWithCake is TestSameTree with the client's own leaves.
func TestSameTreeWithCake(t *testing.T) {
	t.Parallel()
	inCakeVM(t, 4096, func(t *testing.T) { // n1000 has 2,000 cakes of 1 MiB
		for _, name := range caseNames(t) {
			t.Run(name, func(t *testing.T) {
				inCakeField(t, name, func(f *field) { f.sameTree() })
			})
		}
	})
}

func caseNames(t testing.TB) []string {
	t.Helper()
	cases, err := golden.Cases(goldenDir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range cases {
		names = append(names, c.Name)
	}
	return names
}

// thousand is the recorded network with a thousand circuits, which takes longer than all others together.
const thousand = "n1000"

// smallCases are the recorded networks without the largest.
func smallCases(t testing.TB) []string {
	t.Helper()
	all := caseNames(t)
	small := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return name == thousand })
	if len(small)+1 != len(all) {
		t.Fatalf("%s is not among %v", thousand, all)
	}
	return small
}

func (f *field) sameTree() {
	f.tcBatch(f.batch())
	want := f.show()
	f.clear()
	f.serve()
	f.play(f.trace("trace.jsonl"))
	f.shows(want)
	if n := strings.Count(want, "\n"); n < 50 {
		f.t.Errorf("only %d lines were compared", n)
	}
	f.t.Logf("%d lines of tc -d are the same", strings.Count(want, "\n")+1)
	f.watch.count()
	f.play(f.trace("trace.jsonl"))
	f.wrote("the same once more", 0)
}

// TestTakeoverFromTC starts the daemon on a tree that the client built with tc(8): nothing is written.
func TestTakeoverFromTC(t *testing.T) {
	inField(t, "n1000", func(f *field) {
		f.tcBatch(f.batch())
		want := f.show()
		f.watch.count()
		f.serve()
		f.play(f.trace("trace-bulk.jsonl"))
		f.wrote("taking over", 0)
		f.shows(want)
	})
}

// TestRefresh counts the writes of everything that a client does every half hour.
func TestRefresh(t *testing.T) {
	inField(t, "n1000", func(f *field) {
		end := f.serve()
		whole := f.trace("trace.jsonl")
		f.play(whole)
		f.watch.count()
		f.play(whole)
		f.wrote("the whole trace again", 0)

		changed := f.changeRates(whole, 10) // of 1,000 circuits, in both directions
		f.play(changed)
		f.wrote("1 % of the circuits' rates", 20)

		more := append([]golden.Request{}, changed[:len(changed)-1]...)
		bulk := f.addToBulk(changed[len(changed)-1], "class add dev eth1 parent 0x1:1 classid 0x1:fff0 htb rate 5mbit ceil 50mbit prio 3 quantum 1522",
			"class add dev eth1 parent 0x1:fff0 classid 0x1:fff1 htb rate 1mbit ceil 10mbit prio 3 quantum 1522", "qdisc add dev eth1 parent 0x1:fff1 pfifo")
		f.play(append(more, bulk))
		f.wrote("a new site with a circuit", 3)
		f.play(changed)
		got := f.watch.count()
		if !onlyDeleted(got, "1fff0", "1fff1") {
			t.Errorf("removing the site wrote %v", got)
		}

		end()
		f.serve()
		f.applied()
		f.wrote("a restart with the kernel as it was", 0)
		f.sameAsLog()
	})
}

// onlyDeleted reports messages that tell of deletions, of these classes and their leaf alone.
func onlyDeleted(messages []string, classes ...string) bool {
	n := 0
	for _, m := range messages {
		for _, c := range classes {
			if strings.HasPrefix(m, "deleted class "+c+" ") {
				n++
			}
		}
		if !strings.HasPrefix(m, "deleted ") {
			return false
		}
	}
	return n == len(classes) && len(messages) <= len(classes)+1
}

// changeRates gives the lines of the first n circuits another ceil, in both directions.
func (f *field) changeRates(requests []golden.Request, n int) []golden.Request {
	f.t.Helper()
	changed := append([]golden.Request{}, requests...)
	last := &changed[len(changed)-1]
	text := string(last.Args)
	lines := strings.Split(text, `","`)
	left := map[string]int{"eth0": n, "eth1": n}
	for i, l := range lines {
		words := strings.Fields(l)
		if len(words) < 17 || words[0] != "class" || left[words[3]] == 0 || i+1 == len(lines) || !strings.HasPrefix(lines[i+1], "qdisc add dev "+words[3]) ||
			words[len(words)-4] != "prio" || words[len(words)-3] != "3" {
			continue
		}
		ceil := words[12]
		lines[i] = strings.Replace(l, "ceil "+ceil, "ceil 777.0mbit", 1)
		left[words[3]]--
	}
	if left["eth0"]+left["eth1"] > 0 {
		f.t.Fatalf("not enough circuits were found: %v", left)
	}
	last.Args = []byte(strings.Join(lines, `","`))
	return changed
}

// addToBulk adds tc lines to a BakeryExecuteTCCommands.
func (f *field) addToBulk(r golden.Request, lines ...string) golden.Request {
	f.t.Helper()
	at := strings.LastIndex(string(r.Args), `"]`)
	if r.Name != "BakeryExecuteTCCommands" || at < 0 {
		f.t.Fatalf("%s is no list of lines", r.Name)
	}
	text := string(r.Args)
	for _, l := range lines {
		add := fmt.Sprintf(`","%s`, l)
		text = text[:at] + add + text[at:]
		at += len(add)
	}
	r.Args = []byte(text)
	return r
}
