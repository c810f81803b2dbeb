package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lqosd/replay"
)

// copyPiece is what a machine hands to the host of a copy of its log: first what there will be, then piece by piece.
type copyPiece struct {
	Files []copyFile `json:"files,omitempty"`
	Acked int        `json:"acked,omitempty"` // records, when the copy was asked for
	Name  string     `json:"name,omitempty"`
	Data  []byte     `json:"data,omitempty"`
}

// cutCopy is a copy of a log that somebody outside of the machine has received, all of it or what came before the power was cut.
type cutCopy struct {
	copyPiece
	data map[string][]byte // by name
}

// take takes a piece.
func (c *cutCopy) take(p copyPiece) {
	if len(p.Files) > 0 {
		*c = cutCopy{p, map[string][]byte{}}
		return
	}
	c.data[p.Name] = append(c.data[p.Name], p.Data...)
}

// whole tells whether everything has come that was announced.
func (c *cutCopy) whole() bool {
	return len(c.Files) > 0 && !slices.ContainsFunc(c.Files, func(f copyFile) bool { return int64(len(c.data[f.Name])) != f.Size })
}

// save writes what there is into dir, as a receiver does.
func (c *cutCopy) save(dir string) error {
	err := os.Mkdir(dir, 0o700)
	for name, b := range c.data {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, name), b, 0o600))
	}
	return err
}

// received are the copies that came out of a machine in one life.
type received struct {
	last, next cutCopy // the last whole one, and what has come of the one after it
	whole      int     // how many were
	err        error
}

// hear hears a piece.
func (r *received) hear(line string) {
	var p copyPiece
	if err := json.Unmarshal([]byte(line), &p); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("a piece of a copy: %w: %s", err, clipped(line)))
		return
	}
	if r.next.take(p); r.next.whole() {
		r.last, r.next = r.next, cutCopy{}
		r.whole++
	}
}

// check wants the last whole copy to be a log that holds what was acknowledged when it was asked for, and nothing that the machine's
// own log, which ends at last, lost with its power; and what is there of a copy that isn't whole not to pass for one.
func (r *received) check(dir string, last int, w *cutWork) error {
	err := r.err
	if r.whole > 0 {
		err = errors.Join(err, r.last.check(filepath.Join(dir, "whole"), last, w))
	}
	if len(r.next.data) > 0 {
		err = errors.Join(err, r.next.mustShow(filepath.Join(dir, "part")))
	}
	return err
}

func (c *cutCopy) check(dir string, last int, w *cutWork) error {
	if err := c.save(dir); err != nil {
		return err
	}
	s, err := replay.Open(dir)
	if err != nil {
		return fmt.Errorf("a copy that was received: %w", err)
	}
	end := int(s.Last())
	err = errors.Join(w.compare(s), s.Close(), verified(dir))
	if err == nil && (end < c.Acked || end > last) {
		err = fmt.Errorf("it ends at record %d, %d was acknowledged before, and the log ends at %d", end, c.Acked, last)
	}
	if err = errors.Join(err, opens(dir, end)); err != nil {
		return fmt.Errorf("a copy that was received: %w", err)
	}
	return nil
}

// mustShow wants a copy that isn't whole to be called damaged.
func (c *cutCopy) mustShow(dir string) error {
	if err := c.save(dir); err != nil {
		return err
	}
	if verified(dir) == nil {
		return fmt.Errorf("verify finds nothing in a copy of which parts are missing: %d of %d files, the last of %d bytes",
			len(c.data), len(c.Files), len(c.data[c.Files[len(c.data)-1].Name]))
	}
	return nil
}

// mustFindFaults spoils a good copy with records, of a log that ends at last, and wants each fault to be found.
func (c *cutCopy) mustFindFaults(t *testing.T, last int, w *cutWork) {
	t.Helper()
	if err := c.check(filepath.Join(t.TempDir(), "good"), last, w); err != nil {
		t.Fatal(err)
	}
	name := c.Files[len(c.Files)-1].Name
	faults := map[string]func(*cutCopy, *int){
		"its last file is missing": func(c *cutCopy, _ *int) { delete(c.data, name) },
		"its last file is cut off": func(c *cutCopy, _ *int) { c.data[name] = c.data[name][:len(c.data[name])-4096] },
		"bytes of each of its pages are others": func(c *cutCopy, _ *int) {
			for name, b := range c.data {
				b = slices.Clone(b)
				for page := 0; page+200 < len(b); page += 4096 {
					b[page+100] ^= 1
					b[page+200] ^= 1
				}
				c.data[name] = b
			}
		},
		"more was acknowledged":          func(c *cutCopy, _ *int) { c.Acked = last + 1 },
		"the log has lost what it holds": func(_ *cutCopy, last *int) { *last = 0 },
	}
	for fault, spoil := range faults {
		bad, last := cutCopy{c.copyPiece, maps.Clone(c.data)}, last
		spoil(&bad, &last)
		if bad.check(filepath.Join(t.TempDir(), "bad"), last, w) == nil {
			t.Errorf("a copy that was received, %s, and nobody noticed", fault)
		}
	}
	t.Logf("figure: whole machine cut off, control: a spoilt copy | %d faults | found out", len(faults))
}
