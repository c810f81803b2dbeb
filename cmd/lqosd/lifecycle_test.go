package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/lqosconf"
	"lqosd/internal/testenv"
)

// run runs a program in the place, and gives its exit code and what it printed.
func (p place) run(t testing.TB, name string, args ...string) (code int, out, diag string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, &stdout, &stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
}

func TestSecondDaemon(t *testing.T) {
	p := newPlace(t, "example")
	first := p.startServing(t, "lqosd")
	mustPlay(t, connect(t, p, bus.CBOR), trace(t, "example", "trace.jsonl"), 0)
	lines := p.tcFile(t)
	pid := fmt.Sprint(first.cmd.Process.Pid)
	for _, tc := range []struct {
		name  string
		flags []string
		says  []string
	}{
		{"the same socket", []string{"--state-dir", filepath.Join(p.dir, "other")}, []string{p.socket(), "another process is listening there: pid " + pid}},
		{"the same state", []string{"--socket", filepath.Join(p.dir, "other-bus")},
			[]string{"is held by pid " + pid, "unix:" + p.socket()}},
		{"the same tc file", []string{"--socket", filepath.Join(p.dir, "other-bus"), "--state-dir", filepath.Join(p.dir, "other")},
			[]string{"another daemon writes it"}},
		{"both", nil, []string{"another process is listening there: pid " + pid}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			second := p.start(t, "lqosd", tc.flags...)
			if code := second.exitCode(t); code != 1 {
				t.Errorf("exit code %d, want 1", code)
			}
			says(t, second.String(), tc.says...)
			if p.tcFile(t) != lines {
				t.Error("tc-rust.txt of the first daemon was touched")
			}
		})
	}
	if _, err := os.Lstat(filepath.Join(p.dir, "other-bus")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a socket was left: %v", err)
	}
	// The first goes on.
	expect(t, talk(t, connect(t, p, bus.CBOR), "", mqSetup), ackText)
	if !strings.HasPrefix(p.tcFile(t), lines) || p.tcFile(t) == lines {
		t.Error("the first daemon doesn't go on with its file")
	}
	first.terminate(t)
	if _, err := os.Lstat(p.socket()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket was left: %v", err)
	}
}

func TestFileBeginsAnew(t *testing.T) {
	p := newPlace(t, "example")
	d := p.startServing(t, "lqosd")
	expect(t, talk(t, connect(t, p, bus.CBOR), "", mqSetup), ackText)
	before := p.tcFile(t)
	d.terminate(t)
	if p.tcFile(t) != before || before == "" {
		t.Error("the end of the daemon changed the file")
	}
	d = p.startServing(t, "lqosd")
	if got := p.tcFile(t); got != "" {
		t.Errorf("the file still holds %d bytes", len(got))
	}
	expect(t, talk(t, connect(t, p, bus.CBOR), "", clearPrior), ackText)
	if got, want := p.tcFile(t), "qdisc delete dev eth1 root\nqdisc delete dev eth0 root\n"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	d.terminate(t)
}

func TestApplyMode(t *testing.T) {
	for _, how := range []string{"flag", "configuration"} {
		t.Run(how, func(t *testing.T) {
			p := newPlace(t, "example", func(c *lqosconf.Config) { c.Bakery.Mode = lqosconf.ModeApply })
			args := []string{"serve", "--config", p.config()}
			if how == "flag" {
				p.configure(t, "example")
				args = append(args, "--mode", "apply")
			}
			code, out, diag := p.run(t, "lqosd", args...)
			if code != 1 || out != "" || strings.Count(diag, "\n") != 1 {
				t.Errorf("exit code %d, want 1 and one line: %q %q", code, out, diag)
			}
			says(t, diag, "lqosd: apply mode")
			entries, err := os.ReadDir(p.dir)
			if err != nil || len(entries) != 1 {
				t.Errorf("it made something: %v %v", entries, err)
			}
		})
	}
}

