package scripts

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// flagWord is a long flag in a table of docs/cli.md.
var flagWord = regexp.MustCompile(`--([a-z][a-z-]*)`)

// Documented wants a section of docs/cli.md to have a row for each command below root, that row to name each of its flags, and no others.
func Documented(t *testing.T, root *cobra.Command, document string) {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+root.Name()+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string][]string{} // by command: its cells
	for _, m := range regexp.MustCompile("(?m)^\\| `(?:"+root.Name()+" )?([a-z]+)([^`]*)` \\|(.*)\\|$").FindAllStringSubmatch(section, -1) {
		flags, _, _ := strings.Cut(strings.ReplaceAll(m[3], `\|`, "/"), "|")
		rows[m[1]] = []string{m[2], flags}
	}
	root.InitDefaultCompletionCmd("completion")
	root.InitDefaultVersionFlag()
	if root.Flags().Lookup("version") != nil && !strings.Contains(string(text), "`--version`") {
		t.Errorf("%s doesn't name --version", document)
	}
	for _, command := range root.Commands() {
		row, ok := rows[command.Name()]
		if !ok {
			t.Errorf("%s, %s: no row for %s", document, root.Name(), command.Name())
			continue
		}
		delete(rows, command.Name())
		for _, fault := range compareFlags(command, row[0], row[1]) {
			t.Errorf("%s, %s %s: %s", document, root.Name(), command.Name(), fault)
		}
	}
	for name := range rows {
		t.Errorf("%s, %s: there is no command %s", document, root.Name(), name)
	}
}

// compareFlags says what the cells of a command's row lack, or have too much. Those of its subcommands count as its own.
func compareFlags(command *cobra.Command, arguments, flags string) (faults []string) {
	known := map[string]bool{}
	all := []*cobra.Command{command}
	for _, sub := range command.Commands() {
		if all = append(all, sub); !strings.Contains(arguments, sub.Name()) {
			faults = append(faults, "lacks "+sub.Name())
		}
	}
	for _, c := range all {
		c.Flags().VisitAll(func(f *pflag.Flag) {
			known[f.Name] = true
			short := f.Shorthand != "" && strings.Contains(arguments+flags, "-"+f.Shorthand)
			if f.Name != "help" && !short && !strings.Contains(arguments+flags, "--"+f.Name) {
				faults = append(faults, fmt.Sprintf("lacks --%s", f.Name))
			}
		})
	}
	for _, m := range flagWord.FindAllStringSubmatch(flags, -1) {
		if !known[m[1]] {
			faults = append(faults, fmt.Sprintf("has no --%s", m[1]))
		}
	}
	return faults
}
