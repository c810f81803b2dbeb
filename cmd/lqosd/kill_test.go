package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/golden"
)

// kills is how many daemons each of the tests here kills.
const kills = 50

// seeded gives the dice of a test. LQOSD_SEED=N throws them as before.
func seeded(t testing.TB) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("LQOSD_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("LQOSD_SEED=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// life is what a client knows of one daemon: what it sent, in order, and how much of that was acknowledged.
type life struct {
	sent  []string // as identity gives them
	acked int
}

// check compares what a log holds of a life with what the client knows: a prefix of what was sent, that holds all that
// was acknowledged.
func (l life) check(inLog []string) error {
	if len(inLog) < l.acked {
		return fmt.Errorf("%d requests were acknowledged, %d are in the log", l.acked, len(inLog))
	}
	if len(inLog) > len(l.sent) {
		return fmt.Errorf("%d requests were sent, %d are in the log", len(l.sent), len(inLog))
	}
	for i, r := range inLog {
		if r != l.sent[i] {
			return fmt.Errorf("record %d of this life is %s, sent was %s", i+1, r, l.sent[i])
		}
	}
	return nil
}

// identity tells commands from each other, without what the daemon resolves.
func identity(c bakery.Command) string {
	switch c := c.(type) {
	case bakery.MqSetup:
		return fmt.Sprint("MqSetup ", c.QueuesAvailable, c.StickOffset)
	case bakery.ClearPriorSettings:
		return "ClearPriorSettings"
	}
	body, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return c.Kind().String() + string(body)
}

func identities(t testing.TB, requests []golden.Request) []string {
	t.Helper()
	ids := make([]string, len(requests))
	for i, r := range requests {
		c, err := bakery.DecodeCommand(r.Name, r.Args != nil, func(v any) error { return json.Unmarshal(r.Args, v) })
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = identity(c)
	}
	return ids
}

// victim is a daemon's log through many lives.
type victim struct {
	place
	dice    *rand.Rand
	trace   []golden.Request
	ids     []string
	checked eventlog.Seq
	model   *bakery.Tree
	flying  int // kills that met requests without an answer
	early   int // kills before the daemon served
}

func newVictim(t testing.TB) *victim {
	t.Helper()
	requests := trace(t, "n1000", "trace.jsonl")
	if len(requests) != 4347 {
		t.Fatalf("the recording has %d requests", len(requests))
	}
	return &victim{place: newPlace(t, "n1000"), dice: seeded(t), trace: requests,
		ids: identities(t, requests), model: bakery.NewTree()}
}

// settle checks what the log holds of a life, folds it into the model, and counts it.
func (v *victim) settle(t testing.TB, l life) (inLog int) {
	t.Helper()
	ids, err := v.look()
	if err == nil {
		err = l.check(ids)
	}
	if err != nil {
		t.Fatal(err)
	}
	// The control: one acknowledgement more than the log has must be noticed.
	if l.acked = len(ids) + 1; l.check(ids) == nil {
		t.Fatal("an acknowledged request that is not in the log passes")
	}
	return len(ids)
}

// look folds what came into the log since the last look, and lists it.
func (v *victim) look() (ids []string, err error) {
	r, err := eventlog.OpenReader(v.logDir())
	if errors.Is(err, os.ErrNotExist) && v.checked == 0 {
		return nil, nil // the daemon ended before it made a log
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	for raw, err := range r.Records(v.checked + 1) {
		if err != nil {
			return nil, err
		}
		rec, err := bakery.DecodeRecord(raw.Seq, raw.Data)
		if err == nil {
			err = bakery.Fold(v.model, rec)
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, identity(rec.Command))
		v.checked = rec.Seq
	}
	return ids, nil
}

// windows are how many requests a client may have on the way.
var windows = []int{8, 64, 512}

// session is one session on the way.
type session struct {
	future *bus.Future
	n      int
}

// live plays requests, size a session, to a daemon that is killed meanwhile, or, with mercy, only at the end. key gives
// the session that begins with request i its key.
func (v *victim) live(t testing.TB, from, size int, mercy bool, key func(i int) string) life {
	t.Helper()
	acks, delay := v.dice.IntN(2*len(v.trace)/kills), time.Duration(v.dice.IntN(3000))*time.Microsecond
	early := !mercy && v.dice.IntN(10) == 0
	d := v.start(t, program(t, "lqosd"))
	if early {
		time.AfterFunc(10*delay, d.kill)
	}
	if !d.waitServing(t) {
		v.early++
		return life{}
	}
	c, err := bus.Dial(t.Context(), v.socket(), bus.DialOptions{})
	if err != nil && early {
		<-d.ended
		return life{}
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()

	var l life
	sessions := make(chan session, windows[v.dice.IntN(len(windows))]/size)
	sent := make(chan int, 1)
	go func() {
		defer close(sessions)
		all := calls(v.trace[from:])
		i := 0
		for ; i < len(all) && c.Err() == nil; i += size {
			n := min(size, len(all)-i)
			sessions <- session{c.GoWithKey(key(from+i), all[i:i+n]...), n}
		}
		sent <- min(i, len(all))
	}()
	flying := false
	for s := range sessions {
		replies, err := s.future.Wait(context.WithoutCancel(t.Context()))
		if err != nil {
			if !errors.Is(err, bus.ErrClosed) {
				t.Error(err)
			}
			flying = true
			continue
		}
		for _, r := range replies {
			if !r.IsAck() {
				t.Errorf("request %d: %v", from+l.acked+1, r.Err())
			}
		}
		if flying {
			t.Error("an answer came after one that never came")
		}
		if before := l.acked; !mercy && before <= acks && before+s.n > acks {
			time.AfterFunc(delay, d.kill)
		}
		l.acked += s.n
	}
	n := <-sent
	l.sent = v.ids[from : from+n]
	if flying {
		v.flying++
	}
	if mercy {
		d.terminate(t)
	} else {
		d.kill()
	}
	return l
}

func noKey(int) string { return "" }

// TestKill kills the daemon at random moments while a client plays a network to it, request by request. The client
// goes on where the log ends, which may be beyond the last answer it got: a request such as ClearPriorSettings can't be
// followed by those before it. At the end of its network it begins again, as clients do.
func TestKill(t *testing.T) {
	v := newVictim(t)
	at, unheard := 0, 0
	for range kills {
		l := v.live(t, at, 1, false, noKey)
		inLog := v.settle(t, l)
		unheard += inLog - l.acked
		if at += inLog; at == len(v.trace) {
			at = 0
		}
	}
	last := v.live(t, at, 1, true, noKey)
	v.settle(t, last)
	t.Logf("%d kills, %d of them with requests on the way, %d before the daemon served; %d requests were in the log whose answer got lost; %d records",
		kills, v.flying, v.early, unheard, v.checked)
	if v.flying < kills/2 {
		t.Errorf("only %d of %d kills met requests on the way", v.flying, kills)
	}
	v.finish(t, at+last.acked)
}

// TestKillWithKeys sends sessions with keys, and after a kill all those again that weren't answered: the log then holds
// every request once.
func TestKillWithKeys(t *testing.T) {
	v := newVictim(t)
	const size = 7
	at, inLog, again, round := 0, 0, 0, 0 // answered and in the log of this round; sent again
	key := func(i int) string { return fmt.Sprintf("round %d, session from %d", round, i) }
	for range kills {
		at, inLog = v.liveWithKeys(t, at, inLog, size, false, key)
		again += inLog - at
		if at == len(v.trace) {
			at, inLog, round = 0, 0, round+1
		}
	}
	at, _ = v.liveWithKeys(t, at, inLog, size, true, key)
	t.Logf("%d kills met requests on the way; %d requests were sent again that were in the log; %d records", v.flying, again, v.checked)
	if want := eventlog.Seq(len(v.trace) * (round + 1)); v.checked != want {
		t.Errorf("%d records, want %d: every request once a round", v.checked, want)
	}
	v.finish(t, at)
}

func (v *victim) liveWithKeys(t testing.TB, at, inLog, size int, mercy bool, key func(int) string) (int, int) {
	t.Helper()
	l := v.live(t, at, size, mercy, key)
	reached, sent := at+l.acked, at+len(l.sent)
	// What the log had beyond the answers of earlier lives is not appended again.
	fresh := life{sent: v.ids[inLog:max(sent, inLog)], acked: max(reached-inLog, 0)}
	inLog += v.settle(t, fresh)
	if inLog%size != 0 && inLog != len(v.trace) {
		t.Fatalf("%d requests are in the log: part of a session", inLog)
	}
	return reached, inLog
}

// finish checks the log of a life that ended in peace, having played its network to the end.
func (v *victim) finish(t testing.TB, played int) {
	t.Helper()
	if played != len(v.trace) {
		t.Fatalf("%d of %d requests were played", played, len(v.trace))
	}
	out, err := exec.Command(program(t, "bakery-replay"), "verify", "--json", v.logDir()).Output()
	if err != nil {
		t.Fatalf("bakery-replay verify: %v\n%s", err, out)
	}
	var report struct {
		Seq  eventlog.Seq `json:"seq"`
		Hash string       `json:"hash"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		t.Fatal(err)
	}
	if report.Seq != v.checked || report.Hash != v.model.Hash() {
		t.Errorf("the tree after record %d is %s, want that after %d, %s", report.Seq, report.Hash, v.checked, v.model.Hash())
	}
	lines, err := recorded("n1000").Lines()
	if err != nil {
		t.Fatal(err)
	}
	checkState(t, v.model, lines)
}

// TestLifeCheck holds faulty logs against what a client knows.
func TestLifeCheck(t *testing.T) {
	l := life{sent: []string{"a", "b", "c", "d"}, acked: 2}
	for _, tc := range []struct {
		name, log string
		good      bool
	}{
		{"just the acknowledged", "a b", true},
		{"some more", "a b c", true},
		{"all", "a b c d", true},
		{"nothing", "", false},
		{"one is missing at the end", "a", false},
		{"one is missing at the beginning", "b c", false},
		{"one is missing within", "a c", false},
		{"in another order", "b a", false},
		{"twice", "a a b", false},
		{"twice at the end", "a b c d d", false},
		{"one that was never sent", "a b x", false},
	} {
		if err := l.check(strings.Fields(tc.log)); (err == nil) != tc.good {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}
