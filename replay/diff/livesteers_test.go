package diff

import (
	"net/netip"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/eventlog"
	"lqosd/replay/replaytest"
)

// TestCompareSteers compares a kernel that has what the tree asks for, and maps that have something else. Class 1:4 is on
// eth1 alone, so there is nothing for the upload; 1:99 isn't anywhere.
func TestCompareSteers(t *testing.T) {
	tree := bakery.NewTree()
	for i, c := range []bakery.Command{replaytest.MqSetup(), replaytest.Circuit("4", 10, "Smith"), replaytest.Circuit("5", 20, ""),
		replaytest.MapIP("192.0.2.0/24", 0x10004, false), replaytest.MapIP("2001:db8::1", 0x10005, false), replaytest.MapIP("192.0.2.9", 0x10099, false)} {
		if err := bakery.Fold(tree, bakery.Record{Seq: eventlog.Seq(i + 1), Time: replaytest.Begin, Command: c}); err != nil {
			t.Fatal(err)
		}
	}
	steer := func(prefix string, class tc.Handle, change ...func(*tc.Steer)) tc.Steer {
		s := tc.Steer{Prefix: netip.MustParsePrefix(prefix), Class: class, Circuit: 7}
		for _, f := range change {
			f(&s)
		}
		return s
	}
	v4, v6 := steer("192.0.2.0/24", 0x10004), steer("2001:db8::1/128", 0x10005)
	links := map[string]tc.Observed{}
	for _, link := range tree.Links() {
		links[link] = tc.Observed{Index: 1, State: tc.Canonical(tree.State().Only(link), tc.Host{})}
	}
	for _, c := range []struct {
		name string
		maps []tc.Steer
		want string
	}{
		{"the same", []tc.Steer{v6, v4}, ""},
		{"empty", nil, "added mapping 192.0.2.0/24, added mapping 2001:db8::1/128"},
		{"another class", []tc.Steer{steer("192.0.2.0/24", 0x10005), v6}, "changed mapping 192.0.2.0/24"},
		{"another CPU", []tc.Steer{steer("192.0.2.0/24", 0x10004, func(s *tc.Steer) { s.CPU = 1 }), v6}, "changed mapping 192.0.2.0/24"},
		{"another circuit", []tc.Steer{v4, steer("2001:db8::1/128", 0x10005, func(s *tc.Steer) { s.Circuit = 8 })}, "changed mapping 2001:db8::1/128"},
		{"another length", []tc.Steer{steer("192.0.2.0/25", 0x10004), v6}, "added mapping 192.0.2.0/24, removed mapping 192.0.2.0/25"},
		{"a dead class", []tc.Steer{v4, steer("192.0.2.9/32", 0x10099), v6}, "removed mapping 192.0.2.9/32"},
		{"the upload", []tc.Steer{v4, v6, steer("192.0.2.0/24", 0x10004, func(s *tc.Steer) { s.Upload = true })}, "removed mapping 192.0.2.0/24"},
	} {
		t.Run(c.name, func(t *testing.T) {
			live := Live{Links: links, Dataplane: &LiveSteers{Roles: bakery.Roles{Down: "eth1", Up: "eth0"}, Steers: c.maps}}
			r := CompareKernel(tree.Seq, tree, live)
			if got := changes(r); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			for _, d := range r.Differences {
				if d.Change == "changed" && len(d.Fields) != 1 {
					t.Errorf("%s: fields %v", d.ID, d.Fields)
				}
			}
		})
	}
	delete(links, "eth1")
	r := CompareKernel(tree.Seq, tree, Live{Links: links, Dataplane: &LiveSteers{Roles: bakery.Roles{Down: "eth1", Up: "eth0"}, Steers: []tc.Steer{v4}}})
	if got := changes(r)[len(changes(r))-len("removed mapping 192.0.2.0/24"):]; got != "removed mapping 192.0.2.0/24" {
		t.Errorf("without the link: %q", changes(r))
	}
}
