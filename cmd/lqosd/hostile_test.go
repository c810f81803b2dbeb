package main

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lqosd/bus"
	"lqosd/internal/testenv"
)

// unboundedEnv makes "lqosd", this test binary, a daemon whose bus bounds nothing: the control of TestTrialHostileMemory.
const unboundedEnv = "LQOSD_TEST_UNBOUNDED"

func init() {
	if os.Getenv(unboundedEnv) != "" {
		busLimits = func(o bus.Options) bus.Options {
			o.MaxConns, o.MaxMemory = 1<<20, 1<<60
			o.HandshakeTimeout, o.FrameTimeout = time.Hour, time.Hour // on a busy machine the first ones would be gone when the last ones come
			return o
		}
	}
}

// besieged is a daemon with a network, and an honest client of it.
type besieged struct {
	place
	*process
	honest *bus.Client
}

// newBesieged starts one that may open so many files; with an environment it is this test binary.
func newBesieged(t *testing.T, files int, environment ...string) besieged {
	t.Helper()
	p := newPlace(t, "example")
	command := program(t, "lqosd")
	if len(environment) > 0 {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		command = self
	}
	cmd := exec.Command("bash", "-c", fmt.Sprintf(`ulimit -n %d; exec -a lqosd "$0" "$@"`, files), command, "serve", "--config", p.config(), "--mode", "file")
	cmd.Env = append(append(os.Environ(), "GOTRACEBACK=all"), environment...)
	d := p.startCommand(t, cmd)
	if !d.waitServing(t) {
		t.Fatalf("the daemon ended: %v\n%s", d.err, d)
	}
	b := besieged{p, d, connect(t, p, bus.CBOR)}
	mustPlay(t, b.honest, trace(t, "example", "trace.jsonl"), 0)
	mustPlay(t, b.honest, trace(t, "example", "ip.jsonl"), 0)
	return b
}

// ask asks once, and gives how long it took.
func (b besieged) ask(t testing.TB) time.Duration {
	t.Helper()
	start := time.Now()
	replies, err := b.honest.Do(t.Context(), bus.Call{Name: "GetBakeryStats"})
	if err != nil || replies[0].Name != "BakeryActiveCircuits" {
		t.Fatalf("the honest client got %v, %v\n%.2000s", replies, err, b.diary)
	}
	return time.Since(start)
}

// goroutines ends the daemon with SIGQUIT, and counts them.
func (b besieged) goroutines(t testing.TB) int {
	t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	b.exitCode(t)
	return strings.Count(b.String(), "\ngoroutine ")
}

// quantiles are the median and the 99th percentile.
func quantiles(all []time.Duration) (p50, p99 time.Duration) {
	slices.Sort(all)
	return all[len(all)/2], all[len(all)*99/100]
}

// compare asks two daemons in turns, and gives the ratios of their medians and 99th percentiles.
func compare(t testing.TB, a, b besieged, n int) (p50, p99 float64) {
	t.Helper()
	var as, bs []time.Duration
	for range n {
		as, bs = append(as, a.ask(t)), append(bs, b.ask(t))
	}
	a50, a99 := quantiles(as)
	b50, b99 := quantiles(bs)
	return float64(a50) / float64(b50), float64(a99) / float64(b99)
}

// How many times as long an honest client may wait beside a crowd that has nothing to do with the processor, at the median
// and at the 99th percentile.
const (
	crowdMedian = 2
	crowdTail   = 5
)

// TestTrialHostileCrowd has a daemon with 1,000 idle clients and some hundred that send half frames, a byte now and then, nonsense, or
// read nothing, beside one that nobody disturbs. One honest client asks both in turns.
func TestTrialHostileCrowd(t *testing.T) {
	quiet, b := newBesieged(t, 4096), newBesieged(t, 4096)
	c := newCrowd(t, b.place)
	c.idle(1000)
	c.stopWithin(30, 100_000, 70_000)
	c.announce(20, 64<<20)
	c.announce(10, 1<<30)
	c.trickle(50)
	c.insult()
	c.neverRead(20, []byte(`{"requests":["ListIpFlow","Ping"]}`))
	var p50, p99 float64
	try := 1
	for ; ; try++ {
		p50, p99 = compare(t, b, quiet, testenv.Tries(500, 5000))
		t.Logf("attempt %d: median × %.2f, 99th percentile × %.2f", try, p50, p99)
		if p50 < crowdMedian && p99 < crowdTail || try == 6 {
			break
		}
	}
	there := c.served()
	t.Logf("figure: hostile crowd | %d connections, %d of them held; attempt %d | an honest client's median × %.1f, 99th percentile × %.1f", len(c.open), there, try, p50, p99)
	if p50 >= crowdMedian || p99 >= crowdTail {
		t.Errorf("an honest client waits %.1f times as long, at the 99th percentile %.1f times", p50, p99)
	}
	if there < 700 {
		t.Errorf("%d connections are there: the crowd isn't", there)
	}
	c.leave()
	b.recovers(t, quiet)
}

