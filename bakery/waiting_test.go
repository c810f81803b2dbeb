package bakery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// newest submits a command and gives the error of waiting for its record alone.
func (r *applyRig) newest(c bakery.Command) error {
	r.t.Helper()
	r.must(c)
	seq := r.tree().Seq
	return r.h.WaitApplied(r.t.Context(), seq, seq)
}

// TestWaitForMapping: a record that shapes nothing is applied at once.
func TestWaitForMapping(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.quiet(time.Second) // the links were read again since somebody watches
		began := time.Now()
		r.must(bakery.MapIPToFlow{Address: "100.64.0.1", Handle: 0x10005})
		r.applied()
		if took := time.Since(began); took > 0 {
			t.Errorf("waited %v", took)
		}
	})
}

// TestWaitWithoutWatch: that nobody tells of changes is a problem, but none of a record.
func TestWaitWithoutWatch(t *testing.T) {
	k := &stubborn{watch: func(context.Context, func(string)) error { return errors.New("no watch here") }}
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.inSync()
		if s := r.quiet(time.Millisecond); s.ProblemsTotal != 1 || !strings.Contains(s.Problems[0].Error, "no watch here") {
			t.Errorf("status: %+v", s)
		}
	}, k.on)
}

// TestWaitSeesUnlistedProblems: what fails counts though the status has no room for it.
func TestWaitSeesUnlistedProblems(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.FailWhen(func(op tc.Op) bool { return op.Class != nil && op.Class.ID.Minor() >= 0x100 }, outOfLuck, -1)
		r.must(smallNetwork()...)
		for i := range 101 {
			r.must(aCircuit("1:3", fmt.Sprintf("%x", 0x100+i), 1))
		}
		if s := r.quiet(time.Minute); s.ProblemsTotal != 101 || len(s.Problems) != 100 {
			t.Errorf("%d problems, %d of them listed", s.ProblemsTotal, len(s.Problems))
		}
		if err := r.newest(aCircuit("1:3", "200", 1)); err == nil {
			t.Error("what the kernel refuses is said to be applied")
		}
	})
}

// TestWaitForChildOfFailed: what can't be made because its parent can't isn't applied.
func TestWaitForChildOfFailed(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.k.FailWhen(ofClass(1, 3), outOfLuck, -1)
		r.must(smallNetwork()...)
		r.quiet(time.Minute)
		if err := r.newest(aCircuit("1:3", "9", 1)); err == nil || !strings.Contains(err.Error(), "class 1:9") {
			t.Errorf("waiting for a class in one that can't be made: %v", err)
		}
	})
}

// TestWaitForRefusedDelete: a removal that the kernel refuses is a problem of the record
// that asked for it, and of no other.
func TestWaitForRefusedDelete(t *testing.T) {
	inApplyMode(t, func(t *testing.T, r *applyRig) {
		r.must(smallNetwork()...)
		r.applied()
		r.k.FailWhen(func(op tc.Op) bool { return ofClass(1, 5)(op) && op.Verb == tc.Delete }, outOfLuck, -1)
		err := r.newest(bakery.ExecuteTCCommands{Lines: []string{"class del dev eth1 classid 1:5"}})
		if err == nil || !strings.Contains(err.Error(), "class 1:5") {
			t.Errorf("waiting for a removal that is refused: %v", err)
		}
		if err := r.newest(aSite("9", 10)); err != nil {
			t.Errorf("waiting for another record: %v", err)
		}
		if s := r.quiet(time.Minute); s.ProblemsTotal != 1 || s.Problems[0].Seq != 8 {
			t.Errorf("problems: %+v", s.Problems)
		}
		r.k.Heal()
		r.quiet(30 * time.Second)
		r.inSync()
	})
}
