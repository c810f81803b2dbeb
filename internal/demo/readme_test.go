package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// step is a command of the README and what it prints there.
type step struct{ command, want string }

// readSession takes the commands and outputs out of the README's console blocks.
func readSession(t *testing.T, readme string) []step {
	t.Helper()
	var steps []step
	for block := range strings.SplitSeq(readme, "```console\n") {
		text, _, ok := strings.Cut(block, "```")
		if !ok || !strings.HasPrefix(text, "$ ") {
			continue
		}
		for line := range strings.Lines(text) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				steps = append(steps, step{command: command})
				continue
			}
			last := &steps[len(steps)-1]
			if more, ok := strings.CutPrefix(line, "> "); ok && last.want == "" {
				last.command += more
			} else {
				last.want += line
			}
		}
	}
	return steps
}

// pattern matches an output in which … stands for anything within a line.
func pattern(want string) *regexp.Regexp {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".*") + "$")
}

// TestREADME runs the README's session, in one shell and in order, and compares what
// each command prints.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := readSession(t, string(readme))
	if len(steps) < 9 {
		t.Fatalf("only %d commands found", len(steps))
	}
	bin, dir := t.TempDir(), t.TempDir()
	build(t, bin, "cmd/lqosd")
	build(t, bin, "cmd/bakery-replay")
	const mark = "=== next"
	var script bytes.Buffer
	script.WriteString("trap 'kill -9 $! 2>/dev/null' EXIT\n")
	for _, s := range steps {
		if script.WriteString(s.command); strings.HasPrefix(s.command, "kill -9 ") { // who types takes longer than the kernel takes to end it
			script.WriteString("{ wait $!; } 2>/dev/null\n")
		}
		script.WriteString("echo; echo '" + mark + "'\n")
	}
	sh := exec.Command("sh")
	sh.Dir = dir
	sh.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "NO_COLOR=1")
	sh.Stdin = &script
	out, err := sh.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got := strings.Split(string(out), "\n"+mark+"\n")
	if len(got) != len(steps)+1 {
		t.Fatalf("%d outputs of %d commands:\n%s", len(got)-1, len(steps), out)
	}
	for i, s := range steps {
		if !pattern(s.want).MatchString(got[i]) {
			t.Errorf("$ %sprinted\n%s\nthe README says\n%s", s.command, got[i], s.want)
		}
	}
}
