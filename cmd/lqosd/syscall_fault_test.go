package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/testenv"
)

// TestTrialSyscallFaults makes every system call with which the daemon writes its log fail once, in every way: error,
// full disk, death. Nothing is acknowledged that isn't durable, nothing refused that is there, an unknown outcome is
// resolved by its Seq, the log comes back, and the tc file has the lines of all that is in the log.
func TestTrialSyscallFaults(t *testing.T) {
	testenv.Need(t, testenv.Strace)
	// strace counts the calls of each thread, and the daemon's goroutines move between them, all but the one that commits: the few
	// fsyncs may each be the first of another, and one n that meets nothing isn't the end.
	for call, least := range map[string]int{"fdatasync": 10, "fsync": 1, "pwrite64": 15, "ftruncate": 1, "mmap": 1} {
		for _, how := range []string{"error=EIO", "error=ENOSPC", "signal=KILL", "error=EIO:signal=KILL"} {
			t.Run(call+" "+how, func(t *testing.T) {
				t.Parallel()
				total := faultyRun{}
				fired := 0
				for n := 1; n <= fired+2; n++ {
					f := newFaulty(t)
					if err := f.run(t, call, fmt.Sprintf("%s:when=%d", how, n)); err != nil {
						t.Fatalf("call %d: %v", n, err)
					}
					if total.add(f.faultyRun); f.fired {
						fired = n
					}
				}
				t.Logf("figure: %s, %s | %d calls; %d acked, %d refused, %d unknown, of which %d were there, %d without an answer; %d times the bakery didn't start | 0 faults",
					call, how, fired, total.acked, total.refused, total.unknown, total.resolved, total.lost, total.unstarted)
				if fired < least {
					t.Errorf("%d calls of %s failed, at least %d are made", fired, call, least)
				}
			})
		}
	}
}

// TestTrialSyscallTrust is the control: a client that takes an unknown outcome for an Ack, as if the daemon acknowledged before
// the commit, must come to grief.
func TestTrialSyscallTrust(t *testing.T) {
	testenv.Need(t, testenv.Strace)
	for n := 8; n < 30; n++ {
		f := newFaulty(t)
		f.trusting = true
		if err := f.run(t, "pwrite64", fmt.Sprintf("error=EIO:when=%d", n)); err != nil {
			t.Logf("figure: system calls, control: unknown outcomes taken for Acks | %d calls | found out", n-7)
			t.Log(err)
			return
		}
	}
	t.Error("acknowledged commands were never written, and nobody noticed")
}

// faultyRun counts what the client heard of a daemon with a fault.
type faultyRun struct {
	fired                                   bool
	acked, refused, unknown, resolved, lost int
	unstarted                               int // 1 if the bakery didn't start
}

func (f *faultyRun) add(g faultyRun) {
	f.acked += g.acked
	f.refused += g.refused
	f.unknown += g.unknown
	f.resolved += g.resolved
	f.lost += g.lost
	f.unstarted += g.unstarted
}

// faulty is a client of a daemon with a fault.
type faulty struct {
	place
	faultyRun
	d      *process
	dead   bool // an answer didn't come
	client *bus.Client
	// trusting takes unknown outcomes for Acks.
	trusting bool
	site     int             // the last one sent
	must     []string        // acked, in order
	may      map[string]bool // without an answer
	never    map[string]bool // refused, or unknown and then found to be absent
}

func newFaulty(t testing.TB) *faulty {
	return &faulty{place: newPlace(t, "example"), may: map[string]bool{}, never: map[string]bool{}}
}

// run runs a daemon under strace with a fault, a client with it, and a daemon without a fault after it.
func (f *faulty) run(t testing.TB, call, fault string) error {
	trace := filepath.Join(f.dir, "strace.txt")
	// -q, not -qq: the death of a process has to be in the trace.
	words := []string{"strace", "-f", "-q", "-o", trace, "-e", "trace=" + call, "-e", "inject=" + call + ":" + fault}
	if !strings.Contains(fault, "signal") { // which strace can't send with it
		words = append(words, "--seccomp-bpf")
	}
	segment := filepath.Join(f.logDir(), "00000000000000000001.db")
	for _, path := range []string{filepath.Dir(f.logDir()), f.logDir(), filepath.Join(f.logDir(), "LOCK"), segment, segment + ".tmp"} {
		words = append(words, "-P", path)
	}
	f.d = faultyLog{thread: true}.start(t, f.place, words...)
	defer f.d.kill()
	err := f.suffer(t)
	if f.dead { // strace has to write that down
		f.d.exitCode(t)
	}
	f.d.kill()
	text, readErr := os.ReadFile(trace)
	f.fired = strings.Contains(string(text), "INJECTED") || strings.Contains(string(text), "killed by SIGKILL")
	if err := errors.Join(err, readErr); err != nil {
		return err
	}
	return f.recover(t)
}

// suffer talks to the daemon with the fault until it serves as if nothing had been, or is dead.
func (f *faulty) suffer(t testing.TB) error {
	if !f.d.waitServing(t) {
		return nil
	}
	c, err := bus.Dial(t.Context(), f.socket(), bus.DialOptions{Codec: bus.CBOR})
	if f.dead = err != nil; f.dead {
		return nil
	}
	defer func() { _ = c.Close() }()
	f.client = c
	first := f.file(t, c.Go(bus.Call{Name: "BakeryMqSetup"}), []string{"MqSetup"})
	f.must = nil // a network is set up more than once
	delete(f.never, "MqSetup")
	if strings.Contains(fmt.Sprint(first), "not running") {
		f.unstarted = 1
		return nil
	}
	for range 3 {
		f.send(t, 1)
	}
	f.send(t, 3)
	for range 3 { // each a big group, which waits for the disk once
		f.send(t, 200)
	}
	f.pipeline(t, 4)
	if f.dead {
		return nil
	}
	if err := f.comesBack(t); err != nil || f.dead {
		return err
	}
	return f.tcFileIsWhole(t)
}

