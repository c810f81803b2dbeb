package main

import (
	"regexp"
	"strings"
	"testing"

	"lqosd/bakery/tc"
	"lqosd/internal/golden"
)

// shownLeaf is a qdisc in a class as tc(8) shows it.
var shownLeaf = regexp.MustCompile(`(?m)^qdisc (\w+) [0-9a-f]+: (?:dev \w+ )?parent ([0-9a-f]+:[0-9a-f]+) (.*)$`)

// leaves are the kinds of a link's leaves by their class, and the options that the kernel shows.
func (f *field) leaves(link string) map[string]string {
	f.t.Helper()
	all := map[string]string{}
	for _, m := range shownLeaf.FindAllStringSubmatch(command(f.t, "tc", "qdisc", "show", "dev", link), -1) {
		if !strings.HasPrefix(m[2], "7fff:") && m[1] != "clsact" {
			all[m[2]] = m[1] + " " + m[3]
		}
	}
	return all
}

// writtenLeaf is a leaf of a circuit in the words of clients.
var writtenLeaf = regexp.MustCompile(`(?m)^qdisc add dev (\w+) parent ([0-9a-f]+:[0-9a-f]+) (cake|fq_codel)(?: (diffserv4))?(?: rtt (\d+))?$`)

// TestHeadWithCake gives circuits the leaves that clients mean: a longer round-trip time for slow plans, fq_codel for fast
// ones, and what sqm_override says.
func TestHeadWithCake(t *testing.T) {
	t.Parallel() // its machine has one processor
	inCakeVM(t, 1024, func(t *testing.T) {
		inCakeField(t, "tree3_frac", func(f *field) {
			end := f.serve()
			head := trace(f.t, f.name, "trace-head.jsonl")
			f.play(head)
			f.headLeaves()
			f.watch.count()
			f.play(head)
			f.wrote("the same again", 0)
			f.overridden(head)
			end()
			f.serve()
			f.applied()
			f.wrote("a restart", 0)
			f.sameAsLog()
		})
	})
}

// headLeaves compares the leaves with what the client wrote.
func (f *field) headLeaves() {
	f.t.Helper()
	lines, err := recorded(f.name).HeadLines()
	if err != nil {
		f.t.Fatal(err)
	}
	rtts := map[string]int{}
	leaves := map[string]map[string]string{}
	for _, link := range f.links {
		leaves[link] = f.leaves(link)
	}
	for _, m := range writtenLeaf.FindAllStringSubmatch(lines, -1) {
		link, class, want := m[1], m[2], m[3]+" "
		if strings.HasSuffix(class, ":1") { // the default class is below it, and so it has no leaf
			continue
		}
		rtt := ""
		if m[3] == "cake" {
			if rtt = "100ms"; m[5] != "" {
				rtt = m[5] + "ms"
			}
		}
		got := leaves[link][class]
		if !strings.HasPrefix(got, want) || !strings.Contains(got, m[4]) || rtt != "" && !strings.Contains(got, " rtt "+rtt) {
			f.t.Errorf("the leaf of %s on %s is %q, want %q", class, link, got, m[0])
		}
		rtts[m[3]+rtt]++
		delete(leaves[link], class)
	}
	for _, kind := range []string{"cake100ms", "cake300ms", "cake180ms", "cake140ms", "cake120ms", "fq_codel"} {
		if rtts[kind] == 0 {
			f.t.Errorf("no leaf is %s: nothing is proven (%v)", kind, rtts)
		}
	}
	for link, more := range leaves {
		if len(more) > 0 {
			f.t.Errorf("%s has leaves that nobody asked for: %v", link, more)
		}
	}
}

// overridden sends the batch with sqm_override in its first circuits.
func (f *field) overridden(head []golden.Request) {
	f.t.Helper()
	for n, c := range []struct{ override, down, up string }{
		{"none", "", ""},
		{"cake", "cake .* diffserv4 .* rtt 100ms", "cake .* diffserv4 .* rtt 100ms"},
		{"fq_codel", "fq_codel ", "fq_codel "},
		{"fq_codel/none", "fq_codel ", ""},
		{"cake besteffort rtt 50ms/cake", "cake .* besteffort .* rtt 50ms", "cake .* diffserv4 "},
	} {
		var class string
		changed := editCircuit(f.t, head, n, func(args map[string]any) {
			class = tc.Handle(f.number(args["class_major"])<<16 | f.number(args["class_minor"])).String()
			args["sqm_override"] = c.override
		})
		f.play(changed)
		for link, want := range map[string]string{"eth1": c.down, "eth0": c.up} {
			got, there := f.leaves(link)[class]
			if there != (want != "") || !regexp.MustCompile("^"+want).MatchString(got) {
				f.t.Errorf("with override %q the leaf of %s on %s is %q, want %q", c.override, class, link, got, want)
			}
		}
	}
	f.sameAsLog()
	f.watch.count()
}
