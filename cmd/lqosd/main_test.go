package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	// The race detector waits a second at the exit of each process; the tests start many.
	if err := os.Setenv("GORACE", "atexit_sleep_ms=0 "+os.Getenv("GORACE")); err != nil {
		panic(err)
	}
	testscript.Main(suite{m}, map[string]func(){"lqosd": main, testDaemon: serveFaulty, cutGuest: runCutGuest})
}

// programsEnv has the directory of the built programs, for the processes of the tests in namespaces and machines, too.
const programsEnv = "LQOSD_TEST_PROGRAMS"

// suite builds the programs, runs the tests, and removes the programs.
type suite struct{ *testing.M }

func (s suite) Run() int {
	if os.Getenv(programsEnv) != "" {
		return s.M.Run()
	}
	dir, err := buildPrograms()
	if err == nil {
		err = os.Setenv(programsEnv, dir)
	}
	code := 1
	if err == nil {
		code = s.M.Run()
	}
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// buildPrograms builds lqosd and bakery-replay as they are installed: static, and without the race detector, and gives their
// directory. "lqosd" in PATH is this test binary.
func buildPrograms() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "lqosd-programs-"); err != nil {
		return "", err
	}
	for _, name := range []string{"lqosd", "bakery-replay"} {
		build := exec.Command("go", "build", "-buildvcs=false", "-o", filepath.Join(dir, name), "lqosd/cmd/"+name)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return dir, fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
	}
	return dir, nil
}

// program is the path of lqosd or bakery-replay as they are installed.
func program(t testing.TB, name string) string {
	t.Helper()
	return filepath.Join(os.Getenv(programsEnv), name)
}
