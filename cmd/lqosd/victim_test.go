package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/eventlog"
)

// victim is a daemon's log through many lives, each of which ends with a kill. What clients send is one endless script: each
// life goes on where the log ends, so that the log always holds a beginning of the script.
type victim struct {
	place
	name    string // of the recording
	dice    *rand.Rand
	script  script
	begin   func() *process // starts a daemon
	windows []int           // how many transactions a client may have on the way
	most    int             // acks to wait for before a kill
	kernel  *field          // what the daemon applies to; nil: it has a tc file
	writes  int             // to that, to wait for at most before a kill

	model    *bakery.Tree
	checked  eventlog.Seq
	last     bakery.Record
	first    string        // the oldest segment
	inLog    int           // transactions of the script that are in the log
	answered int           // those before were answered, or there is no key to send them again with
	took     time.Duration // by the last start that wasn't disturbed, until the daemon served
	lines    []byte        // of the records of this life
	ends     []int         // where those of each record end in lines
	toll
}

// toll counts kills.
type toll struct {
	kills   int
	early   int // that came before the daemon served
	flying  int // that met transactions without an answer
	unheard int // transactions that were in the log, and whose answer got lost
	rolling int // that left a roll half done
	pruned  int // of daemons that had removed segments
	stored  eventlog.Seq
	logs    int
}

func (a *toll) add(b toll) {
	a.kills += b.kills
	a.early += b.early
	a.flying += b.flying
	a.unheard += b.unheard
	a.rolling += b.rolling
	a.pruned += b.pruned
	a.stored += b.stored
	a.logs += b.logs
}

func (a toll) String() string {
	text := fmt.Sprintf("%d kills, %d of them before the daemon served, %d with requests on the way", a.kills, a.early, a.flying)
	if a.rolling > 0 {
		text += fmt.Sprintf(", %d in the middle of a roll, %d after segments were removed", a.rolling, a.pruned)
	}
	return text + fmt.Sprintf("; %d logs, %d records; %d transactions were in the log whose answer got lost", a.logs, a.stored, a.unheard)
}

// heard is what a client knows of one daemon: the script from a transaction on.
type heard struct{ from, sent, acked int }

// die lives one life, and looks at what it left in the log.
func (v *victim) die(t testing.TB) error {
	t.Helper()
	v.kills++
	began := time.Now()
	d := v.begin()
	defer d.kill()
	if v.dice.IntN(6) == 0 {
		select {
		case <-d.ended:
		case <-time.After(time.Duration(v.dice.Float64() * float64(v.took))):
		}
		return v.dieEarly(t, d)
	}
	if !d.waitServing(t) {
		return fmt.Errorf("the daemon ended: %w\n%s", d.err, d)
	}
	v.took = time.Since(began)
	c, err := bus.Dial(t.Context(), v.socket(), bus.DialOptions{Codec: []bus.Codec{bus.CBOR, bus.JSON}[v.dice.IntN(2)]})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	k := v.play(t, c, d)
	d.kill()
	return errors.Join(v.settle(t, k, true), d.foundNoDrift())
}

// dieEarly kills a daemon that nobody spoke to.
func (v *victim) dieEarly(t testing.TB, d *process) error {
	d.kill()
	if !strings.Contains(d.String(), "msg=serving ") {
		v.early++
	}
	return errors.Join(v.settle(t, heard{from: v.answered}, false), d.foundNoDrift())
}

// play plays the script to a daemon that is killed meanwhile: at an answer, a moment later, when something is sent, or when
// something is written to the kernel.
func (v *victim) play(t testing.TB, c *bus.Client, d *process) heard {
	acks, later, sends := 1+v.dice.IntN(v.most), 0.0, -1
	switch v.dice.IntN(3) {
	case 0:
		later = 3 * v.dice.Float64() // times what a transaction took
	case 1:
		sends, acks = acks, -1
	}
	if v.kernel != nil && v.dice.IntN(4) > 0 { // then it is the kernel that tells when
		sends, acks = -1, -1
		go v.kernel.killAtWrite(1+v.dice.IntN(v.writes), d)
	}
	k := heard{from: v.answered}
	flights, sent := make(chan *bus.Future, v.windows[v.dice.IntN(len(v.windows))]-1), make(chan int, 1)
	go func() {
		defer close(flights)
		n := 0
		for ; c.Err() == nil; n++ {
			if n == sends {
				go d.kill()
			}
			if v.kernel != nil && n > 0 { // or many would be folded before one is applied
				_ = c.Ask(t.Context(), appliedCall, &waitReply{}) // a daemon that died tells nothing
			}
			flights <- v.script.tx(k.from + n).send(c)
		}
		sent <- n
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 4*patience)
	defer cancel()
	began, flying := time.Now(), false
	for f := range flights {
		replies, err := f.Wait(ctx)
		if err != nil {
			if !errors.Is(err, bus.ErrClosed) {
				t.Fatal(err)
			}
			flying = true
			continue
		}
		for _, r := range replies {
			if !r.IsAck() || flying {
				t.Errorf("transaction %d: %v; an earlier one has no answer: %v", k.from+k.acked, r.Err(), flying)
			}
		}
		if k.acked++; k.acked == acks {
			time.AfterFunc(time.Duration(later*float64(time.Since(began))/float64(acks)), d.kill)
		}
	}
	if k.sent = <-sent; flying {
		v.flying++
	}
	return k
}