// TestTerminate ends a daemon while a client plays: what was acknowledged is in the log, and the exit code is 0.
func TestTerminate(t *testing.T) {
	dice := testenv.Dice(t)
	for range 3 {
		p := newPlace(t, "n1000")
		requests := trace(t, "n1000", "trace.jsonl")
		d := p.startServing(t, "lqosd")
		c := connect(t, p, bus.CBOR)
		futures := make(chan *bus.Future, 256)
		go func() {
			defer close(futures)
			for _, call := range calls(requests) {
				futures <- c.Go(call)
			}
		}()
		after, acked := dice.IntN(1000), 0
		var broken atomic.Bool
		for f := range futures {
			replies, err := f.Wait(t.Context())
			if err != nil {
				broken.Store(true)
				continue
			}
			if broken.Load() || !replies[0].IsAck() {
				t.Fatalf("request %d: %v", acked+1, replies[0])
			}
			if acked++; acked == after+1 {
				d.terminate(t)
			}
		}
		if !broken.Load() {
			t.Error("the daemon served to the end: nothing was interrupted")
		}
		var inLog []string
		for _, r := range p.records(t, 1) {
			inLog = append(inLog, identity(r.Command))
		}
		if err := (life{sent: identities(t, requests), acked: acked}).check(inLog); err != nil {
			t.Error(err)
		}
		if p.tcFile(t) != p.render(t) {
			t.Error("tc-rust.txt is not what the log gives")
		}
	}
}

// TestTerminateIdle ends a daemon that has a connection which says nothing.
func TestTerminateIdle(t *testing.T) {
	p := newPlace(t, "example")
	d := p.startServing(t, "lqosd")
	w := dialWire(t, p)
	half := dialWire(t, p)
	half.send([]byte{1, 0, 0})
	began := time.Now()
	d.terminate(t)
	if took := time.Since(began); took > 20*time.Second { // half a frame may take 30 s where nothing ends
		t.Errorf("it took %v", took)
	}
	if _, _, err := w.answer(); err == nil {
		t.Error("the connection is still there")
	}
}

// spoil changes every copy of text in a file, so that the one that counts is among them.
func spoil(t testing.TB, path, text string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	b := []byte(mustRead(t, path))
	if !bytes.Contains(b, []byte(text)) {
		t.Fatalf("%s doesn't hold %q", path, text)
	}
	spoilt := []byte(text)
	spoilt[len(spoilt)/2] ^= 0x04
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.ReplaceAll(b, []byte(text), spoilt), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, info.Mode()); err != nil {
		t.Fatal(err)
	}
}

func TestDamagedLog(t *testing.T) {
	p := newPlace(t, "example")
	d := p.startServing(t, "lqosd")
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup, site(3, 100)), ackText, ackText)
	expect(t, talk(t, c, "", circuit(3, 0x4711, 10)), ackText) // its comment: "circuit 18193"
	d.terminate(t)
	segment := filepath.Join(p.logDir(), "00000000000000000001.db")
	spoil(t, segment, "circuit 18193")
	before := mustRead(t, segment)

	d = p.startServing(t, "lqosd")
	says(t, d.String(), "the bakery didn't start", "damaged", "bakery-replay salvage "+p.logDir()+" -o "+p.logDir()+".salvaged")
	c = connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", `"Ping"`, mqSetup, `"ListIpFlow"`, `"GetBakeryStats"`, `{"LqosdWait":{}}`, `{"LqosdRecord":{"seq":1}}`, `"LqosdCopy"`, `{"BakeryReportPreflight":{"ok":true,"message":""}}`),
		ackText, `{"Fail":"the bakery is not running: .*damaged.*"}`, `{"Fail":"the bakery is not running: .*damaged.*"}`,
		`{"Fail":"the bakery is not running: .*"}`, `{"Fail":"the bakery is not running: .*"}`, `{"Fail":"the bakery is not running: .*"}`,
		`{"Fail":"the bakery is not running: .*"}`, ackText)
	code, out, _ := p.run(t, "lqosd", "status", "--socket", "bus")
	if code != 0 {
		t.Errorf("lqosd status: exit code %d", code)
	}
	says(t, out, "bakery", "damaged")
	d.terminate(t)
	if mustRead(t, segment) != before {
		t.Error("the damaged file was changed")
	}
	code, out, _ = p.run(t, program(t, "bakery-replay"), "verify", "state/eventlog")
	if code != 1 {
		t.Errorf("bakery-replay verify: exit code %d, want 1", code)
	}
	says(t, out, "DAMAGED", "damaged: good up to record 2")

	// The advice helps.
	code, out, diag := p.run(t, program(t, "bakery-replay"), "salvage", p.logDir(), "-o", p.logDir()+".salvaged")
	if code != 0 {
		t.Fatalf("bakery-replay salvage: exit code %d\n%s", code, diag)
	}
	says(t, out, "saved: 2 records (1 to 2)")
	if mustRead(t, segment) != before {
		t.Error("the damaged file was changed")
	}
	if err := errors.Join(os.Rename(p.logDir(), p.logDir()+".damaged"), os.Rename(p.logDir()+".salvaged", p.logDir())); err != nil {
		t.Fatal(err)
	}
	d = p.startServing(t, "lqosd")
	c = connect(t, p, bus.CBOR)
	if got := seq(t, c); got != 2 {
		t.Errorf("the salvaged log ends at %d, want 2", got)
	}
	expect(t, talk(t, c, "", circuit(3, 0x4711, 10)), ackText)
	d.terminate(t)
}

