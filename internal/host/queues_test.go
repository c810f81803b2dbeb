package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"lqosd/internal/testenv"
)

// links describes a host with that many CPUs, and links with that many rx and tx queues.
func links(cpus int, queues map[string][2]int) Host {
	m := map[string]string{"proc/stat": "cpu 0\n"}
	for i := range cpus {
		m["proc/stat"] += fmt.Sprintf("cpu%d 0\n", i)
	}
	for link, n := range queues {
		dir := "sys/class/net/" + link + "/queues/"
		for i := range n[0] {
			m[fmt.Sprintf("%srx-%d/rps_cpus", dir, i)] = "0\n"
		}
		for i := range n[1] {
			m[fmt.Sprintf("%stx-%d/tx_timeout", dir, i)] = "0\n"
		}
	}
	return files(m)
}

func TestLinkQueues(t *testing.T) {
	h := links(1, map[string][2]int{"eth0": {3, 12}})
	if rx, tx, err := h.LinkQueues("eth0"); err != nil || rx != 3 || tx != 12 {
		t.Errorf("LinkQueues(eth0) = %d, %d, %v; want 3, 12", rx, tx, err)
	}
	if _, _, err := h.LinkQueues("eth1"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("LinkQueues of a link that isn't there: %v", err)
	}
}

func TestQueues(t *testing.T) {
	five, none := 5, map[string][2]int(nil)
	for _, tc := range []struct {
		name   string
		cpus   int
		links  map[string][2]int
		rule   QueueRule
		want   int
		reason string
	}{
		{"override, though nothing is there", 2, none, QueueRule{&five, "a", "b"}, 5, "override_available_queues"},
		{"override on a stick is halved", 2, map[string][2]int{"a": {2, 2}}, QueueRule{&five, "a", "a"}, 2, "half of override_available_queues"},
		{"few CPUs", 3, map[string][2]int{"a": {8, 8}, "b": {8, 8}}, QueueRule{nil, "a", "b"}, 3,
			"the smallest of 3 CPUs, a with 8 rx and 8 tx queues, b with 8 rx and 8 tx queues"},
		{"few rx queues of the first", 9, map[string][2]int{"a": {4, 8}, "b": {8, 8}}, QueueRule{nil, "a", "b"}, 4, ""},
		{"few tx queues of the second", 9, map[string][2]int{"a": {8, 8}, "b": {8, 6}}, QueueRule{nil, "a", "b"}, 6, ""},
		{"stick, halved and rounded down", 9, map[string][2]int{"a": {7, 8}}, QueueRule{nil, "a", "a"}, 3,
			"half of the smallest of 9 CPUs, a with 7 rx and 8 tx queues"},
		{"stick with one queue", 9, map[string][2]int{"a": {1, 1}}, QueueRule{nil, "a", "a"}, 1, ""},
		{"no links", 2, none, QueueRule{nil, "a", "b"}, 16, "the default, because: counting the queues of link a: open sys/class/net/a/queues: file does not exist"},
		{"one link", 2, map[string][2]int{"a": {8, 8}}, QueueRule{nil, "a", "b"}, 2, "the smallest of 2 CPUs, a with 8 rx and 8 tx queues"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n, reason := links(tc.cpus, tc.links).Queues(tc.rule)
			if n != tc.want || tc.reason != "" && reason != tc.reason {
				t.Errorf("Queues() = %d, %q;\nwant %d, %q", n, reason, tc.want, tc.reason)
			}
		})
	}
	if n, reason := files(nil).Queues(QueueRule{}); n != DefaultQueues || !strings.HasPrefix(reason, "the default, because: ") {
		t.Errorf("a host without /proc: %d, %q", n, reason)
	}
}

// TestQueuesOfRealLinks makes a veth pair with queues and counts them.
func TestQueuesOfRealLinks(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) {
		run(t, "ip", "link", "add", "lqa", "numtxqueues", "3", "numrxqueues", "2", "type", "veth", "peer", "name", "lqb", "numtxqueues", "4", "numrxqueues", "4")
		if rx, tx, err := This().LinkQueues("lqa"); err != nil || rx != 2 || tx != 3 {
			t.Errorf("LinkQueues(lqa) = %d, %d, %v; want 2, 3", rx, tx, err)
		}
		cpus, err := This().CPUs()
		if err != nil {
			t.Fatal(err)
		}
		if n, reason := This().Queues(QueueRule{ToInternet: "lqa", ToNetwork: "lqb"}); n != min(cpus, 2) {
			t.Errorf("Queues() = %d, %q; want %d", n, reason, min(cpus, 2))
		}
	})
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// TestSysOfAnotherNamespace: links are counted in the network namespace of the process, whatever /sys shows.
func TestSysOfAnotherNamespace(t *testing.T) {
	const dir = "sys/class/net/eth0/"
	ask := func(name string) (index, rx, tx int, err error) {
		if name != "eth0" {
			return 0, 0, 0, errors.New("no such link")
		}
		return 7, 16, 16, nil
	}
	for _, tc := range []struct {
		name, link, index string
		rx, tx            int
		missing           bool
	}{
		{"the same link", "eth0", "7\n", 1, 2, false},
		{"another link of that name", "eth0", "2\n", 16, 16, false},
		{"a link that is only there", "eth1", "7\n", 0, 0, true},
	} {
		h := files(map[string]string{dir + "ifindex": tc.index, dir + "queues/rx-0/x": "", dir + "queues/tx-0/x": "", dir + "queues/tx-1/x": "",
			"sys/class/net/eth1/queues/tx-0/x": ""}).Asking(ask)
		rx, tx, err := h.LinkQueues(tc.link)
		if rx != tc.rx || tx != tc.tx || errors.Is(err, fs.ErrNotExist) != tc.missing {
			t.Errorf("%s: %d rx, %d tx, %v", tc.name, rx, tx, err)
		}
	}
}
