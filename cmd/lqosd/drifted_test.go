package main

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
)

// meddling is what somebody does to the example network with tc(8), and what comes of it.
type meddling struct {
	name   string
	do     []string // lines of tc -batch
	drift  string   // in the report
	writes int      // that undo it
}

func meddlings() []meddling {
	return []meddling{
		{"a leaf deleted", []string{"qdisc del dev eth1 parent LEAF"}, "removed qdisc", 1},
		{"a rate changed", []string{"class change dev eth1 parent PARENT classid LEAF htb rate 3mbit ceil 7mbit prio 3 quantum 1522"}, "changed class", 1},
		{"a foreign class", []string{"class add dev eth1 parent 1:1 classid 1:abc htb rate 1mbit"}, "added class 1:abc", 1},
		{"a foreign class with a leaf", []string{"class add dev eth1 parent 1:1 classid 1:abc htb rate 1mbit", "qdisc add dev eth1 parent 1:abc pfifo"},
			"added class 1:abc on eth1, with 1 more in it", 1},
		{"a leaf of another kind", []string{"qdisc replace dev eth1 parent LEAF bfifo limit 9000"}, "kind pfifo → bfifo", 1},
	}
}

// circuit finds a circuit's class and its parent on eth1.
func (f *field) circuit() (class, parent string) {
	f.t.Helper()
	for line := range strings.Lines(command(f.t, "tc", "class", "show", "dev", "eth1")) {
		if w := strings.Fields(line); w[0] == "class" && w[1] == "htb" && w[3] == "parent" && w[5] == "leaf" && !strings.HasSuffix(w[2], ":2") {
			return w[2], w[4]
		}
	}
	f.t.Fatal("no circuit")
	return "", ""
}

// meddle runs lines of tc(8) while the daemon stands still: it would look between them, or undo the first before the second comes.
func (f *field) meddle(d *process, lines []string) {
	f.t.Helper()
	class, parent := f.circuit()
	d.frozen(f.t, func() {
		f.tcBatch(strings.NewReplacer("LEAF", class, "PARENT", parent).Replace(strings.Join(lines, "\n")))
	})
}

// applying starts a daemon in apply mode, in a process of its own.
func (f *field) applying() *process {
	f.t.Helper()
	return f.startServing(f.t, program(f.t, "lqosd"), "--mode", lqosconf.ModeApply)
}

// TestDriftOnTheKernel: each is seen within a second, and undone with no more than it takes.
func TestDriftOnTheKernel(t *testing.T) {
	inField(t, "example", func(f *field) {
		d := f.applying()
		f.play(f.trace("trace.jsonl"))
		want := f.show()
		for i, m := range meddlings() {
			f.watch.count()
			before := f.status().Kernel.Writes
			f.meddle(d, m.do)
			f.until(m.name, func(k *bakery.KernelStatus) bool {
				return fates(k, m.drift, bakery.FateRepaired) && k.Phase == bakery.PhaseInSync
			})
			f.shows(want)
			writes := f.status().Kernel.Writes
			if int(writes-before) != m.writes || len(f.watch.count()) == 0 {
				t.Errorf("%s: undone with %d writes, want %d", m.name, writes-before, m.writes)
			}
			if n := f.status().Kernel.DriftTotal; n != uint64(i+1) {
				t.Errorf("%s: %d drifts in all, want %d", m.name, n, i+1)
			}
		}
		writes := f.status().Kernel.Writes
		f.meddle(d, []string{"qdisc replace dev eth1 root handle 99: htb"})
		f.until("the root replaced", func(k *bakery.KernelStatus) bool {
			return fates(k, "replaced qdisc 99: at root", bakery.FateRepaired) && k.Phase == bakery.PhaseInSync
		})
		f.shows(want)
		f.do("ip link del eth1")
		f.until("the link gone", func(k *bakery.KernelStatus) bool { return fates(k, "link eth1 is gone", bakery.FateGone) })
		f.makeLink("eth1")
		f.until("the link back", func(k *bakery.KernelStatus) bool {
			return fates(k, "link eth1 is back", bakery.FateRepaired) && k.Phase == bakery.PhaseInSync
		})
		f.shows(want)
		t.Logf("root and link rebuilt with %d writes", f.status().Kernel.Writes-writes)
	})
}

func (f *field) do(line string) {
	f.t.Helper()
	words := strings.Fields(line)
	command(f.t, words[0], words[1:]...)
}

func fates(k *bakery.KernelStatus, text string, fate bakery.Fate) bool {
	for _, d := range k.Drift {
		if strings.Contains(d.Text, text) && d.Fate == fate {
			return true
		}
	}
	return false
}

// TestDriftOnTheKernelReported: with drift = "report" nothing is undone, lqosd status and bakery-replay tell of it, and
// what records ask for is done.
func TestDriftOnTheKernelReported(t *testing.T) {
	for _, m := range meddlings() {
		t.Run(m.name, func(t *testing.T) {
			inField(t, "example", func(f *field) {
				d := f.applying()
				f.play(f.trace("trace.jsonl"))
				f.meddle(d, m.do)
				f.until(m.name, func(k *bakery.KernelStatus) bool {
					return fates(k, m.drift, bakery.FateOpen) && k.Phase == bakery.PhaseDiffers
				})
				f.watch.count()
				f.play(f.trace("trace.jsonl"))
				f.wrote("a refresh", 0)
				mustPlay(t, connect(t, f.place, bus.CBOR), []golden.Request{{Name: "BakeryExecuteTCCommands",
					Args: []byte(`{"commands":["class change dev eth0 classid 1:2 htb rate 5mbit ceil 9mbit"],"force_mode":false}`)}}, 1)
				f.applied()
				f.wrote("a record", 1)
				out, err := exec.Command(program(t, "bakery-replay"), "diff", "unix:"+f.socket(), "--live").CombinedOutput()
				if code := exitCode(err); code != 1 || !strings.Contains(string(out), "eth1") || strings.Contains(string(out), "eth0") {
					t.Errorf("diff --live: exit code %d\n%s", code, out)
				}
				text := command(t, program(t, "lqosd"), "status", "--socket", f.socket())
				says(t, text, "drift: report", "1 open", m.drift)
			}, func(c *lqosconf.Config) { c.Bakery.Drift = lqosconf.DriftReport })
		})
	}
}

