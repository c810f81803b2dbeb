package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
	"lqosd/bus"
	"lqosd/eventlog"
	"lqosd/internal/golden"
)

// network is a batch, and what a log that has it holds.
type network struct {
	calls []bus.Call
	id    string
}

// headNetworks are n networks that a client may send one after the other.
func headNetworks(t testing.TB, n int) []network {
	t.Helper()
	var list []network
	for _, requests := range headBatches(t, n) {
		list = append(list, network{calls(requests), batchIdentity(t, requests)})
	}
	return list
}

// headBatches are their batches: circuits change, come and go.
func headBatches(t testing.TB, n int) [][]golden.Request {
	t.Helper()
	whole := trace(t, "tree3_frac", "trace-head.jsonl")
	list := make([][]golden.Request, n)
	for k := range list {
		requests := editCircuit(t, whole, k, func(args map[string]any) { args["download_bandwidth_max"] = 100 + k })
		last := len(requests) - 1 // the commit; circuits are before it
		list[k] = append(requests[:last-k:last-k], requests[last])
	}
	return list
}

// batchIdentity is the identity of the record that a batch gives.
func batchIdentity(t testing.TB, requests []golden.Request) string {
	t.Helper()
	b := bakery.NewBatch()
	for _, r := range requests {
		var m bakery.Member
		var err error
		switch r.Name {
		case "BakeryAddSite":
			m.Site = new(bakery.AddSite)
			err = json.Unmarshal(r.Args, m.Site)
		case "BakeryAddCircuit":
			m.Circuit = new(bakery.AddCircuit)
			err = json.Unmarshal(r.Args, m.Circuit)
		default:
			continue
		}
		if err = errors.Join(err, b.Add(m)); err != nil {
			t.Fatal(err)
		}
	}
	return commitIdentity(b.Commit())
}

// commitIdentity tells commits from each other, without what the daemon resolves.
func commitIdentity(c bakery.Command) string {
	body, err := json.Marshal(c.(bakery.Commit).Members)
	if err != nil {
		panic(err)
	}
	return string(body)
}

// headVictim is a daemon's log through many lives, in which it gets batches.
type headVictim struct {
	*victim
	networks []network
}

// live sends networks, from one on, to a daemon that is killed meanwhile: after some answers and a moment.
func (v *headVictim) live(t testing.TB, from int) life {
	t.Helper()
	d := v.startServing(t, program(t, "lqosd"))
	c, err := bus.Dial(t.Context(), v.socket(), bus.DialOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	const most, size = 200, 10 // commits of a life; requests of a session
	killAfter, delay := v.dice.IntN(20), time.Duration(v.dice.IntN(5000))*time.Microsecond
	commits := make(chan *bus.Future, 2)
	var l life
	sent := make(chan []string, 1)
	go func() {
		defer close(commits)
		var ids []string
		for k := 0; k < most && c.Err() == nil; k++ {
			n := v.networks[(from+k)%len(v.networks)]
			ids = append(ids, n.id)
			var f *bus.Future
			for all := n.calls; len(all) > 0; {
				now := min(size, len(all))
				f, all = c.Go(all[:now]...), all[now:]
			}
			commits <- f
		}
		sent <- ids
	}()
	if killAfter == 0 {
		time.AfterFunc(delay, d.kill)
	}
	flying := false
	for f := range commits {
		replies, err := f.Wait(context.WithoutCancel(t.Context()))
		if err != nil {
			if !errors.Is(err, bus.ErrClosed) {
				t.Error(err)
			}
			flying = true
			continue
		}
		if r := replies[len(replies)-1]; !r.IsAck() || flying {
			t.Errorf("commit %d: %v; an earlier one has no answer: %v", l.acked+1, r.Err(), flying)
		}
		if l.acked++; l.acked == killAfter {
			time.AfterFunc(delay, d.kill)
		}
	}
	if l.sent = <-sent; flying {
		v.flying++
	}
	d.kill()
	return l
}

// settle checks what the log holds of a life, folds it into the model, and counts it.
func (v *headVictim) settle(t testing.TB, l life) (inLog int) {
	t.Helper()
	r, err := eventlog.OpenReader(v.logDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	var ids []string
	for raw, err := range r.Records(v.checked + 1) {
		if err != nil {
			t.Fatal(err)
		}
		rec, err := bakery.DecodeRecord(raw.Seq, raw.Data)
		if err != nil {
			t.Fatal(err)
		}
		if err := bakery.Fold(v.model, rec); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, commitIdentity(rec.Command))
		v.checked = rec.Seq
		v.sameAsAlone(t, rec)
	}
	if err := l.check(ids); err != nil {
		t.Fatal(clipped(err.Error()))
	}
	if l.acked = len(ids) + 1; l.check(ids) == nil { // the control
		t.Fatal("an acknowledged commit that is not in the log passes")
	}
	return len(ids)
}

// sameAsAlone wants the model to be what its last commit makes of nothing: what it leaves out is gone.
func (v *headVictim) sameAsAlone(t testing.TB, rec bakery.Record) {
	t.Helper()
	alone := bakery.NewTree()
	rec.Seq = 1
	if err := bakery.Fold(alone, rec); err != nil {
		t.Fatal(err)
	}
	if diffs := tc.Diff(v.model.State(), alone.State()); len(diffs) > 0 {
		t.Fatalf("after record %d the tree differs from the network in %d places, the first: %v", v.checked, len(diffs), diffs[0])
	}
	got, want := v.model.MappingCount(), alone.MappingCount()
	if got != want || got == 0 || v.model.Circuits() != alone.Circuits() {
		t.Fatalf("after record %d the tree has %d mappings and %d circuits, want %d and %d", v.checked, got, v.model.Circuits(), want, alone.Circuits())
	}
}

func clipped(text string) string { return text[:min(len(text), 500)] }

// TestKillWhileCommitting kills the daemon at random moments while a client sends a network that changes: what was
// acknowledged is there, and the tree is always one of the networks that were sent.
func TestKillWhileCommitting(t *testing.T) {
	v := &headVictim{&victim{place: newPlace(t, "tree3_frac"), dice: seeded(t), model: bakery.NewTree()}, headNetworks(t, 5)}
	at, unheard := 0, 0
	const lives = 30
	for range lives {
		l := v.live(t, at)
		inLog := v.settle(t, l)
		unheard += inLog - l.acked
		at += inLog
	}
	t.Logf("%d kills, %d of them with commits on the way; %d commits were in the log whose answer got lost; %d records", lives, v.flying, unheard, v.checked)
	if v.flying < lives/2 || v.checked == 0 {
		t.Errorf("only %d of %d kills met commits on the way; %d records", v.flying, lives, v.checked)
	}
	out, err := exec.Command(program(t, "bakery-replay"), "verify", "--json", v.logDir()).Output()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%q", v.model.Hash())) {
		t.Errorf("bakery-replay verify: %v, %s; want the tree %s", err, out, v.model.Hash())
	}
}
