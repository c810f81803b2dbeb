package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lqosd/bus"
	"lqosd/internal/testenv"
)

// TestTrialFullDisk fills the disk of the log under the daemon. What isn't durable is not acknowledged; when there is room
// again, the log goes on, in the same daemon.
func TestTrialFullDisk(t *testing.T) {
	testenv.InNetns(t, func(t *testing.T) { // whose mounts no other process takes along
		testenv.Need(t, testenv.Ext4)
		f, disk := newFaulty(t), testenv.NewExt4(t, 8)
		if err := os.Symlink(disk.Dir, filepath.Join(f.dir, "state")); err != nil {
			t.Fatal(err)
		}
		filler := fill(t, disk.Dir, 192<<10)
		f.d = f.startServing(t, program(t, "lqosd"))
		f.client = connect(t, f.place, bus.CBOR)
		expect(t, talk(t, f.client, "", mqSetup), ackText)
		for f.unknown+f.refused < 5 && f.site < 20_000 {
			f.send(t, 1)
		}
		acked := f.acked
		if acked == 0 || f.unknown == 0 {
			t.Errorf("on the full disk: %+v", f.faultyRun)
		}
		says(t, talk(t, f.client, "", `"LqosdStatus"`)[0], "no space left on device")
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		if err := f.comesBack(t); err != nil {
			t.Fatal(err)
		}
		failed, over := strings.Count(f.d.String(), "the event log failed;"), strings.Count(f.d.String(), "the event log takes records again")
		if failed > over+1 {
			t.Errorf("%d commands weren't taken: the daemon says %d times that the log fails, %d times that it takes records again", f.unknown+f.refused, failed, over)
		}
		f.send(t, 3)
		if f.acked < acked+4 {
			t.Errorf("with room again: %+v", f.faultyRun)
		}
		if err := f.tcFileIsWhole(t); err != nil {
			t.Error(err)
		}
		if err := f.recover(t); err != nil {
			t.Error(err)
		}
		t.Logf("figure: full disk | %d acked, %d refused, %d unknown | 0 faults", f.acked, f.refused, f.unknown)
	})
}

// fill writes a file into dir that leaves room for left bytes.
func fill(t *testing.T, dir string, left int) (path string) {
	t.Helper()
	path = filepath.Join(dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for b := make([]byte, 64<<10); err == nil; {
		var n int
		n, err = file.Write(b)
		size += n
	}
	if err := file.Truncate(int64(size - left)); err != nil {
		t.Fatal(err)
	}
	if err := file.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}
