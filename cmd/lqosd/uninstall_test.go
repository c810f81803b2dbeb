package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestUninstall: make uninstall leaves no file of those that make install and make install-units put there.
func TestUninstall(t *testing.T) {
	dest := t.TempDir()
	run := func(args ...string) string {
		cmd := exec.Command("make", append([]string{"--no-print-directory", "-C", "../..", "DESTDIR=" + dest, "PREFIX=/opt/lqosd"}, args...)...)
		cmd.Env = append(os.Environ(), "MAKEFLAGS=")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return string(out)
	}
	run("install-units")
	programs := regexp.MustCompile(`(?m)^install -D -m \d+ \S+ (\S+)$`).FindAllStringSubmatch(run("-n", "install"), -1)
	if len(programs) != 2 {
		t.Fatalf("make install installs %q", programs)
	}
	for _, m := range programs { // without building them
		steps(t, os.MkdirAll(filepath.Dir(m[1]), 0o755), os.WriteFile(m[1], nil, 0o755))
	}
	run("uninstall")
	err := filepath.WalkDir(dest, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			t.Errorf("%s is left", strings.TrimPrefix(path, dest))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
