package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"lqosd/bakery"
	"lqosd/bus"
	"lqosd/internal/golden"
	"lqosd/internal/testenv"
	"lqosd/replay"
)

// cutRetain is how many generations the log of a machine keeps.
const cutRetain = 2

// cutWork is what a client does: a round of units, again and again. Each unit is some requests that give one record.
type cutWork struct {
	name    string
	config  string // lqos.conf, in the machine
	sizes   []int  // of sessions, in units
	units   [][]string
	records []bakery.Record // what a daemon makes of it that nobody disturbs
	texts   []string        // of their commands
	mayGo   []int           // [n]: how many records may be gone when there were n: those of generations that needn't be kept
}

// cutWorks are a network that comes in single requests, and others that come in batches.
func cutWorks(t testing.TB) []*cutWork {
	t.Helper()
	var single [][]golden.Request
	for _, r := range trace(t, "tree3_frac", "trace.jsonl") {
		single = append(single, []golden.Request{r})
	}
	return []*cutWork{
		newCutWork(t, "requests", single, 20, 1, 1, 7, 60),
		newCutWork(t, "batches", headBatches(t, 5), 40, 1, 1, 3),
	}
}

// newCutWork lets a daemon of this process do the work, for so many rounds.
func newCutWork(t testing.TB, name string, round [][]golden.Request, rounds int, sizes ...int) *cutWork {
	t.Helper()
	const recording = "tree3_frac"
	w := &cutWork{name: name, config: cutConfig(t, recording), sizes: sizes, mayGo: []int{0}}
	for _, unit := range round {
		var texts []string
		for _, r := range unit {
			texts = append(texts, r.JSON())
		}
		w.units = append(w.units, texts)
	}
	p := newPlace(t, recording)
	end := p.serveHere(t)
	c := connect(t, p, bus.CBOR)
	for range rounds {
		for _, unit := range round {
			mustPlay(t, c, unit, 0)
		}
	}
	end()
	if w.records = p.records(t, 1); len(w.records) != rounds*len(round) {
		t.Fatalf("%d records of %d rounds of %d units", len(w.records), rounds, len(round))
	}
	w.index(t)
	return w
}

func cutConfig(t testing.TB, recording string) string {
	t.Helper()
	c, err := recorded(recording).Config(testenv.DiskVMTemp)
	if err != nil {
		t.Fatal(err)
	}
	c.Bakery.StateDirectory = testenv.DiskVMDir + cutState
	c.Bakery.RetainDays, c.Bakery.RetainGenerations = 0, cutRetain
	text, err := c.TOML()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// index notes the texts of all commands, and what retention may drop.
func (w *cutWork) index(t testing.TB) {
	t.Helper()
	tree := bakery.NewTree()
	begins := []int{0} // how many records come before a generation
	for i, r := range w.records {
		before := tree.Generation
		if err := bakery.Fold(tree, r); err != nil {
			t.Fatal(err)
		}
		if tree.Generation != before {
			begins = append(begins, i)
		}
		w.texts = append(w.texts, commandText(r.Command))
		w.mayGo = append(w.mayGo, begins[max(0, len(begins)-cutRetain)])
	}
}

// commandText is all of a command, with what the daemon resolved.
func commandText(c bakery.Command) string {
	body, err := json.Marshal(c)
	if err != nil {
		panic(err)
	}
	return c.Kind().String() + string(body)
}

// compare wants the records of a log, one after the other, to be those of the work.
func (w *cutWork) compare(s *replay.Source) error {
	at := int(s.First()) - 1
	for r, err := range s.Records(context.Background(), s.First(), s.Last()) {
		if err != nil {
			return err
		}
		if at++; int(r.Seq) != at || at > len(w.texts) || commandText(r.Command) != w.texts[at-1] {
			return fmt.Errorf("record %d comes in place %d, and is not what was sent: %s", r.Seq, at, clipped(commandText(r.Command)))
		}
	}
	if at != int(s.Last()) {
		return fmt.Errorf("the last record is %d, not %d", at, s.Last())
	}
	return nil
}
