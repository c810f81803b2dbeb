package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// field is a network namespace with the links of a recorded client, a daemon's place that shapes them, and a watcher that
// counts what is written to the kernel.
type field struct {
	place
	t     *testing.T
	name  string
	plain bool // this kernel has no cake and fq_codel: pfifo stands in for them
	links []string
	watch *watcher
	conf  lqosconf.Config
}

// inField runs body in a namespace of its own, on a kernel that has no cake: every leaf is a pfifo.
func inField(t *testing.T, name string, body func(f *field), edit ...func(*lqosconf.Config)) {
	t.Helper()
	testenv.InNetns(t, func(t *testing.T) {
		testenv.Need(t, testenv.Root, testenv.TC)
		body(newField(t, name, true, edit...))
	})
}

// inCakeVM runs body on a kernel that has cake.
func inCakeVM(t *testing.T, memoryMiB int, body func(t *testing.T)) {
	t.Helper()
	testenv.InVMWith(t, testenv.VMOptions{MemoryMiB: memoryMiB}, func(t *testing.T) {
		testenv.Need(t, testenv.TC)
		for _, kind := range []string{"htb", "cake", "fq_codel"} { // whoever asks first has the module loaded
			command(t, "tc", "qdisc", "add", "dev", "lo", "root", kind)
			command(t, "tc", "qdisc", "del", "dev", "lo", "root")
		}
		body(t)
	})
}

// inCakeField is inField in a machine of inCakeVM, whose next field finds no link of this one.
func inCakeField(t *testing.T, name string, body func(f *field)) {
	t.Helper()
	var f *field
	t.Cleanup(func() { // after the daemon has ended
		if f == nil {
			return
		}
		for _, link := range f.links {
			command(t, "ip", "link", "del", link)
		}
	})
	f = newField(t, name, false)
	body(f)
}

func newField(t *testing.T, name string, plain bool, edit ...func(*lqosconf.Config)) *field {
	t.Helper()
	f := &field{t: t, name: name, plain: plain}
	edit = append(edit, func(c *lqosconf.Config) {
		if plain {
			c.Queues.DefaultSQM = "pfifo"
		}
		c.Bakery.Mode = lqosconf.ModeApply
		// However slowly a busy machine plays a trace: nothing is applied in the middle.
		c.Bakery.SettleMaxMS = int(patience.Milliseconds())
		f.conf = *c
	})
	f.place = newPlace(t, name, edit...)
	toInternet, toNetwork := f.conf.Links()
	f.links = slices.Compact([]string{toInternet, toNetwork})
	for _, link := range f.links {
		f.makeLink(link)
	}
	f.watch = newWatcher(t, f.links[0])
	return f
}

// makeLink makes a link with as many queues as the client's had, and its peer.
func (f *field) makeLink(link string) {
	f.t.Helper()
	n := fmt.Sprint(max(*f.conf.Queues.OverrideAvailableQueues, 2))
	command(f.t, "ip", "link", "add", link, "numtxqueues", n, "numrxqueues", n, "type", "veth", "peer", "name", peer(link))
	command(f.t, "ip", "link", "set", link, "up")
	command(f.t, "ip", "link", "set", peer(link), "up")
}

func peer(link string) string { return "far-" + link }

// command runs a program and returns what it prints.
func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	return commandWith(t, "", name, args...)
}

