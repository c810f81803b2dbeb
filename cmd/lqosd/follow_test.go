package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"lqosd/bus"
)

// follower is a bakery-replay log --follow.
type follower struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string // of stdout; closed at its end
	mu    sync.Mutex
	diag  bytes.Buffer
}

// Write keeps what it says on stderr.
func (f *follower) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.diag.Write(b)
}

func (f *follower) said() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.diag.String()
}

func startFollower(t *testing.T, p place, flags ...string) *follower {
	t.Helper()
	f := &follower{t: t, lines: make(chan string, 1<<15)} // more than any test makes: nobody waits for its reader
	f.cmd = exec.Command(program(t, "bakery-replay"), append([]string{"log", "unix:" + p.socket(), "--follow"}, flags...)...)
	f.cmd.Stderr = f
	out, err := f.cmd.StdoutPipe()
	if err == nil {
		err = f.cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(f.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			f.lines <- s.Text()
		}
	}()
	t.Cleanup(func() { _ = f.cmd.Process.Kill() })
	return f
}

func (f *follower) next() string {
	f.t.Helper()
	select {
	case line, ok := <-f.lines:
		if !ok {
			f.t.Fatalf("it ended: %s", f.said())
		}
		return line
	case <-time.After(patience):
		f.t.Fatalf("nothing comes: %s", f.said())
	}
	return ""
}

// wants the records from..to, each once and in order.
func (f *follower) wants(from, to int) {
	f.t.Helper()
	for want := from; want <= to; want++ {
		var e struct{ Seq int }
		if line := f.next(); json.Unmarshal([]byte(line), &e) != nil || e.Seq != want {
			f.t.Fatalf("want record %d: %s", want, line)
		}
	}
}

// interrupt is Ctrl-C, after which nothing more comes.
func (f *follower) interrupt() {
	f.t.Helper()
	if err := f.cmd.Process.Signal(os.Interrupt); err != nil {
		f.t.Fatal(err)
	}
	for line := range f.lines {
		f.t.Errorf("too much: %s", line)
	}
	if err := f.cmd.Wait(); err != nil {
		f.t.Errorf("after Ctrl-C: %v, %s", err, f.said())
	}
}

// TestFollow: what is there is shown, then each record when it is durable, over a restart of the daemon and in a burst.
func TestFollow(t *testing.T) {
	p := newPlace(t, "example")
	end := p.serveHere(t)
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup, site(3, 100)), ackText, ackText)
	f := startFollower(t, p, "--json")
	f.wants(1, 2)
	expect(t, talk(t, c, "", circuit(3, 4, 10)), ackText)
	f.wants(3, 3)

	_ = c.Close()
	end()
	for !strings.Contains(f.said(), "has gone: waiting for it") {
		select {
		case line, ok := <-f.lines:
			t.Fatalf("without a daemon: %s, %v, %s", line, ok, f.said())
		case <-time.After(10 * time.Millisecond):
		}
	}
	end = p.serveHere(t)
	defer end()
	c = connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", circuit(3, 5, 10)), ackText)
	f.wants(4, 4)

	const burst = 10_000
	call, err := bus.ParseCall([]byte(circuit(3, 5, 20)))
	if err != nil {
		t.Fatal(err)
	}
	calls := make([]bus.Call, burst)
	for i := range calls {
		calls[i] = call
	}
	for range 10 {
		if _, err := c.Do(t.Context(), calls[:burst/10]...); err != nil {
			t.Fatal(err)
		}
	}
	f.wants(5, 4+burst)
	f.interrupt()
	if n := strings.Count(f.said(), "\n"); n != 1 {
		t.Errorf("it said:\n%s", f.said())
	}
}

// TestFollowFilters: they count for what comes, too, with the tree as it then is.
func TestFollowFilters(t *testing.T) {
	p := newPlace(t, "example")
	defer p.serveHere(t)()
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup, site(3, 100), circuit(3, 4, 10), circuit(3, 5, 10)), ackText, ackText, ackText, ackText)
	f := startFollower(t, p, "--circuit", "circuit 5", "--changes", "-p", "--tail", "1")
	shows := func(wanted ...string) {
		t.Helper()
		for _, want := range wanted {
			if line := f.next(); !strings.Contains(line, want) {
				t.Fatalf("%s, want %s", line, want)
			}
		}
	}
	shows("AddCircuitHTBClass", "class add dev eth1 parent 0x1:0x3 classid 0x5", "+ class add dev eth1 parent 1:3 classid 1:5")
	requests := []string{circuit(3, 4, 20), circuit(3, 5, 30), mapTo("192.0.2.7", 1, 5), circuit(3, 6, 10)}
	for _, r := range requests {
		expect(t, talk(t, c, "", r), ackText)
	}
	shows("6  ", "class add", "~ class", "7  ", "192.0.2.7")
	f.interrupt()
	if said := f.said(); said != "" {
		t.Errorf("it said:\n%s", said)
	}
}

func mapTo(address string, major, minor int) string {
	return fmt.Sprintf(`{"MapIpToFlow":{"ip_address":%q,"tc_handle":%d,"cpu":0,"upload":false}}`, address, major<<16|minor)
}

// TestWaitersDontHoldUpTheEnd: who waits for a record that nobody sends is answered when the daemon ends.
func TestWaitersDontHoldUpTheEnd(t *testing.T) {
	p := newPlace(t, "example")
	end := p.serveHere(t)
	c := connect(t, p, bus.CBOR)
	expect(t, talk(t, c, "", mqSetup), ackText)
	future := c.Go(bus.Call{Name: "LqosdWait", Args: map[string]any{"seq": 2, "timeout_ms": 3_600_000}})
	other := connect(t, p, bus.CBOR)
	for arrived, asked := false, int64(0); !arrived; {
		var status struct {
			Bus bus.Stats `json:"bus"`
		}
		if err := other.Ask(t.Context(), bus.Call{Name: "LqosdStatus"}, &status); err != nil {
			t.Fatal(err)
		}
		asked++
		arrived = status.Bus.Sessions == asked+2 // and MqSetup, and the waiting one
	}
	end()
	replies, err := future.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if text, err := replies[0].JSON(); err != nil || !strings.Contains(string(text), "the newest is 1: the daemon ends") {
		t.Errorf("%s, %v", text, err)
	}
}
