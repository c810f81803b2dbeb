package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lqosd/bus"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// TestTrialNetlinkSyscalls lets the n-th system call with which the running daemon speaks to the kernel fail, or kills the daemon
// ahead of it, while it brings a change to the kernel: for n = 1, 2, … until there is no n-th, or some of them where they are
// many. Afterwards the kernel has what the log asks for, no more was written than without a fault, nothing of it was drift, and a
// restart writes nothing.
func TestTrialNetlinkSyscalls(t *testing.T) {
	t.Parallel() // in a namespace of its own
	inShaken(t, func(f *shaken) {
		dice := testenv.Dice(f.t)
		// sendto sends ops and asks for dumps and links; recvfrom takes links; read takes acks, dumps and what the kernel tells of
		// changes, and is many: it also meets the clients' connections.
		for _, call := range []string{"sendto", "recvfrom", "read"} {
			for _, how := range []string{"error=ENOBUFS", "error=EINTR", "error=ENOMEM", "signal=KILL"} {
				f.shakeAll(call, how, dice)
			}
		}
	})
}

// TestTrialNetlinkLinks takes links away, and down, while a change is brought to the kernel.
func TestTrialNetlinkLinks(t *testing.T) {
	inShaken(t, func(f *shaken) {
		dice := testenv.Dice(f.t)
		kinds := []string{"the link goes down and up", "its peer goes, and it with that", "it gets another name and back"}
		tries := testenv.Tries(12, 120)
		for i := range tries {
			kind, link := kinds[i%len(kinds)], f.links[dice.IntN(len(f.links))]
			f.send(f.next())
			f.awaitWrites(dice.IntN(f.needed[!f.away]))
			f.disturb(kind, link)
			f.calm(fmt.Sprintf("%s, %s, try %d", kind, link, i+1))
		}
		f.restartWritesNothing("links")
		f.t.Logf("figure: netlink, links go down, away and back, or have another name for a while | %d times | 0 faults", tries)
	})
}

// awaitWrites waits until the kernel has seen so many changes, or a moment has passed.
func (f *field) awaitWrites(n int) {
	moment := time.After(300 * time.Millisecond)
	for range n {
		select {
		case <-f.watch.seen:
		case <-moment:
			return
		}
	}
}

// TestTrialNetlinkMeddled is the control: what one op makes, undone while no daemon runs, is seen by the comparison.
func TestTrialNetlinkMeddled(t *testing.T) {
	inShaken(t, func(f *shaken) {
		f.d.terminate(f.t)
		for i, undone := range []string{"class change dev eth1 parent 1:3 classid 1:5 htb rate 11mbit ceil 10mbit", "qdisc del dev eth1 parent 1:6", "class del dev eth1 classid 1:6"} {
			command(f.t, "tc", strings.Fields(undone)...)
			out, err := exec.Command(program(f.t, "bakery-replay"), "diff", f.logDir(), "--live").CombinedOutput()
			if err == nil {
				f.t.Errorf("op %d, %s: the comparison sees nothing: %s", i, undone, out)
			}
		}
		f.t.Logf("figure: netlink, control: ops that were never done | 3 | found out 3 times")
	})
}

// shaken is a field with a daemon of its own whose network changes to and fro.
type shaken struct {
	*field
	d      *process
	away   bool         // the next change is back
	needed map[bool]int // writes to the kernel without a fault
}

func inShaken(t *testing.T, body func(f *shaken)) {
	t.Helper()
	inField(t, "example", func(f *field) {
		testenv.Need(f.t, testenv.Strace)
		s := &shaken{field: f, needed: map[bool]int{}}
		s.begin()
		s.send([]string{mqSetup, site(3, 100), site(4, 100), circuit(3, 5, 10), pfifo(5), circuit(4, 6, 20), pfifo(6)})
		s.applied()
		for range 2 {
			f.watch.count()
			s.send(s.next())
			s.applied()
			s.needed[!s.away] = len(f.watch.count())
		}
		body(s)
	}, settlesSoon)
}

func pfifo(minor int) string {
	return fmt.Sprintf(`{"BakeryAddCircuitQdisc":{"interface":"eth1","parent_major":1,"parent_minor":%d,"circuit_hash":%d,"sqm_params":["pfifo"]}}`, minor, minor)
}

// remove removes a class, whether it is there or not.
func remove(minor int) string {
	return execute(false, fmt.Sprintf("class replace dev eth1 parent 1:4 classid 1:%d htb rate 1mbit", minor), fmt.Sprintf("class del dev eth1 classid 1:%d", minor))
}

// next is the next change: a circuit moves, a site gets another rate, one circuit comes and another goes.
func (f *shaken) next() []string {
	f.away = !f.away
	if f.away {
		return []string{circuit(4, 5, 10), site(3, 90), circuit(4, 7, 5), pfifo(7), remove(6)}
	}
	return []string{circuit(3, 5, 10), site(3, 100), circuit(4, 6, 20), pfifo(6), remove(7)}
}

func (f *shaken) begin() {
	f.d = f.startServing(f.t, program(f.t, "lqosd"), "--mode", lqosconf.ModeApply)
}

// send sends requests until they are answered, or the daemon is dead; a connection that a fault cuts off is made again.
func (f *shaken) send(requests []string) (answered bool) {
	f.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if f.trySend(requests) {
			return true
		}
		select {
		case <-f.d.ended:
			return false
		case <-time.After(10 * time.Millisecond):
		}
	}
	f.t.Fatalf("no answer to %s", requests)
	return false
}

