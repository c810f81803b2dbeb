package powercut

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"testing"

	"lqosd/internal/testenv"
)

// TestDisk lets a shell, which is a process of its own, do what programs do, and looks at the journal.
func TestDisk(t *testing.T) {
	testenv.InNetns(t, diskKeepsAJournal) // whose mounts no other process takes along
}

func diskKeepsAJournal(t *testing.T) {
	testenv.Need(t, testenv.FUSE)
	dir := t.TempDir()
	d, err := Mount(dir)
	if err != nil {
		t.Fatal(err)
	}
	sh := exec.Command("sh", "-ec", `
		printf one > f; printf said > note; printf 2 >> f; mkdir d; ln f d/g; mv f h; chmod 400 h; sync h; sync d; rm h
		test "$(cat d/g)" = one2; ! rmdir d 2>&-; truncate -s 1 d/g; test "$(cat d/g)" = o`)
	sh.Dir = dir
	out, err := sh.CombinedOutput()
	if err := errors.Join(err, d.Unmount()); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var got []string
	for _, e := range d.Events() {
		got = append(got, fmt.Sprintf("%d %d>%d %s>%s@%d +%d =%d %o %s", e.Kind, e.File, e.Child, e.Name, e.ToName, e.To, e.Offset, e.Size, e.Mode, string(e.Data)+e.Text))
	}
	want := []string{
		"5 1>2 f>@0 +0 =0 644 ", "0 2>0 >@0 +0 =0 0 one", "10 0>0 >@0 +0 =0 0 said", "0 2>0 >@0 +3 =0 0 2", "6 1>3 d>@0 +0 =0 755 ",
		"7 3>2 g>@0 +0 =0 0 ", "8 1>2 f>h@1 +0 =0 0 ", "3 2>0 >@0 +0 =0 400 ", "4 2>0 >@0 +0 =0 0 ", "4 3>0 >@0 +0 =0 0 ",
		"9 1>0 h>@0 +0 =0 0 ", "1 2>0 >@0 +0 =1 0 ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the journal has\n%q\nwant\n%q", got, want)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Error(err)
	}
}
