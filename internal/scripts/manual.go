package scripts

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// exampleFlag is a long flag in an example.
var exampleFlag = regexp.MustCompile(`\s--([a-z][a-z-]+)`)

// Helpful wants the root command and each below it to have a long text, and examples that call it with flags that it has.
func Helpful(t *testing.T, root *cobra.Command) {
	t.Helper()
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		if cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s has no long text or no example", cmd.CommandPath())
		}
		if !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s: it isn't called in its example", cmd.CommandPath())
		}
		for line := range strings.SplitSeq(cmd.Example, "\n") {
			if !strings.HasPrefix(line, "  ") {
				t.Errorf("%s: the example %q isn't indented by two", cmd.CommandPath(), line)
			}
			_, call, ok := strings.Cut(line, cmd.CommandPath()+" ")
			if !ok || cmd == root {
				continue
			}
			call, _, _ = strings.Cut(call, " | ")
			call, _, _ = strings.Cut(call, " && ")
			for _, m := range exampleFlag.FindAllStringSubmatch(" "+call, -1) {
				if cmd.Flag(m[1]) == nil {
					t.Errorf("%s: the example %q has --%s, which it doesn't know", cmd.CommandPath(), line, m[1])
				}
			}
		}
	}
}

// Pages runs the command "man" and gives its pages. Each command has one that names all its flags.
func Pages(t *testing.T, root *cobra.Command, section string) (pages []string) {
	t.Helper()
	dir := t.TempDir()
	root.SetArgs([]string{"man", "-o", dir})
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "man"+section, "*."+section))
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range append([]*cobra.Command{root}, root.Commands()...) {
		if cmd != root && !cmd.IsAvailableCommand() || cmd.Name() == "completion" || cmd.Name() == "help" {
			continue
		}
		name := filepath.Join(dir, "man"+section, strings.ReplaceAll(cmd.CommandPath(), " ", "-")+"."+section)
		if !slices.Contains(pages, name) {
			t.Errorf("%s has no page", cmd.CommandPath())
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if !strings.Contains(text, `\-\-`+strings.ReplaceAll(f.Name, "-", `\-`)) {
				t.Errorf("%s lacks --%s", filepath.Base(name), f.Name)
			}
		})
		for _, part := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "FILES", "SEE ALSO"} {
			if !strings.Contains(text, "\n.SH "+part+"\n") {
				t.Errorf("%s lacks the part %s", filepath.Base(name), part)
			}
		}
	}
	return pages
}

// LintPages has mandoc(1) look for what is wrong in pages. It counts a line longer than 80 bytes, and other manuals that aren't here, as style.
func LintPages(t *testing.T, pages []string) {
	t.Helper()
	if out, err := exec.Command("mandoc", append([]string{"-T", "lint", "-W", "warning"}, pages...)...).CombinedOutput(); err != nil || len(pages) == 0 {
		t.Errorf("mandoc: %v, of %d pages\n%s", err, len(pages), out)
	}
}
