package eventlog

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
)

// reports collects what is told about the progress of something.
type reports []string

func (r *reports) of(ctx context.Context) context.Context {
	return WithProgress(ctx, func(done, total uint64) { *r = append(*r, fmt.Sprintf("%d/%d", done, total)) })
}

// TestProgress: whoever reads a log tells how far it is, and that it has ended.
func TestProgress(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := mustOpen(t, dir, Options{})
	mustAppend(t, l, "", numbered("a", 5000)...)
	mustAppend(t, l, "", numbered("b", 5002)...)
	mustClose(t, l)
	read := func(from, to Seq, stop Seq) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			r, err := OpenReader(dir)
			if err != nil {
				return err
			}
			defer r.Close()
			for rec, err := range Watched(ctx, r.Records(from), from, to) {
				if err != nil || rec.Seq == stop {
					return err
				}
			}
			return nil
		}
	}
	for _, tc := range []struct {
		name string
		do   func(context.Context) error
		want string
	}{
		{"reading", read(1, 10002, 0), "[0/10002 4096/10002 8192/10002 10002/10002]"},
		{"reading a part", read(2000, 8000, 8000), "[0/6001 4096/6001 6001/6001]"},
		{"left early", read(1, 10002, 5), "[0/10002 10002/10002]"},
		{"nothing", read(10002, 10001, 0), "[]"},
		{"Verify", func(ctx context.Context) error { _, err := Verify(ctx, dir); return err }, "[4095/10002 8191/10002 10002/10002]"},
	} {
		var told reports
		if err := tc.do(told.of(t.Context())); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := fmt.Sprint(told); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
		if err := tc.do(t.Context()); err != nil { // nobody listens
			t.Errorf("%s: %v", tc.name, err)
		}
	}
}

// TestProgressOfSalvage: a segment that was read counts.
func TestProgressOfSalvage(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, filepath.Join(dir, "log"), Options{})
	mustAppend(t, l, "", "a")
	mustRoll(t, l, 1, "state")
	mustAppend(t, l, "", "b")
	mustClose(t, l)
	var told reports
	if _, err := Salvage(told.of(t.Context()), filepath.Join(dir, "log"), filepath.Join(dir, "saved")); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(told); got != "[0/1 1/1 1/1 2/2]" {
		t.Error(got)
	}
}
