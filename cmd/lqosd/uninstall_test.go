package main

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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
	if plan := run("-n", "install"); !strings.Contains(plan, "go build") {
		t.Errorf("make install builds nothing: %s", plan)
	}
	run("install-built", "BIN="+os.Getenv(programsEnv))
	for name, has := range map[string]string{"sbin/lqosd": "\x7fELF", "bin/bakery-replay": "\x7fELF",
		"share/man/man8/lqosd.8": ".TH LQOSD 8", "share/man/man8/lqosd-serve.8": `.TH LQOSD\-SERVE 8`, "share/man/man1/bakery-replay-log.1": `.TH BAKERY\-REPLAY\-LOG 1`,
		"share/bash-completion/completions/lqosd": "__start_lqosd lqosd", "share/bash-completion/completions/bakery-replay": "__start_bakery-replay bakery-replay",
		"share/zsh/site-functions/_lqosd": "#compdef lqosd", "share/zsh/site-functions/_bakery-replay": "#compdef bakery-replay",
		"share/fish/vendor_completions.d/lqosd.fish": "complete -c lqosd", "share/fish/vendor_completions.d/bakery-replay.fish": "complete -c bakery-replay"} {
		if text, err := os.ReadFile(filepath.Join(dest, "opt/lqosd", name)); err != nil || !strings.Contains(string(text), has) {
			t.Errorf("%s: %v, %.200q", name, err, text)
		}
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