// lookAtSegments counts what a daemon was doing to segments when it died.
func (v *victim) lookAtSegments() {
	entries, err := os.ReadDir(v.logDir())
	if err != nil {
		return // nor is there a log
	}
	first, writable := "", 0
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".db" && first == "" {
			first = e.Name()
		}
		if info, err := e.Info(); err == nil && e.Name() != "LOCK" && info.Mode().Perm()&0o200 != 0 {
			writable++ // the last one is, but for a moment
		}
	}
	if writable > 1 {
		v.rolling++
	}
	if v.first != "" && first != v.first {
		v.pruned++
	}
	v.first = first
}

// settle compares what the log holds of a life with what the client knows, and folds it into the model.
func (v *victim) settle(t testing.TB, k heard, served bool) error {
	v.lookAtSegments()
	ids, err := v.look()
	if err != nil {
		return err
	}
	// What the log had beyond the answers of earlier lives isn't appended again.
	l := life{sent: v.script.ids(v.inLog, k.from+k.sent), acked: len(v.script.ids(v.inLog, k.from+k.acked))}
	if err := l.check(ids); err != nil {
		return errors.New(clipped(err.Error()))
	}
	if served && v.kernel == nil {
		if err := v.checkTCFile(t, l.acked); err != nil {
			return err
		}
	}
	// The control: one acknowledgement more than the log has must be noticed.
	if l.acked = len(ids) + 1; l.check(ids) == nil {
		t.Fatal("an acknowledged request that is not in the log passes")
	}
	for n := len(ids); n > 0; v.inLog++ {
		if n -= len(v.script.tx(v.inLog).ids); n < 0 {
			return fmt.Errorf("the log ends in the middle of transaction %d", v.inLog)
		}
	}
	if _, batch := v.last.Command.(bakery.Commit); batch {
		v.sameAsAlone(t)
	}
	v.unheard += max(0, v.inLog-k.from-k.acked)
	if v.answered = v.inLog; v.script.keyed {
		v.answered = k.from + k.acked
	}
	return nil
}

// look folds what came into the log since the last look, and lists it.
func (v *victim) look() (ids []string, err error) {
	v.lines, v.ends = v.lines[:0], v.ends[:0]
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
		if raw.Seq != v.checked+1 {
			return nil, fmt.Errorf("record %d follows record %d", raw.Seq, v.checked)
		}
		rec, err := bakery.DecodeRecord(raw.Seq, raw.Data)
		if err == nil {
			err = bakery.Fold(v.model, rec)
		}
		if err != nil {
			return nil, err
		}
		ids = append(ids, identity(rec.Command))
		v.lines = bakery.AppendLines(v.lines, rec.Command, bakery.RatesAsClient)
		v.ends = append(v.ends, len(v.lines))
		v.checked, v.last = rec.Seq, rec
		v.stored++
	}
	return ids, nil
}

// checkTCFile wants the tc file of a life to have the lines of all that was acknowledged, and nothing but lines of this life's
// records.
func (v *victim) checkTCFile(t testing.TB, acked int) error {
	least := 0
	if acked > 0 {
		least = v.ends[acked-1]
	}
	got := v.tcFile(t)
	if len(got) < least || !strings.HasPrefix(string(v.lines), got) {
		return fmt.Errorf("the tc file has %d bytes, which aren't those of the log: %d, acknowledged are %d", len(got), len(v.lines), least)
	}
	return nil
}

func clipped(text string) string { return text[:min(len(text), 500)] }