// TestDamagedSealedSegment spoils a segment that the daemon doesn't need: it serves, and verify tells.
func TestDamagedSealedSegment(t *testing.T) {
	p := newPlace(t, "example")
	writeSegments(t, p.logDir())
	segments, err := filepath.Glob(filepath.Join(p.logDir(), "*.db"))
	if err != nil || len(segments) < 3 {
		t.Fatalf("segments %q %v", segments, err)
	}
	d := p.startServing(t, "lqosd")
	c := connect(t, p, bus.CBOR)
	last := seq(t, c)
	expect(t, talk(t, c, "", mqSetup), ackText)
	d.terminate(t)
	if code, out, _ := p.run(t, program(t, "bakery-replay"), "verify", "state/eventlog"); code != 0 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	spoil(t, segments[1], "circuit-in-2-")
	before := mustRead(t, segments[1])

	d = p.startServing(t, "lqosd")
	c = connect(t, p, bus.CBOR)
	if got := seq(t, c); got != last+1 {
		t.Errorf("the log ends at %d, want %d", got, last+1)
	}
	// A question that needs the damaged records gets an answer that says so.
	record := func(seq eventlog.Seq) string { return fmt.Sprintf(`{"LqosdRecord":{"seq":%d}}`, seq) }
	expect(t, talk(t, c, "", record(1), record(50), record(last), mqSetup),
		`{"LqosdRecord":.*}`, `{"Fail":".*damaged.*"}`, `{"LqosdRecord":.*}`, ackText)
	d.terminate(t)
	code, out, _ := p.run(t, program(t, "bakery-replay"), "verify", "state/eventlog")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	says(t, out, "DAMAGED", filepath.Base(segments[1]))
	if mustRead(t, segments[1]) != before {
		t.Error("the damaged file was changed")
	}
}

// TestSealedSegmentsBesideDaemon reads what the daemon doesn't hold.
func TestSealedSegmentsBesideDaemon(t *testing.T) {
	p := newPlace(t, "example")
	writeSegments(t, p.logDir())
	d := p.startServing(t, "lqosd")
	expect(t, talk(t, connect(t, p, bus.CBOR), "", mqSetup), ackText)
	replay := program(t, "bakery-replay")
	const sealed = 121 // of them the live segment has none
	for _, args := range [][]string{{"log"}, {"tree"}, {"render"}, {"render", "--form", "state"}, {"stats"}, {"diff", "--from", "1"},
		{"log", "--from", "121"}, {"log", "--from", "122"}, {"bisect", "--run", "test $BAKERY_SEQ -lt 100"}} {
		code, out, diag := p.run(t, replay, append(args, "state/eventlog")...)
		if want := map[bool]int{true: 1}[args[0] == "diff"]; code != want {
			t.Errorf("%s: exit code %d, want %d", args, code, want)
		}
		says(t, diag, fmt.Sprintf("bakery-replay: only records up to %d: ", sealed), "unix:"+p.socket())
		if lines := strings.Count(out, "\n"); args[0] == "log" && len(args) == 1 && lines != sealed {
			t.Errorf("%s: %d lines, want %d", args, lines, sealed)
		}
	}
	d.terminate(t)
}

