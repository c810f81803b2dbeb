package main

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"lqosd/internal/testenv"
)

const pythonDir = "../../bus/python"

// python is a python3 in the folder of the Python clients, which leaves nothing there.
func python(ctx context.Context, t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(ctx, "python3", args...)
	cmd.Dir = pythonDir
	cmd.Env = append(os.Environ(), "LQOSD_BIN="+program(t, "lqosd"), "PYTHONDONTWRITEBYTECODE=1", "PYTHONWARNINGS=error")
	return cmd
}

// TestPython runs the tests of the Python clients against the daemon.
func TestPython(t *testing.T) {
	testenv.Need(t, testenv.Python)
	out, err := python(t.Context(), t, "-m", "unittest", "discover", "-v", "-s", "tests", "-t", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("python3 -m unittest: %v\n%s", err, out)
	}
	// Where nothing is found, nothing fails.
	says(t, string(out), "test_misbehaving", "test_recorded", "test_diagnose", "test_integration", "\nOK\n")
}
