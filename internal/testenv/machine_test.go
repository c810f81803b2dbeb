package testenv

import (
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMachineHasOneCPU: what a machine starts gets one of the CPUs that this test may use, the next machine the next of them, and the
// test itself keeps all.
func TestMachineHasOneCPU(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	seen := map[int]bool{}
	for range 2 * before.Count() {
		var out strings.Builder
		cmd := exec.Command("sed", "-n", `s/^Cpus_allowed_list:\s*//p`, "/proc/self/status")
		cmd.Stdout = &out
		if err := new(machine).start(cmd); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		cpu, err := strconv.Atoi(strings.TrimSpace(out.String()))
		if err != nil || !before.IsSet(cpu) {
			t.Fatalf("a machine has the CPUs %q of %v", out.String(), before)
		}
		seen[cpu] = true
	}
	if len(seen) != before.Count() {
		t.Errorf("%d machines used %d of %d CPUs", 2*before.Count(), len(seen), before.Count())
	}
	var after unix.CPUSet
	if err := unix.SchedGetaffinity(0, &after); err != nil || after != before {
		t.Errorf("the test may use %v, %v; before it were %v", after, err, before)
	}
}
