package replay

import (
	"slices"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/replay/replaytest"
)

func verify(t *testing.T, commands []bakery.Command) (Report, string) {
	t.Helper()
	r, err := Verify(t.Context(), replaytest.WriteLog(t, commands))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	if err := r.Write(&text); err != nil {
		t.Fatal(err)
	}
	return r, text.String()
}

func TestVerify(t *testing.T) {
	other := bakery.NewTree()
	if err := bakery.Fold(other, bakery.Record{Seq: 1, Command: bakery.ClearIPFlow{}}); err != nil {
		t.Fatal(err)
	}
	other.Seq = 3
	for _, tc := range []struct {
		name  string
		put   bakery.Command // between records 3 and 4
		clean bool
		says  string
	}{
		{"nothing", nil, true, "whole: 6 records (1 to 6) in 1 segments"},
		{"a segment begins", replaytest.Roll{}, true, "whole: 6 records (1 to 6) in 2 segments"},
		{"a snapshot of something else", replaytest.Roll{Snapshot: other}, false, "the snapshot isn't what the records before it give"},
		{"a record that can't be read", replaytest.Raw{Payload: "nonsense"}, false, "DAMAGED decoding record 4"},
		{"a record of a newer version", replaytest.Raw{Payload: "\x09\x01"}, false, "newer format"},
		{"a record that doesn't fold", bakery.AddCircuitHTBClass{Link: "eth1", Parent: "1:77", ClassID: "8", RateMbps: 1, CeilMbps: 1, R2Q: 10}, false, "no such parent"},
	} {
		commands := replaytest.Commands()
		if tc.put != nil {
			commands = slices.Insert(commands, 3, tc.put)
		}
		r, text := verify(t, commands)
		if r.Clean() != tc.clean || !strings.Contains(text, tc.says) {
			t.Errorf("%s: clean %v\n%s", tc.name, r.Clean(), text)
		}
		if tc.clean && (r.Seq != 6 || len(r.Hash) != 64) {
			t.Errorf("%s: tree %d %s", tc.name, r.Seq, r.Hash)
		}
	}
	if _, err := Verify(t.Context(), t.TempDir()); err == nil {
		t.Error("an empty directory is no error")
	}
}