func (f *shaken) trySend(requests []string) bool {
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	c, err := bus.Dial(ctx, f.socket(), bus.DialOptions{Codec: bus.CBOR})
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	var all []bus.Call
	for _, r := range requests {
		call, err := bus.ParseCall([]byte(r))
		if err != nil {
			f.t.Fatal(err)
		}
		all = append(all, call)
	}
	replies, err := c.Do(ctx, all...)
	return err == nil && !slices.ContainsFunc(replies, func(r bus.Reply) bool { return !r.IsAck() && r.Name != "LqosdWait" })
}

// shakeAll lets a call fail at every n; of reads, which are many, an ordinary run takes some.
func (f *shaken) shakeAll(call, how string, dice *rand.Rand) {
	fired, changes, writes := 0, 0, 0
	few := call == "read" && !testenv.Nightly()
	for n, idle := 1, 0; few && n <= 5 || !few && idle < 2; n++ { // strace counts for each thread: one n that meets nothing isn't the end
		place := n
		if few && n > 1 {
			place = 1 + dice.IntN(25)
		}
		idle++
		did, wrote := f.shake(call, fmt.Sprintf("%s:when=%d", how, place))
		if changes, writes = changes+1, writes+wrote; did {
			fired, idle = fired+1, 0
		}
	}
	f.restartWritesNothing(call + " " + how)
	f.t.Logf("figure: netlink, %s, %s | %d times in %d changes | %d writes; 0 faults", call, how, fired, changes, writes)
	if fired == 0 {
		f.t.Errorf("%s, %s: it never happened", call, how)
	}
}

// relatives are the ops of next that a try which fails may add: on its object, on what sits in it and on what it sits in.
const relatives = 3

// shake makes a change with a fault.
func (f *shaken) shake(call, fault string) (fired bool, writes int) {
	f.watch.count()
	end := f.inject(call, fault)
	requests := f.next()
	if f.send(requests) {
		f.waitApplied()
	}
	faults := end()
	select {
	case <-f.d.ended:
		f.begin()
		f.send(requests) // it isn't known whether they are in the log
	default:
	}
	f.calm(call + " " + fault)
	seen := f.watch.count()
	if writes, bound := len(seen), f.needed[!f.away]+faults*relatives; writes > bound {
		f.t.Errorf("%s %s: %d writes to the kernel after %d faults, want %d at most: %q\n%s", call, fault, writes, faults, bound, seen, f.d)
	}
	if k := f.status().Kernel; k.DriftTotal > 0 {
		f.t.Errorf("%s %s: taken for drift: %+v", call, fault, k.Drift)
	}
	return faults > 0, len(seen)
}

// waitApplied waits until all is applied, or the daemon has ended.
func (f *shaken) waitApplied() { f.send([]string{`{"LqosdWait":{"applied":true,"timeout_ms":20000}}`}) }

// calm waits until all is applied, and what a fault kept the daemon from seeing is seen; then log and kernel are the same.
func (f *shaken) calm(what string) {
	f.t.Helper()
	f.waitApplied()
	for deadline := time.Now().Add(patience); ; {
		out, err := exec.Command(program(f.t, "bakery-replay"), "diff", "unix:"+f.socket(), "--live").CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: the kernel differs from the log: %v\n%s\n%s", what, err, out, f.d)
		}
	}
}

// inject makes a system call of the running daemon fail. end tells how often that happened: strace counts for each thread.
func (f *shaken) inject(call, fault string) (end func() int) {
	f.t.Helper()
	trace := filepath.Join(f.dir, "strace.txt")
	said := &attachment{done: make(chan struct{})}
	cmd := exec.Command("strace", "-f", "-o", trace, "-e", "trace="+call, "-e", "inject="+call+":"+fault, "-p", fmt.Sprint(f.d.cmd.Process.Pid))
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	select {
	case <-said.done:
	case <-time.After(patience):
		f.t.Fatalf("strace doesn't attach: %s", said.text)
	}
	return func() int {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		text, err := os.ReadFile(trace)
		if err != nil {
			f.t.Fatal(err)
		}
		if strings.Contains(string(text), "killed by SIGKILL") {
			return 1
		}
		return strings.Count(string(text), "INJECTED")
	}
}

// disturb does something to a link.
func (f *shaken) disturb(kind, link string) {
	f.t.Helper()
	ip := func(words string) { command(f.t, "ip", strings.Fields(words)...) }
	switch kind {
	case "the link goes down and up":
		ip("link set " + link + " down")
		ip("link set " + link + " up")
	case "its peer goes, and it with that":
		ip("link del " + peer(link))
		f.makeLink(link)
		f.watch.index = 0 // the new peer has another
	default:
		ip("link set " + link + " down")
		ip("link set " + link + " name elsewhere")
		ip("link set elsewhere name " + link)
		ip("link set " + link + " up")
	}
}

// restartWritesNothing wants the next daemon to find all in order.
func (f *shaken) restartWritesNothing(what string) {
	f.t.Helper()
	f.d.terminate(f.t)
	f.watch.count()
	f.begin()
	f.calm(what)
	f.wrote(what+": a restart", 0)
}

// attachment is what strace says until it has attached to the daemon.
type attachment struct {
	text []byte
	done chan struct{}
}

func (a *attachment) Write(b []byte) (int, error) {
	before := strings.Contains(string(a.text), "attached")
	if a.text = append(a.text, b...); !before && strings.Contains(string(a.text), "attached") {
		close(a.done)
	}
	return len(b), nil
}