// recovers waits until the crowd's connections are gone, and wants as many goroutines as in a daemon that nobody disturbed.
func (b besieged) recovers(t testing.TB, quiet besieged) {
	t.Helper()
	b.alone(t)
	if strings.Contains(b.String(), "panic") {
		t.Errorf("the daemon panicked:\n%.4000s", b.diary)
	}
	was, is := quiet.goroutines(t), b.goroutines(t)
	t.Logf("%d goroutines, %d in the daemon that had no crowd", is, was)
	if is > was+5 {
		t.Errorf("%d goroutines, %d in the daemon that had no crowd", is, was)
	}
}

// alone waits until no connection is open but the honest one.
func (b besieged) alone(t testing.TB) {
	t.Helper()
	deadline := time.Now().Add(2 * patience)
	for open := int64(-1); open != 1; {
		var s statusReply
		if err := b.honest.Ask(t.Context(), bus.Call{Name: "LqosdStatus"}, &s); err != nil {
			t.Fatal(err)
		}
		if open = s.Bus.Open; time.Now().After(deadline) {
			t.Fatalf("%d connections are open after the crowd left", open)
		}
	}
}

// TestTrialHostileBusy has 200 clients that ask without pause, half of them in rushes of 64 that they read late. One
// honest client gets its share.
func TestTrialHostileBusy(t *testing.T) {
	quiet, b := newBesieged(t, 4096), newBesieged(t, 4096)
	const n = 200
	var answered [n]atomic.Int64
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		client := connect(t, b.place, bus.CBOR)
		rush := 1
		if i%2 > 0 {
			rush = 64
		}
		wg.Go(func() { answered[i].Store(askWithoutPause(t, client, rush, stop, &answered[i])) })
	}
	defer wg.Wait()
	end := sync.OnceFunc(func() { close(stop) })
	defer end()
	for range 3 {
		b.ask(t)
	}
	sum := func() (total int64) {
		for i := 0; i < n; i += 2 {
			total += answered[i].Load()
		}
		return total
	}
	before := sum()
	asked := testenv.Tries(150, 1500)
	p50, p99 := compare(t, b, quiet, asked)
	perClient := float64(sum()-before) / (n / 2)
	share := float64(asked) / max(perClient, 1)
	end()
	wg.Wait()
	t.Logf("figure: 200 busy clients | %d requests of an honest one, %.0f of each other that asks one by one | share %.2f; its median × %.0f, 99th percentile × %.0f of a quiet daemon's", asked, perClient, share, p50, p99)
	if p50 < crowdMedian && p99 < crowdTail {
		t.Error("the measure of TestTrialHostileCrowd doesn't notice 200 busy clients")
	} else {
		t.Logf("figure: hostile crowd, control: 200 clients that do keep the daemon busy | %d requests | found out", asked)
	}
	// Half of its time the honest one asks the quiet daemon.
	if share < 0.1 {
		t.Errorf("the honest client got %.2f of a fair share", share)
	}
	if most := float64(n * 64); p50 > most {
		t.Errorf("the honest client waits %.0f times as long as alone; all questions that can be ahead of its own are %.0f", p50, most)
	}
	b.recovers(t, quiet)
}

// askWithoutPause asks in rushes until stop, and counts the answers.
func askWithoutPause(t testing.TB, client *bus.Client, rush int, stop chan struct{}, count *atomic.Int64) int64 {
	defer func() { _ = client.Close() }()
	for {
		var futures []*bus.Future
		for range rush {
			futures = append(futures, client.Go(bus.Call{Name: "GetBakeryStats"}))
		}
		for _, f := range futures {
			if _, err := f.Wait(t.Context()); err != nil {
				return count.Load()
			}
			count.Add(1)
		}
		select {
		case <-stop:
			return count.Load()
		default:
		}
	}
}

// memoryLimit is what the daemon of TestTrialHostileMemory may have, in bytes: one that takes more ends.
const memoryLimit = 1200 << 20