func commandWith(t testing.TB, stdin, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

var leafWords = regexp.MustCompile(` (cake|fq_codel)\b.*$`)

// trace is what the client sent, with the leaves that this kernel has.
func (f *field) trace(file string) []golden.Request {
	f.t.Helper()
	requests := trace(f.t, f.name, file)
	if !f.plain {
		return requests
	}
	for i, r := range requests {
		var args map[string]any
		d := json.NewDecoder(bytes.NewReader(r.Args))
		d.UseNumber() // hashes have 64 bits
		if r.Args == nil {
			continue
		}
		if err := d.Decode(&args); err != nil {
			f.t.Fatal(err)
		}
		if args["sqm_params"] != nil {
			args["sqm_params"] = []string{"pfifo"}
		}
		if lines, ok := args["commands"].([]any); ok {
			for k := range lines {
				lines[k] = leafWords.ReplaceAllString(lines[k].(string), " pfifo")
			}
		}
		raw, err := json.Marshal(args)
		if err != nil {
			f.t.Fatal(err)
		}
		requests[i].Args = raw
	}
	return requests
}

// batch is what the client would have given to tc -batch, with the least rate in place of 0.
func (f *field) batch() string {
	f.t.Helper()
	lines, err := recorded(f.name).Lines()
	if err != nil {
		f.t.Fatal(err)
	}
	if f.plain {
		lines = regexp.MustCompile(`(?m)`+leafWords.String()).ReplaceAllString(lines, " pfifo")
	}
	return leastRate.Replace(lines)
}

// tcBatch builds a tree with tc(8), as the client does.
func (f *field) tcBatch(lines string) {
	f.t.Helper()
	commandWith(f.t, lines, "tc", "-batch", "-")
}

// clear removes all roots, as if somebody had.
func (f *field) clear() {
	f.t.Helper()
	for _, link := range f.links {
		command(f.t, "tc", "qdisc", "del", "dev", link, "root")
	}
}

var (
	leafInClass = regexp.MustCompile(` leaf [0-9a-f]+:`)
	directStat  = regexp.MustCompile(` direct_packets_stat \d+`) // what passed before there was a class
	leafQdisc   = regexp.MustCompile(`^(qdisc \w+) [0-9a-f]+: (parent [0-9a-f]+:[0-9a-f]+ )`)
)

// show is everything that tc(8) shows of the links, sorted, but for the handles of leaves, which are chosen by whoever
// makes them.
func (f *field) show() string {
	f.t.Helper()
	var lines []string
	for _, link := range f.links {
		for line := range strings.Lines(command(f.t, "tc", "-d", "qdisc", "show", "dev", link)) {
			if line = strings.TrimSpace(line); line == "" || strings.Contains(line, " 0: ") ||
				strings.HasPrefix(line, "qdisc clsact ") { // of the dataplane, where the kernel has no TCX
				continue
			}
			line = directStat.ReplaceAllString(line, "")
			if !strings.Contains(line, "parent 7fff:") {
				line = leafQdisc.ReplaceAllString(line, "$1 LEAF: $2")
			}
			lines = append(lines, link+" "+line)
		}
		for line := range strings.Lines(command(f.t, "tc", "-d", "class", "show", "dev", link)) {
			if strings.HasPrefix(line, "class htb") {
				lines = append(lines, link+" "+leafInClass.ReplaceAllString(strings.TrimSpace(line), " leaf LEAF:"))
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// shows wants the links to show a text.
func (f *field) shows(want string) {
	f.t.Helper()
	if got := f.show(); got != want {
		d := cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n"))
		f.t.Errorf("the kernel shows something else (%d lines, want %d):\n%s", strings.Count(got, "\n"), strings.Count(want, "\n"), d[:min(len(d), 4000)])
	}
}

// serve starts a daemon in this process, in apply mode.
func (f *field) serve() (end func()) {
	f.t.Helper()
	return f.serveIn(f.t, lqosconf.ModeApply)
}

// play sends requests in sessions of 1,024, as clients do, and waits until the kernel has everything.
func (f *field) play(requests []golden.Request) {
	f.t.Helper()
	mustPlay(f.t, connect(f.t, f.place, bus.CBOR), requests, 1024)
	f.applied()
}

// appliedCall waits until the kernel has all that was sent before.
var appliedCall = func() bus.Call {
	yes, ms := true, int64(180_000) // a busy machine takes its time
	return bus.Call{Name: "LqosdWait", Args: waitRequest{Applied: &yes, TimeoutMS: &ms}}
}()

// applied waits until the kernel has everything.
func (f *field) applied() {
	f.t.Helper()
	if err := connect(f.t, f.place, bus.CBOR).Ask(f.t.Context(), appliedCall, &waitReply{}); err != nil {
		f.t.Fatal(err)
	}
}

// status asks on a connection of its own, which ends with the answer: until asks thousands of times.
func (f *field) status() statusReply {
	f.t.Helper()
	c, err := bus.Dial(f.t.Context(), f.socket(), bus.DialOptions{Codec: bus.CBOR})
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	var s statusReply
	if err := c.Ask(f.t.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil {
		f.t.Fatal(err)
	}
	return s
}

// sameAsLog wants bakery-replay to find no difference between the daemon's log and the kernel.
func (f *field) sameAsLog() {
	f.t.Helper()
	command(f.t, program(f.t, "bakery-replay"), "diff", "unix:"+f.socket(), "--live")
}

// wrote wants so many writes to the kernel since the last count.
func (f *field) wrote(what string, want int) {
	f.t.Helper()
	if got := f.watch.count(); len(got) != want {
		f.t.Errorf("%s: %d writes to the kernel, want %d; the first: %v", what, len(got), want, got[:min(len(got), 10)])
	}
}

// watcher sees every change of qdiscs and classes, whoever makes it: the kernel tells.
type watcher struct {
	t     *testing.T
	link  string // at whose peer marks are made
	index int    // of that peer
	next  uint32
	seen  chan string
}

const tcGroup = 1 << (unix.RTNLGRP_TC - 1)

func newWatcher(t *testing.T, link string) *watcher {
	t.Helper()
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: tcGroup})
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadBuffer(64 << 20); err != nil {
		t.Fatal(err)
	}
	w := &watcher{t: t, link: peer(link), seen: make(chan string, 1<<20)} // more than any test makes
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			messages, err := conn.Receive()
			if err != nil {
				return // closed
			}
			for _, m := range messages {
				w.seen <- describe(m)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-ended
	})
	w.count()
	return w
}

// describe names what a message is about: struct tcmsg has family, ifindex, handle and parent.
func describe(m netlink.Message) string {
	what := map[netlink.HeaderType]string{unix.RTM_NEWQDISC: "new qdisc", unix.RTM_DELQDISC: "deleted qdisc",
		unix.RTM_NEWTCLASS: "new class", unix.RTM_DELTCLASS: "deleted class"}[m.Header.Type]
	if len(m.Data) < 16 {
		return what
	}
	n := func(at int) uint32 {
		return uint32(m.Data[at]) | uint32(m.Data[at+1])<<8 | uint32(m.Data[at+2])<<16 | uint32(m.Data[at+3])<<24
	}
	return fmt.Sprintf("%s %x parent %x on %d", what, n(8), n(12), n(4))
}

// count is what was changed since the last count. It makes a mark and waits until that was seen.
func (w *watcher) count() []string {
	w.t.Helper()
	w.next++
	command(w.t, "tc", "qdisc", "replace", "dev", w.link, "root", "handle", fmt.Sprintf("%x:", w.next), "pfifo")
	onPeer := fmt.Sprintf(" parent ffffffff on %d", w.peerIndex())
	mark := fmt.Sprintf("new qdisc %x%s", w.next<<16, onPeer)
	var list []string
	for deadline := time.After(patience); ; {
		select {
		case s := <-w.seen:
			if s == mark {
				return slices.DeleteFunc(list, func(s string) bool { return strings.HasSuffix(s, onPeer) }) // of older marks
			}
			list = append(list, s)
		case <-deadline:
			w.t.Fatal("the kernel doesn't tell of a change")
		}
	}
}

func (w *watcher) peerIndex() int {
	if w.index == 0 {
		text := command(w.t, "ip", "-o", "link", "show", "dev", w.link)
		if _, err := fmt.Sscanf(text, "%d:", &w.index); err != nil {
			w.t.Fatal(err)
		}
	}
	return w.index
}

// until waits for a condition that the daemon brings about. That takes less than a second where nothing else runs; a busy
// machine may take longer, so the promise itself is tested with a clock of the test's own (package bakery).
func (f *field) until(what string, condition func(*bakery.KernelStatus) bool) *bakery.KernelStatus {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	began := time.Now()
	for {
		k := f.status().Kernel.KernelStatus
		if condition(k) {
			f.t.Logf("%s: %v", what, time.Since(began).Round(time.Millisecond))
			return k
		}
		select {
		case <-ctx.Done():
			f.t.Fatalf("%s: the status is %+v", what, k)
		case <-time.After(5 * time.Millisecond):
		}
	}
}