// writeSegments makes a log of several segments.
func writeSegments(t testing.TB, dir string) {
	t.Helper()
	l, err := eventlog.Open(dir, eventlog.Options{SegmentBytes: 4 << 10})
	if err != nil {
		t.Fatal(err)
	}
	tree := bakery.NewTree()
	add := func(c bakery.Command) {
		r := bakery.Record{Seq: tree.Seq + 1, Time: time.Now(), Command: c}
		if err := bakery.Fold(tree, r); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Append(t.Context(), eventlog.Tx{Records: [][]byte{bakery.AppendRecord(nil, r)}}); err != nil {
			t.Fatal(err)
		}
	}
	add(bakery.MqSetup{Down: bakery.Direction{Link: "eth1", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: []string{"cake"}},
		Up: bakery.Direction{Link: "eth0", FirstMajor: 1, Queues: 1, CapacityMbps: 1000, SQM: []string{"cake"}}, R2Q: 10})
	for segment := 1; segment <= 3; segment++ {
		for i := range 40 {
			comment := fmt.Sprintf("circuit-in-%d-%d", segment, i)
			add(bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:", ClassID: fmt.Sprintf("0x%x", 16+i), RateMbps: 1, CeilMbps: float64(segment),
				CircuitHash: int64(i), Comment: &comment, R2Q: 10})
		}
		snapshot := tree.AppendSnapshot(nil)
		p, err := l.Roll(eventlog.Snapshot{Mark: tree.Generation, Write: func(w io.Writer) error {
			_, err := w.Write(snapshot)
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLogBesideDaemon reads the log of a live daemon, from its directory and over its bus, while commands arrive.
func TestLogBesideDaemon(t *testing.T) {
	p := newPlace(t, "n1000")
	d := p.startServing(t, "lqosd")
	replay := program(t, "bakery-replay")
	code, _, diag := p.run(t, replay, "log", "state/eventlog")
	if code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	says(t, diag, fmt.Sprintf("is held by pid %d", d.cmd.Process.Pid), "unix:"+p.socket())

	requests := trace(t, "n1000", "trace.jsonl")
	c := connect(t, p, bus.CBOR)
	played := make(chan error, 1)
	go func() {
		for some := range slices.Chunk(calls(requests), 10) {
			if replies, err := c.Do(t.Context(), some...); err != nil || !replies[0].IsAck() {
				played <- fmt.Errorf("answer %v %w", replies, err)
				return
			}
		}
		played <- nil
	}()
	copies := 0
	for playing := true; playing; copies++ {
		select {
		case err := <-played:
			if err != nil {
				t.Fatal(err)
			}
			playing = false
		default:
		}
		code, out, diag := p.run(t, replay, "verify", "unix:bus")
		if code != 0 {
			t.Fatalf("bakery-replay verify unix:bus: exit code %d\n%s%s", code, out, diag)
		}
		if !playing {
			says(t, out, "whole: 4347 records")
		}
	}
	t.Logf("%d copies were whole", copies)
	if copies < 3 {
		t.Errorf("only %d copies were made while commands arrived", copies)
	}
	code, out, diag := p.run(t, replay, "render", "unix:"+p.socket())
	if code != 0 || out != p.tcFile(t) {
		t.Errorf("bakery-replay render: exit code %d, and the lines differ\n%s", code, diag)
	}
	if left, err := filepath.Glob(filepath.Join(p.dir, "state", ".copy-*")); err != nil || len(left) > 0 {
		t.Errorf("copies were left: %q %v", left, err)
	}
	d.terminate(t)
}