// TestTrialHostileMemory lets clients take as much memory as they can, of a daemon that ends when it takes too much.
func TestTrialHostileMemory(t *testing.T) {
	b := newBesieged(t, 4096)
	limit(t, b.cmd.Process.Pid)
	before := memory(t, b.cmd.Process.Pid)
	c := newCrowd(t, b.place)
	for what, attack := range siege(c) {
		attack()
		b.ask(t)
		t.Logf("after %s: at most %d MiB", what, memory(t, b.cmd.Process.Pid)>>10)
	}
	c.leave()
	b.alone(t)
	most := memory(t, b.cmd.Process.Pid)
	t.Logf("figure: memory under attack | a limit of %d MiB | %d MiB before, at most %d MiB, and the daemon serves", memoryLimit>>20, before>>10, most>>10)
	b.terminate(t)

	control := newBesieged(t, 4096, unboundedEnv+"=1")
	limit(t, control.cmd.Process.Pid)
	c = newCrowd(t, control.place)
	for range 6 { // those who come when it has ended are refused, at once
		c.stopWithin(24, 60<<20, 40<<20)
	}
	select {
	case <-control.ended:
		t.Log("figure: memory under attack, control: no bound for all connections together | 1 | found out: it ended")
	case <-time.After(patience):
		t.Errorf("a daemon without bounds has %d MiB, and serves", memory(t, control.cmd.Process.Pid)>>10)
	}
}

// siege is every way to take memory, in order.
func siege(c *crowd) func(yield func(string, func()) bool) {
	questions := []byte(`{"requests":[` + strings.Repeat(`"ListIpFlow",`, 5000) + `"Ping"]}`)
	return func(yield func(string, func()) bool) {
		_ = yield("1,000 idle clients", func() { c.idle(1000) }) &&
			yield("half frames of 40 MiB", func() { c.stopWithin(24, 60<<20, 40<<20) }) &&
			yield("announced 1 GiB and 64 MiB", func() { c.announce(20, 1<<30); c.announce(100, 64<<20) }) &&
			yield("nonsense", c.insult) &&
			yield("batches that are never committed", func() { c.neverCommit(12, 4<<20); c.stopWithin(1, 60<<20, 50<<20) }) &&
			yield("answers that nobody reads", func() { c.neverRead(12, questions); c.stopWithin(1, 60<<20, 50<<20) })
	}
}

// limit lets a process have so much data and no more: setrlimit(2), RLIMIT_DATA.
func limit(t testing.TB, pid int) {
	t.Helper()
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, &unix.Rlimit{Cur: memoryLimit, Max: memoryLimit}, nil); err != nil {
		t.Fatal(err)
	}
}

// TestTrialHostileFiles has a daemon that may open 128 files, and 300 clients. Half of the files are for connections; whoever is
// connected is served, and when the crowd has left all are let in again.
func TestTrialHostileFiles(t *testing.T) {
	quiet, b := newBesieged(t, 128), newBesieged(t, 128)
	c := newCrowd(t, b.place)
	c.idle(300)
	b.ask(t)
	open := b.files(t)
	b.mustBeFull(t)
	mustPlay(t, b.honest, trace(t, "example", "trace.jsonl"), 0)
	there := c.served()
	for deadline := time.Now().Add(patience); there > 63 && time.Now().Before(deadline); there = c.served() {
		b.ask(t) // to be refused is to be accepted and closed, which takes each a moment
	}
	t.Logf("figure: 300 clients, a daemon that may open 128 files | %d let in, %d files open | the others served, the log written", there, open)
	if there > 63 || open > 120 {
		t.Errorf("%d are let in, %d files are open", there, open)
	}
	says(t, b.String(), "connections are open, no more are taken")
	c.leave()
	b.recovers(t, quiet)

	control := newBesieged(t, 128, unboundedEnv+"=1")
	c = newCrowd(t, control.place)
	for range 300 {
		c.come(false)
	}
	n := control.files(t)
	for deadline := time.Now().Add(patience); n < 120 && time.Now().Before(deadline); n = control.files(t) {
		control.ask(t)
	}
	if n < 120 {
		t.Errorf("a daemon without bounds has %d files open", n)
	} else {
		t.Logf("figure: 300 clients, a daemon that may open 128 files, control: no bound for connections | %d files open | found out", n)
	}
}

// mustBeFull wants one more client not to be let in; some may be, for who didn't shake hands within 5 s has made room.
func (b besieged) mustBeFull(t testing.TB) {
	t.Helper()
	var err error
	for n := 0; n < 64 && err == nil; n++ {
		var c *bus.Client
		if c, err = bus.Dial(t.Context(), b.socket(), bus.DialOptions{}); err == nil {
			defer func() { _ = c.Close() }()
		}
	}
	if err == nil || !strings.Contains(err.Error(), "too many connections") {
		t.Errorf("one more client: %v", err)
	}
}

// files is how many files the daemon has open.
func (b besieged) files(t testing.TB) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", b.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}