func exitCode(err error) int {
	if err == nil {
		return 0
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}

// TestMovesOnTheKernel moves circuits and sites, and reads the kernel back.
func TestMovesOnTheKernel(t *testing.T) {
	inField(t, "example", func(f *field) {
		f.serve()
		f.play(f.trace("trace.jsonl"))
		lines := func(lines ...string) {
			t.Helper()
			args := fmt.Sprintf(`{"commands":["%s"],"force_mode":false}`, strings.Join(lines, `","`))
			f.play([]golden.Request{{Name: "BakeryExecuteTCCommands", Args: []byte(args)}})
			f.sameAsLog()
		}
		has := func(class, parent string) {
			t.Helper()
			for line := range strings.Lines(command(t, "tc", "class", "show", "dev", "eth1")) {
				if w := strings.Fields(line); w[2] == class {
					if got := strings.Join(w[3:5], " "); !strings.HasPrefix(got+" ", parent+" ") {
						t.Errorf("class %s is at %s, want %s", class, got, parent)
					}
					return
				}
			}
			t.Errorf("there is no class %s", class)
		}
		lines("class add dev eth1 parent 1:1 classid 1:a01 htb rate 10mbit", "class add dev eth1 parent 1:1 classid 1:a02 htb rate 10mbit",
			"class add dev eth1 parent 1:a01 classid 1:b01 htb rate 1mbit", "qdisc add dev eth1 parent 1:b01 pfifo limit 5",
			"class add dev eth1 parent 1:a01 classid 1:b02 htb rate 1mbit", "qdisc add dev eth1 parent 1:b02 pfifo limit 6")
		has("1:b01", "parent 1:a01")
		lines("class replace dev eth1 parent 1:a02 classid 1:b01 htb rate 2mbit") // a circuit
		has("1:b01", "parent 1:a02")
		lines("class replace dev eth1 parent 1:a02 classid 1:a01 htb rate 10mbit") // a site with what is below it
		has("1:a01", "parent 1:a02")
		has("1:b02", "parent 1:a01")
		lines("class del dev eth1 classid 1:b02", "class add dev eth1 parent 2:1 classid 2:b02 htb rate 1mbit", "qdisc add dev eth1 parent 2:b02 pfifo limit 6")
		has("2:b02", "parent 2:1")
		if s := f.status().Kernel; s.DriftTotal != 0 || s.Refused != 0 {
			t.Errorf("status: %+v", s.KernelStatus)
		}
	})
}

// TestRefusedOnTheKernel: among ten thousand ops one that the kernel refuses; the rest is built, and status names the op,
// the kernel's words, the record and who sent it.
func TestRefusedOnTheKernel(t *testing.T) {
	inField(t, "example", func(f *field) {
		f.serve()
		f.play(f.trace("trace.jsonl"))
		before := f.status().Kernel.Writes
		var lines []string
		for i := range 10_000 {
			if i == 5000 { // the link has four queues
				lines = append(lines, "qdisc add dev eth1 parent 7fff:77 handle 777: htb")
				continue
			}
			q := i%4 + 1
			lines = append(lines, fmt.Sprintf("class add dev eth1 parent %d:1 classid %d:%x htb rate 1mbit", q, q, 0x1000+i/4))
		}
		args := fmt.Sprintf(`{"commands":["%s"],"force_mode":false}`, strings.Join(lines, `","`))
		mustPlay(t, connect(t, f.place, bus.CBOR), []golden.Request{{Name: "BakeryExecuteTCCommands", Args: []byte(args)}}, 1)
		yes, ms := true, patience.Milliseconds()
		err := connect(t, f.place, bus.CBOR).Ask(t.Context(), bus.Call{Name: "LqosdWait", Args: waitRequest{Applied: &yes, TimeoutMS: &ms}}, &waitReply{})
		if err == nil {
			t.Fatal("all of it is applied")
		}
		says(t, err.Error(), "not all is applied", "qdisc 777:")
		s := f.status()
		if n := s.Kernel.Writes - before; n != 9999 {
			t.Errorf("%d ops were done, want 9999", n)
		}
		if len(s.Kernel.Problems) != 1 {
			t.Fatalf("problems: %+v", s.Kernel.Problems)
		}
		p := s.Kernel.Problems[0]
		if p.Sender == nil || p.Seq != eventlogSeq(s.LastSeq) || p.Tried < 2 || p.Link != "eth1" {
			t.Errorf("problem: %+v, sender %+v", p, p.Sender)
		}
		says(t, p.Error, "Specified class not found", "qdisc add dev eth1 parent 7fff:77")
		says(t, command(t, program(t, "lqosd"), "status", "--socket", f.socket()), "PROBLEM", "uid 0", "Specified class not found")
	})
}
