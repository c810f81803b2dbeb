package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lqosd/internal/testenv"
)

// TestDemo plays the whole demo, as root with a real kernel.
func TestDemo(t *testing.T) {
	testenv.Need(t, testenv.Root, testenv.Netns, testenv.TC)
	bin := t.TempDir()
	for _, program := range []string{"cmd/lqosd", "cmd/bakery-replay", "internal/demo"} {
		build(t, bin, program)
	}
	cmd := exec.Command(filepath.Join(bin, "demo"), "-bin", bin, "-testdata", "testdata/golden")
	cmd.Dir = "../.."
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, done := range []string{
		"Done: the kernel has what the log says, whatever happened to the daemon and to the kernel",
		"Done: nothing that was acknowledged is missing",
	} {
		if !strings.Contains(string(out), done) {
			t.Errorf("it doesn't end with %q:\n%s", done, out)
		}
	}
}

// build builds a program into a directory.
func build(t *testing.T, bin, program string) {
	t.Helper()
	if out, err := exec.Command("go", "build", "-o", bin, "lqosd/"+program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
