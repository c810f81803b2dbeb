package eventlog

import (
	"errors"
	"fmt"
	"testing"
)

func TestKeyTableForgetsTheOldest(t *testing.T) {
	table := newKeyTable()
	for i := range maxKeys + 10 {
		table.add(keyed{key: fmt.Sprint(i), first: Seq(i + 1), last: Seq(i + 1)})
	}
	again := newKeyTable()
	if err := again.decode(table.encode(maxKeys + 5)); err != nil {
		t.Fatal(err)
	}
	for i, want := range map[int][2]bool{0: {false, false}, 9: {false, false}, 10: {true, true}, maxKeys + 4: {true, true}, maxKeys + 5: {true, false}} {
		_, ok := table.lookup(fmt.Sprint(i))
		k, okAgain := again.lookup(fmt.Sprint(i))
		if ok != want[0] || okAgain != want[1] || okAgain && k.first != Seq(i+1) {
			t.Errorf("key %d: %t, decoded %t %+v; want %v", i, ok, okAgain, k, want)
		}
	}
}

func TestCutOffKeyListIsCorrupt(t *testing.T) {
	table := newKeyTable()
	table.add(keyed{key: "abc", first: 300, last: 900})
	b := table.encode(900)
	for n := 1; n < len(b); n++ {
		if err := newKeyTable().decode(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("first %d of %d bytes: %v", n, len(b), err)
		}
	}
}

func TestKeysSurviveReopenAndRolls(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, dir, Options{})
	want := map[string]Result{}
	step := func(key string) {
		t.Helper()
		want[key] = mustAppend(t, l, key, "a", "b")
		mustAppend(t, l, "", "without a key")
	}
	check := func(when string) {
		t.Helper()
		for key, res := range want {
			res.Duplicate = true
			if got, ok := known(t, l, key); !ok || got != res {
				t.Errorf("%s: key %s: %+v %t", when, key, got, ok)
			}
			if got := mustAppend(t, l, key, "other"); got != res {
				t.Errorf("%s: append of key %s again: %+v", when, key, got)
			}
		}
		if _, ok := known(t, l, "never"); ok {
			t.Errorf("%s: unknown key is known", when)
		}
	}
	reopen := func() {
		mustClose(t, l)
		l = mustOpen(t, dir, Options{})
	}
	step("one")
	check("at once")
	reopen()
	check("after reopen")
	mustRoll(t, l, 1, "state")
	check("after roll")
	step("two")
	reopen()
	check("after roll and reopen")
	mustRoll(t, l, 2, "state")
	mustRoll(t, l, 2, "state") // of an empty segment: nothing
	reopen()
	step("three")
	check("after two rolls")
	if last := l.LastSeq(); last != 9 {
		t.Errorf("last seq %d", last)
	}
	mustClose(t, l)
	verifyClean(t, dir)
}

// known gives the durable transaction with that key.
func known(t interface{ Fatal(...any) }, l *Log, key string) (Result, bool) {
	p, ok := l.Known(key)
	if !ok {
		return Result{}, false
	}
	res, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return res, true
}