// next makes the requests for the next n sites.
func (f *faulty) next(n int) (calls []bus.Call, ids []string) {
	for range n {
		f.site++
		request := site(2+f.site, 100)
		call, err := bus.ParseCall([]byte(request))
		if err != nil {
			panic(err)
		}
		calls, ids = append(calls, call), append(ids, fmt.Sprintf(`"classid":"0x%x"`, 2+f.site))
	}
	return calls, ids
}

// send sends one session, and files the answers.
func (f *faulty) send(t testing.TB, n int) []string {
	calls, ids := f.next(n)
	return f.file(t, f.client.Go(calls...), ids)
}

// pipeline sends n sessions at once.
func (f *faulty) pipeline(t testing.TB, n int) {
	var futures []*bus.Future
	var all [][]string
	for range n {
		calls, ids := f.next(1)
		futures, all = append(futures, f.client.Go(calls...)), append(all, ids)
	}
	for i, future := range futures {
		f.file(t, future, all[i])
	}
}

// file notes what the answers say about the requests with ids.
func (f *faulty) file(t testing.TB, future *bus.Future, ids []string) (answers []string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	replies, err := future.Wait(ctx)
	for i, id := range ids {
		switch {
		case err != nil:
			f.lost++
			f.dead, f.may[id] = true, true
			continue
		case replies[i].IsAck(), f.trusting && replies[i].Name == "LqosdUnknownOutcome":
			f.acked++
			f.must = append(f.must, id)
		case replies[i].Name == "LqosdUnknownOutcome":
			f.resolve(t, replies[i], id)
		default:
			f.refused++
			f.never[id] = true
		}
		text, _ := replies[i].JSON()
		answers = append(answers, string(text))
	}
	return answers
}

// resolve asks for the record that an unknown outcome names.
func (f *faulty) resolve(t testing.TB, reply bus.Reply, id string) {
	f.unknown++
	var u unknownOutcome
	if err := reply.Decode(&u); err != nil {
		t.Errorf("%s: %v", id, err)
	}
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		replies, err := f.client.Do(ctx, bus.Call{Name: "LqosdRecord", Args: map[string]any{"seq": u.Seq}})
		cancel()
		if err != nil {
			f.may[id] = true
			return
		}
		text, _ := replies[0].JSON()
		switch {
		case replies[0].Name == "LqosdRecord" && strings.Contains(string(text), id):
			f.resolved++
			f.must = append(f.must, id)
			return
		case strings.Contains(string(text), "is not in the log"), replies[0].Name == "LqosdRecord":
			f.never[id] = true
			return
		}
		<-time.After(20 * time.Millisecond)
	}
	t.Errorf("%s: the outcome of record %d stays unknown", id, u.Seq)
}

// comesBack sends until something is acknowledged, or there is no answer.
func (f *faulty) comesBack(t testing.TB) error {
	var answers []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline) && !f.dead; {
		calls, ids := f.next(1)
		calls = append([]bus.Call{{Name: "BakeryMqSetup"}}, calls...)
		answers = f.file(t, f.client.Go(calls...), append([]string{"MqSetup"}, ids...))
		f.must = slices.DeleteFunc(f.must, func(id string) bool { return id == "MqSetup" })
		delete(f.never, "MqSetup")
		if slices.Equal(answers, []string{ackText, ackText}) {
			return nil
		}
		<-time.After(50 * time.Millisecond)
	}
	if f.dead {
		return nil
	}
	return fmt.Errorf("the log doesn't come back: %s", answers)
}

// tcFileIsWhole ends the daemon, and compares the tc file with the log.
func (f *faulty) tcFileIsWhole(t testing.TB) error {
	_ = syscall.Kill(-f.d.cmd.Process.Pid, syscall.SIGTERM) // it may have died
	if code := f.d.exitCode(t); code != 0 {
		return nil
	}
	if f.tcFile(t) != f.render(t) {
		return errors.New("the tc file isn't what the log gives")
	}
	return nil
}

// recover starts a daemon without a fault, and compares the log with what was said.
func (f *faulty) recover(t testing.TB) error {
	d := f.startServing(t, program(t, "lqosd"))
	f.client = connect(t, f.place, bus.CBOR)
	f.dead = false
	if err := f.comesBack(t); err != nil {
		return fmt.Errorf("without the fault: %w", err)
	}
	d.terminate(t)
	if r, err := eventlog.Verify(t.Context(), f.logDir()); err != nil || !r.Clean() {
		return fmt.Errorf("verify: %v %w", r.Problems, err)
	}
	var inLog []string
	for _, r := range f.records(t, 1) {
		if id := classID.FindString(identity(r.Command)); id != "" {
			inLog = append(inLog, id)
		}
	}
	return f.compare(inLog)
}

var classID = regexp.MustCompile(`"classid":"0x[0-9a-f]+"`)

// compare holds what is in the log against what the client heard.
func (f *faulty) compare(inLog []string) error {
	seen, at := map[string]bool{}, 0
	for _, id := range inLog {
		if seen[id] {
			return fmt.Errorf("%s is in the log twice", id)
		}
		if seen[id] = true; f.never[id] {
			return fmt.Errorf("%s is in the log, and was refused", id)
		}
		if at < len(f.must) && f.must[at] == id {
			at++
		}
	}
	if at < len(f.must) {
		return fmt.Errorf("%s was acknowledged, and is not in the log, or not in its place", f.must[at])
	}
	return nil
}
