package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lqosd/bakery/tc"
	"lqosd/bus"
	"lqosd/internal/golden"
	"lqosd/internal/testenv"
)

// TestRecordings plays what real clients sent over the bus: in both codecs, request by request and all at once. Of the largest
// network it plays one of these, for the race detector: TestRecordingsOfThousand has them all.
func TestRecordings(t *testing.T) {
	noLeaks(t)
	testRecordings(t, smallCases(t)...)
	t.Run(thousand, func(t *testing.T) { testRecording(t, recorded(thousand), "trace.jsonl", bus.CBOR, 0) })
}

// TestRecordingsOfThousand is TestRecordings of the largest network.
func TestRecordingsOfThousand(t *testing.T) {
	noLeaks(t)
	testRecordings(t, thousand)
}

func testRecordings(t *testing.T, names ...string) {
	for _, name := range names {
		c := recorded(name)
		for _, file := range []string{"trace.jsonl", "trace-bulk.jsonl"} {
			for _, codec := range []bus.Codec{bus.CBOR, bus.JSON} {
				for _, size := range []int{1, 0} {
					t.Run(fmt.Sprintf("%s/%s/%s/%d", c.Name, strings.TrimSuffix(file, ".jsonl"), codec, size), func(t *testing.T) {
						testRecording(t, c, file, codec, size)
					})
				}
			}
		}
	}
}

func testRecording(t *testing.T, c golden.Case, file string, codec bus.Codec, size int) {
	p := newPlace(t, c.Name)
	end := p.serveHere(t)
	mustPlay(t, connect(t, p, codec), trace(t, c.Name, file), size)
	// What is acknowledged stands in the file: no waiting here.
	got := p.tcFile(t)
	if err := checkRecorded(c, file, got); err != nil {
		t.Error(err)
	}
	end()
	if got := p.tcFile(t); got != p.render(t) {
		t.Error("the log, rendered, is not tc-rust.txt")
	}
	lines, err := c.Lines()
	if err != nil {
		t.Fatal(err)
	}
	tree := p.tree(t)
	checkState(t, tree, lines)
	against := exec.Command(program(t, "bakery-replay"), "diff", p.logDir(), "--against", filepath.Join(c.Dir, "linux_tc.txt"))
	if out, err := against.CombinedOutput(); err != nil {
		t.Errorf("bakery-replay diff --against linux_tc.txt: %v\n%s", err, out)
	}
	state, bad, err := tc.ParseScript(strings.NewReader(p.render(t, "--form", "state")))
	if err != nil || len(bad) > 0 {
		t.Fatal(err, bad)
	}
	if diffs := tc.Diff(state, tree.State()); len(diffs) > 0 {
		t.Errorf("the state form differs from the tree in %d places, the first: %v", len(diffs), diffs[0])
	}
}

// checkRecorded compares a tc file with what the client computed.
func checkRecorded(c golden.Case, file, got string) error {
	if file == "trace.jsonl" {
		return c.Check(got)
	}
	want, err := c.Lines()
	if err == nil && got != want {
		err = fmt.Errorf("the lines differ:\n%s", cmp.Diff(strings.Split(want, "\n"), strings.Split(got, "\n")))
	}
	return err
}

// TestRecordingsAreCompared plays one client's calls and holds another client's lines against them.
func TestRecordingsAreCompared(t *testing.T) {
	p := newPlace(t, "example")
	p.serveHere(t)
	mustPlay(t, connect(t, p, bus.CBOR), trace(t, "example", "trace.jsonl"), 0)
	for _, file := range []string{"trace.jsonl", "trace-bulk.jsonl"} {
		if checkRecorded(recorded("example_fq_codel"), file, p.tcFile(t)) == nil {
			t.Errorf("%s of another client passes", file)
		}
	}
}

// render runs bakery-replay on the log, where there is no configuration.
func (p place) render(t testing.TB, flags ...string) string {
	t.Helper()
	cmd := exec.Command(program(t, "bakery-replay"), append([]string{"render", p.logDir()}, flags...)...)
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	var out, diag bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &diag
	if err := cmd.Run(); err != nil || diag.Len() > 0 {
		t.Fatalf("bakery-replay render: %v\n%s", err, diag.String())
	}
	return out.String()
}

// TestRenderElsewhere renders a log on a "machine" without its links and without its configuration.
func TestRenderElsewhere(t *testing.T) {
	testenv.Need(t, testenv.Root, testenv.Netns)
	p := newPlace(t, "stick_flat")
	end := p.serveHere(t)
	mustPlay(t, connect(t, p, bus.CBOR), trace(t, "stick_flat", "trace.jsonl"), 0)
	end()
	elsewhere := filepath.Join(t.TempDir(), "eventlog")
	if err := os.CopyFS(elsewhere, os.DirFS(p.logDir())); err != nil {
		t.Fatal(err)
	}
	want := p.tcFile(t)
	if err := os.RemoveAll(p.dir); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program(t, "bakery-replay"), "render", elsewhere)
	cmd.Dir, cmd.Env = t.TempDir(), []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS}
	got, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("the lines are others than those that the daemon wrote")
	}
}
