package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/golden"
	"lqosd/internal/lqosconf"
	"lqosd/replay"
)

const goldenDir = "../../testdata/golden"

// place is a directory with a configuration, and with all that a daemon makes.
type place struct{ dir string }

// newPlace configures a daemon as the recorded client's was. edit may change that.
func newPlace(t testing.TB, name string, edit ...func(*lqosconf.Config)) place {
	t.Helper()
	p := place{t.TempDir()}
	p.configure(t, name, edit...)
	return p
}

func (p place) configure(t testing.TB, name string, edit ...func(*lqosconf.Config)) {
	t.Helper()
	c, err := recorded(name).Config(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range edit {
		e(&c)
	}
	text, err := c.TOML()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.config(), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func recorded(name string) golden.Case {
	return golden.Case{Name: name, Dir: filepath.Join(goldenDir, name)}
}

func trace(t testing.TB, name, file string) []golden.Request {
	t.Helper()
	requests, err := recorded(name).Trace(file)
	if err != nil {
		t.Fatal(err)
	}
	return requests
}

func (p place) config() string { return filepath.Join(p.dir, "lqos.conf") }
func (p place) socket() string { return filepath.Join(p.dir, "bus") }
func (p place) logDir() string { return filepath.Join(p.dir, "state", "eventlog") }

// tcFile is the text of tc-rust.txt.
func (p place) tcFile(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(p.dir, "tc-rust.txt"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// records reads the log from seq from on, and gives its last seq; no daemon may hold it.
func (p place) records(t testing.TB, from eventlog.Seq) []bakery.Record {
	t.Helper()
	s := p.open(t)
	var all []bakery.Record
	for r, err := range s.Records(t.Context(), from, s.Last()) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	return all
}

// tree is what the log folds to; no daemon may hold it.
func (p place) tree(t testing.TB) *bakery.Tree {
	t.Helper()
	s := p.open(t)
	tree, err := s.Tree(t.Context(), s.Last())
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func (p place) open(t testing.TB) *replay.Source {
	t.Helper()
	s, err := replay.Open(p.logDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// leastRate replaces what a client can't say: that is programmed as 10 kbit/s.
var leastRate = strings.NewReplacer("rate 0kbit", "rate 10kbit", "ceil 0kbit", "ceil 10kbit")

// checkState compares a Tree with what tc lines build; leaf handles, which they don't name, aside.
func checkState(t testing.TB, tree *bakery.Tree, lines string) {
	t.Helper()
	want, bad, err := tc.ParseScript(strings.NewReader(leastRate.Replace(lines)))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	if diffs := tc.Diff(tree.State(), want); len(diffs) > 0 {
		t.Errorf("the tree differs from the lines in %d places, the first: %v", len(diffs), diffs[0])
	}
}

func connect(t testing.TB, p place, codec bus.Codec) *bus.Client {
	t.Helper()
	c, err := bus.Dial(t.Context(), p.socket(), bus.DialOptions{Codec: codec})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func calls(requests []golden.Request) []bus.Call {
	all := make([]bus.Call, len(requests))
	for i, r := range requests {
		all[i] = bus.Call{Name: r.Name}
		if r.Args != nil {
			all[i].Args = r.Args
		}
	}
	return all
}

// mustPlay sends requests in sessions of size, pipelined (0: all in one), and wants an Ack for every one.
func mustPlay(t testing.TB, c *bus.Client, requests []golden.Request, size int) {
	t.Helper()
	if size == 0 {
		size = len(requests)
	}
	var futures []*bus.Future
	for all := calls(requests); len(all) > 0; {
		n := min(size, len(all))
		futures = append(futures, c.Go(all[:n]...))
		all = all[n:]
	}
	for i, f := range futures {
		replies, err := f.Wait(context.WithoutCancel(t.Context()))
		if err != nil {
			t.Fatalf("session %d of %d: %v", i+1, len(futures), err)
		}
		for k, r := range replies {
			if !r.IsAck() {
				t.Fatalf("session %d, request %d, %s: %v %v", i+1, k+1, requests[i*size+k].JSON(), r.Name, r.Err())
			}
		}
	}
}
