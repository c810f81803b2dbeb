package powercut

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// outcomes makes many images after the last event, and counts the pictures that look makes of them.
func outcomes(t *testing.T, events []Event, lies Lies, look func(dir string) string) map[string]int {
	t.Helper()
	c := NewCutter(events, lies)
	c.Advance(len(events))
	seen := map[string]int{}
	for seed := range uint64(150) {
		dir := t.TempDir()
		if err := c.Image(rand.New(rand.NewPCG(seed, 0))).Save(dir); err != nil {
			t.Fatal(err)
		}
		seen[look(dir)]++
	}
	return seen
}

// want compares the pictures that were seen with those that there must be.
func want(t *testing.T, seen map[string]int, pictures ...string) {
	t.Helper()
	for _, p := range pictures {
		if seen[p] == 0 {
			t.Errorf("%q was never seen", p)
		}
	}
	if len(seen) != len(pictures) {
		t.Errorf("seen %v, want %q", seen, pictures)
	}
}

// names lists a directory, with the first byte of each sector of a file, and its mode where that is not 0600.
func names(dir string) string {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err.Error()
	}
	var s string
	for _, e := range entries {
		s += " " + e.Name()
		if e.IsDir() {
			s += "(" + names(filepath.Join(dir, e.Name())) + ")"
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return err.Error()
		}
		s += "="
		for i := 0; i < len(b); i += sectorSize {
			s += string(max(b[i], '0'))
		}
		if info, err := e.Info(); err == nil && info.Mode() != 0o600 {
			s += fmt.Sprintf("%o", info.Mode())
		}
	}
	return s
}

func sectors(text string) (b []byte) {
	for _, c := range []byte(text) {
		b = append(b, bytes.Repeat([]byte{c}, sectorSize)...)
	}
	return b
}

func written(text string) []Event {
	return []Event{
		{Kind: Create, File: rootID, Name: "f", Child: 2, Mode: 0o600},
		{Kind: Sync, File: rootID},
		{Kind: Write, File: 2, Data: sectors(text)},
		{Kind: Sync, File: 2},
	}
}

func TestSyncedIsThere(t *testing.T) {
	want(t, outcomes(t, written("ab"), Lies{}, names), " f=ab")
	want(t, outcomes(t, written("a"), Lies{Files: true}, names), " f=a", " f=", " f=0")
	want(t, outcomes(t, written("a"), Lies{Directories: true}, names), " f=a", "")
}

func TestWritesAreTorn(t *testing.T) {
	want(t, outcomes(t, append(written("ab"), Event{Kind: Write, File: 2, Data: sectors("xy")}), Lies{}, names),
		" f=ab", " f=xb", " f=ay", " f=xy")
	// The second may be there without the first; the size may grow without the data.
	two := append(written("a"), Event{Kind: Write, File: 2, Data: sectors("x")}, Event{Kind: Write, File: 2, Offset: sectorSize, Data: sectors("y")})
	want(t, outcomes(t, two, Lies{}, names), " f=a", " f=x", " f=ay", " f=xy", " f=a0", " f=x0")
	want(t, outcomes(t, append(written("ab"), Event{Kind: Truncate, File: 2, Size: sectorSize}), Lies{}, names), " f=ab", " f=a")
	want(t, outcomes(t, append(written("a"), Event{Kind: Allocate, File: 2, Size: 2 * sectorSize}), Lies{}, names), " f=a", " f=a0")
	want(t, outcomes(t, append(written("a"), Event{Kind: Chmod, File: 2, Mode: 0o400}), Lies{}, names), " f=a", " f=a400")
}

func TestEntriesAreLostInAnyOrder(t *testing.T) {
	want(t, outcomes(t, append(written("a"), Event{Kind: Rename, File: rootID, Name: "f", Child: 2, To: rootID, ToName: "g"}), Lies{}, names),
		" f=a", " g=a")
	want(t, outcomes(t, append(written("a"), Event{Kind: Link, File: rootID, Name: "g", Child: 2}, Event{Kind: Remove, File: rootID, Name: "f"}), Lies{}, names),
		" f=a", " f=a g=a", " g=a", "")
	inner := append(written("a"),
		Event{Kind: Mkdir, File: rootID, Name: "d", Child: 3},
		Event{Kind: Create, File: 3, Name: "x", Child: 4, Mode: 0o600},
		Event{Kind: Sync, File: 3})
	want(t, outcomes(t, inner, Lies{}, names), " d( x=) f=a", " f=a")
	want(t, outcomes(t, append(inner, Event{Kind: Sync, File: rootID}), Lies{}, names), " d( x=) f=a")
}
