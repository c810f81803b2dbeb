package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// diskGuest is the name under which this test binary is the first program of a [DiskVM].
const diskGuest = "disk-guest"

// init is main there.
func init() {
	if filepath.Base(os.Args[0]) != diskGuest {
		return
	}
	var deed string
	say, err := EnterDiskVM(&deed)
	if err == nil && deed == "writes" {
		err = writeDisk(say)
	}
	fmt.Fprintln(os.Stderr, "the program has ended:", err)
	os.Exit(1)
}

// lineLength is more than a pipe holds.
const lineLength = 3 << 20

// writeDisk writes a long line, a folder that stays, and one that doesn't.
func writeDisk(say func(string, ...any)) error {
	line, err := DiskVMLine()
	if err == nil {
		_, err = fmt.Fprintln(line, strings.Repeat("a", lineLength))
	}
	if err != nil {
		return err
	}
	for _, name := range []string{"synced", "unsynced"} {
		folder := filepath.Join(DiskVMDir, name)
		if err := os.Mkdir(folder, 0o755); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(folder, "file"))
		if err != nil {
			return err
		}
		if _, err := fmt.Fprint(f, name); err != nil {
			return err
		}
		if name == "synced" {
			if err := f.Sync(); err != nil {
				return err
			}
		}
		say("wrote %s", name)
	}
	select {}
}

// TestDiskVM cuts the power of a machine: what it synced is on its disk, and what it only wrote isn't.
func TestDiskVM(t *testing.T) {
	Need(t, VM, E2fsprogs)
	disk := NewVMDisk(t, 16)
	var heard []string
	writes := make(chan struct{}, 1)
	taken := 0
	vm := DiskVM{Disk: disk, Program: diskGuest, Job: "writes",
		Take: func(line string) { taken += strings.Count(line, "a") },
		Hear: func(line string, cut func()) {
			if heard = append(heard, line); line == "wrote unsynced" {
				cut()
			}
		},
		Wrote: func(func()) {
			select {
			case writes <- struct{}{}:
			default:
			}
		}}
	console, err := vm.Run(t)
	if err != nil || !slices.Equal(heard, []string{"wrote synced", "wrote unsynced"}) || len(writes) == 0 {
		t.Fatalf("%v, heard %q, and %d writes\n%s", err, heard, len(writes), console)
	}
	if taken != lineLength {
		t.Errorf("%d of %d bytes came through the second line", taken, lineLength)
	}
	for name, want := range map[string]string{"synced": "synced", "unsynced": ""} {
		got, err := os.ReadFile(filepath.Join(disk.Recovered(t, "/"+name), "file"))
		if string(got) != want || (err == nil) != (want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}

	vm.Job = "ends"
	console, err = vm.Run(t)
	if err == nil || !strings.Contains(err.Error(), "ended before its power was cut") || !strings.Contains(console, "the program has ended: <nil>") {
		t.Errorf("a machine that ends by itself: %v\n%s", err, console)
	}
}
