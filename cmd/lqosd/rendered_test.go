package main

import (
	"strings"
	"testing"

	"lqosd/bus"
	"lqosd/internal/lqosconf"
)

// TestRenderedIsTheTree gives the state form of a recorded network's log to tc -batch, on links with an MTU and a queue of
// their own: then nothing differs from the log. A line that isn't modelled does what it did.
func TestRenderedIsTheTree(t *testing.T) {
	for _, name := range []string{"example", "stick_flat", "tree3_frac"} {
		t.Run(name, func(t *testing.T) {
			inField(t, name, func(f *field) { f.rendered() })
		})
	}
}

func (f *field) rendered() {
	end := f.serveIn(f.t, lqosconf.ModeFile) // the kernel gets nothing of it
	requests := f.trace("trace.jsonl")
	link := f.links[0]
	filter := `"BakeryExecuteTCCommands":{"commands":["filter add dev ` + link + ` parent 1: protocol ip prio 7 u32 match u32 0 0 flowid 1:2"],"force_mode":false}`
	mustPlay(f.t, connect(f.t, f.place, bus.CBOR), append(requests, asRequest(f.t, filter)), 1024)
	end()
	command(f.t, "ip", "link", "set", link, "mtu", "9000", "txqueuelen", "77")
	diff := []string{"diff", f.logDir(), "--live", "--no-maps"}
	if code, out, diag := f.run(f.t, program(f.t, "bakery-replay"), diff...); code != 1 {
		f.t.Fatalf("before: exit code %d, want 1\n%s%s", code, out, diag)
	}
	for _, link := range f.links { // one after the other, as where a link comes later
		f.tcBatch(f.render(f.t, "--form", "state", "--link", link))
	}
	if code, out, diag := f.run(f.t, program(f.t, "bakery-replay"), diff...); code != 0 {
		f.t.Errorf("exit code %d, want 0\n%s%s", code, out[:min(len(out), 4000)], diag)
	}
	if got := command(f.t, "tc", "filter", "show", "dev", link, "parent", "1:"); !strings.Contains(got, "pref 7 u32") {
		f.t.Errorf("the filter isn't there: %q", got)
	}
	command(f.t, "tc", "class", "add", "dev", link, "parent", "1:", "classid", "1:fff", "htb", "rate", "1mbit")
	f.tcBatch(f.render(f.t, "--form", "state", "--replace")) // over what is there, and all links at once
	if code, out, diag := f.run(f.t, program(f.t, "bakery-replay"), diff...); code != 0 {
		f.t.Errorf("once more: exit code %d, want 0\n%s%s", code, out[:min(len(out), 4000)], diag)
	}
}
